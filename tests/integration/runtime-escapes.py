#!/usr/bin/python3
"""Ways out of a container that other runtimes have had to close: each is tried, and must fail."""
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle  # noqa: E402


def sh(script):
    return ["/bin/sh", "-c", script]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def tree(path):
    """Everything below path, to see whether anything has changed there."""
    return sorted((os.path.relpath(os.path.join(d, n), path), os.lstat(os.path.join(d, n)).st_mode) for d, dirs, files in os.walk(path) for n in dirs + files)


@contextlib.contextmanager
def host_folder(b):
    """A folder of the host with a secret, beside the bundle's root."""
    path = b.dir + "/host"
    os.makedirs(path + "/sub")
    with open(path + "/secret", "w") as f:
        f.write("the host's secret\n")
    before = tree(path)
    yield path
    assert tree(path) == before, f"the host's folder has changed: {tree(path)}"


def replace_by_link(b, name, target):
    path = f"{b.rootfs}/{name}"
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def without_mounts(b, *destinations):
    b.conf["mounts"] = [m for m in b.conf["mounts"] if not any(m["destination"] == d or m["destination"].startswith(d + "/") for d in destinations)]


def the_runtimes_own_file_cant_be_written_from_inside():  # CVE-2019-5736
    before = digest(rig.RASTRUN)
    loop = "while :; do for p in /proc/[0-9]*; do case \"$(readlink $p/exe)\" in /bin/busybox) ;; *) echo broken > $p/exe;; esac; done; done 2>/dev/null"
    with Bundle(args=sh(loop)) as b:
        b.conf["process"]["capabilities"] = {k: rig.DEFAULT_CAPS + ["CAP_SYS_PTRACE"] for k in ("bounding", "effective", "permitted")}
        for name in ("evil", "evil2"):
            with open(f"{b.rootfs}/bin/{name}", "w") as f:
                f.write("#!/proc/self/exe\n")
            os.chmod(f"{b.rootfs}/bin/{name}", 0o755)
        b.write()
        b.started()
        for _ in range(25):
            b.exec("/bin/evil")
            b.exec("/proc/self/exe", "features")
    assert digest(rig.RASTRUN) == before
    with Bundle(args=sh("echo broken > /proc/self/exe")) as b:  # the runtime as the container's own program
        b.conf["process"]["args"] = ["/proc/self/exe", "features"]
        b.write()
        b.run()
    assert digest(rig.RASTRUN) == before


def a_working_folder_is_never_one_of_the_hosts():  # CVE-2024-21626
    for n in range(3, 24):
        with Bundle(args=sh("cat secret ../secret ../../secret ../../../../../../../../../../etc/passwd 2>/dev/null; pwd; ls ../../../../..")) as b, host_folder(b):
            b.conf["process"]["cwd"] = f"/proc/self/fd/{n}"
            b.write()
            r = b.run()
            assert not r.ok or ("bin" in r.out.split() and "secret" not in r.out and "root:" not in r.out), r
    with Bundle(args=["sleep", "1000"]) as b, host_folder(b):
        b.started()
        for n in range(3, 24):
            r = b.cmd("exec", "--cwd", f"/proc/self/fd/{n}", b.id, "sh", "-c", "pwd; ls ../../../../..")
            assert not r.ok or "bin" in r.out.split(), r
        replace_by_link(b, "link", f"/proc/1/cwd/../../../..{b.dir}/host")
        r = b.cmd("exec", "--cwd", "/link", b.id, "cat", "secret")
        assert not r.ok and "secret" not in r.out, r


def no_descriptor_of_the_host_is_open_inside():
    with Bundle(args=sh("ls -l /proc/self/fd /proc/1/fd; cat /proc/self/fd/*/../../../../../../etc/shadow")) as b:
        r = b.run()
        kinds = [line.split(" -> ")[1] for line in r.out.splitlines() if " -> " in line]
        assert not any(k.startswith("/") and k != "/dev/null" and not k.startswith("/proc/") for k in kinds), r
        assert not any("rootfs" in k or "socket" in k for k in kinds), r


def destinations_of_mounts_stay_in_the_root():  # CVE-2024-45310, 2021-30465, crun 2026-47766, runc 2026-41579
    for link in ("HOST", "../host", "../../../../../../../../HOST", "/proc/self/root/HOST", "a", "/proc/1/cwd"):
        for where in ("/evil", "/evil/new", "/evil/../evil/sub/x", "/evil/"):
            if ".." in where:
                continue
            with Bundle(args=sh("true")) as b, host_folder(b) as host:
                replace_by_link(b, "evil", link.replace("HOST", host.lstrip("/") if link.startswith("..") else host))
                replace_by_link(b, "a", "evil")
                b.conf["mounts"].append({"destination": where, "type": "tmpfs", "source": "tmpfs"})
                b.conf["mounts"].append({"destination": where + "file", "source": host + "/secret", "options": ["bind", "ro"]})
                b.write()
                b.run()
    for name in ("dev", "sys", "proc", "etc"):
        with Bundle(args=sh("true")) as b, host_folder(b) as host:
            replace_by_link(b, name, host)
            b.run()
        with Bundle(args=sh("true")) as b, host_folder(b) as host:
            replace_by_link(b, name, "../host")
            b.conf["linux"]["devices"] = [{"path": f"/{name}/x", "type": "c", "major": 1, "minor": 3}]
            b.write()
            b.run()


def a_folder_that_is_swapped_for_a_link_meanwhile_doesnt_lead_out():  # CVE-2021-30465
    with Bundle(args=sh("true")) as b, host_folder(b) as host:
        os.makedirs(b.rootfs + "/vol/real")
        os.symlink(host, b.rootfs + "/vol/link")
        b.conf["mounts"] += [{"destination": f"/vol/real/x{i}", "type": "tmpfs", "source": "tmpfs"} for i in range(8)]
        b.write()
        ended = threading.Event()

        def swap():
            libc = __import__("ctypes").CDLL(None, use_errno=True)
            a, c = (b.rootfs + "/vol/real").encode(), (b.rootfs + "/vol/link").encode()
            while not ended.is_set():
                libc.renameat2(-100, a, -100, c, 2)  # RENAME_EXCHANGE

        t = threading.Thread(target=swap)
        t.start()
        try:
            for _ in range(30):
                b.run()
        finally:
            ended.set()
            t.join()


def masks_are_the_hosts_dev_null_and_not_the_images():  # CVE-2025-31133
    for kind in ("link", "file", "none"):
        with Bundle(args=sh("stat -c '%F %t:%T' /etc/hide /proc/timer_list; cat /etc/hide")) as b, host_folder(b) as host:
            without_mounts(b, "/dev")
            if kind == "link":
                os.symlink(host + "/secret", b.rootfs + "/dev/null")
            elif kind == "file":
                with open(b.rootfs + "/dev/null", "w") as f:
                    f.write("the image's\n")
            with open(b.rootfs + "/etc/hide", "w") as f:
                f.write("hidden\n")
            b.conf["linux"]["maskedPaths"] = ["/etc/hide", "/proc/timer_list"]
            b.write()
            r = b.run()
            assert not r.ok or r.out == "character special file 1:3\n" * 2, (kind, r)
            assert "hidden" not in r.out


def the_console_is_the_new_terminal_and_nothing_else():  # CVE-2025-52565
    with Bundle(args=sh("echo x > /dev/console; stat -c %F /dev/console"), terminal=True) as b, host_folder(b) as host:
        without_mounts(b, "/dev")
        os.symlink(host + "/secret", b.rootfs + "/dev/console")
        os.makedirs(b.rootfs + "/dev/pts")
        for i in range(4):
            os.symlink(host + "/secret", f"{b.rootfs}/dev/pts/{i}")
        b.write()
        box = socket.socket(socket.AF_UNIX)
        box.bind(b.dir + "/sock")
        box.listen()
        b.cmd("create", "--bundle", b.dir, "--console-socket", b.dir + "/sock", b.id)
        b.cmd("start", b.id)
        time.sleep(0.2)
        with open(host + "/secret") as f:
            assert f.read() == "the host's secret\n"


def nothing_can_be_put_over_proc():  # CVE-2019-16884, 2019-19921, 2023-28642
    for destination in ("/proc/self/attr", "/proc/sys", "/proc/1", "/proc/self/../self/attr", "/link/attr", "/link"):
        with Bundle(args=sh("true")) as b:
            replace_by_link(b, "link", "/proc/self")
            b.conf["mounts"].append({"destination": destination, "type": "tmpfs", "source": "tmpfs"})
            b.write()
            r = b.run()
            assert not r.ok, (destination, r)
    with Bundle(args=sh("true")) as b:  # /proc itself a link of the image
        replace_by_link(b, "proc", "/tmp/fake")
        os.makedirs(b.rootfs + "/tmp/fake/self/attr")
        b.conf["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        b.write()
        b.run()
        assert not os.listdir(b.rootfs + "/tmp/fake/self/attr")


def sysctls_reach_the_kernel_and_no_file_of_the_image():  # CVE-2025-52881
    with Bundle(args=sh("cat /proc/sys/net/ipv4/ip_forward")) as b:
        b.conf["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        b.write()
        r = b.run()
        assert r.out == "1\n", r
    with Bundle(args=sh("true")) as b:
        without_mounts(b, "/proc")
        os.makedirs(b.rootfs + "/proc/sys/net/ipv4")
        with open(b.rootfs + "/proc/sys/net/ipv4/ip_forward", "w") as f:
            f.write("the image's\n")
        b.conf["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        b.conf["linux"]["readonlyPaths"] = b.conf["linux"]["maskedPaths"] = []
        b.write()
        b.run()
        with open(b.rootfs + "/proc/sys/net/ipv4/ip_forward") as f:
            assert f.read() == "the image's\n"


def ids_and_paths_dont_climb():
    with Bundle(args=sh("true")) as b:
        for bad in ("..", ".", "../x", "a/b", "", "-x/..", "a\nb", "/etc"):
            for command in (("state", bad), ("delete", "--force", bad), ("create", "--bundle", b.dir, bad), ("kill", bad)):
                r = b.cmd(*command)
                assert not r.ok, (command, r)
    for path in ("/../../escape", "../escape", "/a/../../escape"):
        with Bundle(args=sh("true"), change=lambda c, p=path: c["linux"].update(cgroupsPath=p)) as b:
            r = b.run()
            assert not r.ok and "linux.cgroupsPath" in r.err, r
    with Bundle(args=sh("true"), change=lambda c: c["linux"].update(resources={"unified": {"../cgroup.procs": "1"}})) as b:
        assert "unified" in b.run().err


def a_symbolic_link_as_root_or_state_of_the_container_is_the_callers_choice_not_the_images():
    with Bundle(args=sh("true")) as b, host_folder(b) as host:
        os.makedirs(b.root, mode=0o700)
        os.symlink(host, f"{b.root}/{b.id}")  # a state folder that is a link is no container
        assert not b.cmd("state", b.id).ok
        assert not b.cmd("delete", "--force", b.id).ok
        os.unlink(f"{b.root}/{b.id}")


def exec_takes_its_caps_from_the_process_and_never_inherits():  # CVE-2022-29162, 27650
    with Bundle(args=["sleep", "1000"]) as b:
        b.started()
        p = {"args": sh("grep Cap /proc/self/status"), "cwd": "/", "env": ["PATH=/bin"], "capabilities": {k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")}}
        with open(b.dir + "/p.json", "w") as f:
            json.dump(p, f)
        r = b.cmd("exec", "--process", b.dir + "/p.json", b.id)
        caps = dict(line.split(":\t") for line in r.out.splitlines())
        assert caps == {"CapInh": "0" * 16, "CapPrm": "0000000000000020", "CapEff": "0000000000000020", "CapBnd": "0000000000000020", "CapAmb": "0" * 16}, r


def other_peoples_processes_cant_look_into_the_runtime_while_it_enters():
    """While exec joins, a root process of the container tries to trace it or to use its descriptors: it sees none that it may open."""
    script = "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || ls -l $p/fd $p/cwd $p/root; done; done > /tmp/seen 2>/dev/null"
    with Bundle(args=sh(script)) as b, host_folder(b):
        b.started()
        for _ in range(25):
            b.exec("true")
        with open(b.rootfs + "/tmp/seen", errors="replace") as f:
            seen = f.read()
        assert b.dir not in seen and "state" not in seen, seen


if __name__ == "__main__":
    rig.start()
    subprocess.run(["true"], check=True)
    rig.main([v for k, v in list(globals().items()) if callable(v) and getattr(v, "__module__", "") == "__main__"
              and k not in ("sh", "digest", "tree", "host_folder", "replace_by_link", "without_mounts")])
