#!/usr/bin/python3
"""rastrun: every way out of a container that has bitten another runtime, attempted. The numbers are those of the CVEs."""
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle, until  # noqa: E402

SECRET = "the host's secret"


def sh(script):
    return ["/bin/sh", "-c", script]


def no_links(b, path):
    """Remove what is at a path of the root, to put a link there."""
    full = b.rootfs + path
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    elif os.path.lexists(full):
        os.unlink(full)
    return full


class HostDir:
    """A folder of the host with a file that no container may see or change."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="rast-host-")
        with open(self.path + "/secret", "w") as f:
            f.write(SECRET)
        return self

    def __exit__(self, *exc):
        assert sorted(os.listdir(self.path)) == ["secret"], os.listdir(self.path)
        with open(self.path + "/secret") as f:
            assert f.read() == SECRET
        shutil.rmtree(self.path)


def cve_2019_5736_the_runtimes_own_file_can_not_be_opened_for_writing_from_a_container():
    copy = tempfile.mkdtemp(prefix="rast-own-") + "/rastrun"
    shutil.copy(rig.RASTRUN, copy)
    with open(copy, "rb") as f:
        before = hashlib.sha256(f.read()).hexdigest()
    # The entry point is the runtime itself; a second process holds its /proc/PID/exe and tries to write when it has ended.
    script = """
for p in /proc/[0-9]*; do
  ( exec 9<$p/exe && sleep 0.2 && echo broken > /proc/self/fd/9 ) 2>/dev/null && echo WROTE
done
echo tried"""
    with Bundle(args=["sleep", "1000"], change=lambda c: c["process"]["capabilities"].update({k: rig.DEFAULT_CAPS + ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]
                                                                                           for k in ("bounding", "effective", "permitted")})) as b:
        with open(b.rootfs + "/bin/evil", "w") as f:
            f.write("#!/proc/self/exe\n")
        os.chmod(b.rootfs + "/bin/evil", 0o755)
        b.started()
        runs = [subprocess.Popen([copy, "--root", b.root, "exec", b.id, "/bin/evil"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        r = b.exec("/bin/sh", "-c", script)
        assert "tried" in r.out and "WROTE" not in r.out, r
        for p in runs:
            p.wait(30)
        # And what it would have been executed from is no file of the host that can be written.
        r = rig.run(copy, "--root", b.root, "exec", b.id, "sh", "-c", "echo x > /proc/self/exe; ls -l /proc/self/exe")
        assert "/bin/busybox" in r.out, r
    with open(copy, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() == before
    trace = rig.run("strace", "-f", "-e", "trace=open_tree,mount_setattr,execveat,memfd_create", copy, "run", "--help")
    assert re.search(r"open_tree\(.*/proc/self/exe.*\n.*mount_setattr\(.*MOUNT_ATTR_RDONLY.*\n.*execveat\(", trace.err), trace
    shutil.rmtree(os.path.dirname(copy))


def cve_2024_21626_no_descriptor_leaks_and_a_working_folder_outside_is_refused():
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(host, True)
    for n in range(3, 40):
        with Bundle(args=sh("pwd; cat ./etc/hostname"), cwd=f"/proc/self/fd/{n}") as b:
            r = rig.run(rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id, close_fds=False)
            assert r.status == 1 and r.out == "" and "process.cwd" in r.err, (n, r)
        if n == 12:
            break
    with Bundle(args=["sleep", "1000"]).started() as b:
        os.symlink("/proc/self/fd/7", b.rootfs + "/link")
        for n in ("/proc/self/fd/5", "/proc/self/fd/8", "/proc/1/fd/9", "/link"):
            r = rig.run(rig.RASTRUN, "--root", b.root, "exec", "--cwd", n, b.id, "pwd", close_fds=False)
            assert r.status == 1 and r.out == "", (n, r)
        r = rig.run(rig.RASTRUN, "--root", b.root, "exec", b.id, "sh", "-c", "ls -l /proc/self/fd /proc/1/fd", close_fds=False)
        assert not re.search(r"-> /(tmp|sys|run|root)\b", r.out.replace(b.dir + "/out", "")), r
    os.close(host)


def cve_2025_31133_a_forged_dev_null_masks_nothing_and_is_not_followed():
    with HostDir() as host:
        def change(c):
            c["mounts"] = [m for m in c["mounts"] if not m["destination"].startswith("/dev")]
            c["linux"]["maskedPaths"] = ["/etc/masked"]
        with Bundle(args=sh("cat /etc/masked; ls -l /dev/null"), change=change) as b:
            no_links(b, "/dev/null")
            os.symlink(host.path + "/secret", b.rootfs + "/dev/null")
            with open(b.rootfs + "/etc/masked", "w") as f:
                f.write("to be hidden")
            r = b.run()
            assert r.status == 0 and "hidden" not in r.out and SECRET not in r.out and re.search(r"^c\S+ .* 1,\s+3 ", r.out), r
        # the device that is bound in a user namespace is looked at too: /dev/null of the host has to be 1:3
        text = rig.run("unshare", "--mount", "--propagation", "private", "sh", "-c", f"touch {b.dir}x; mount --bind {b.dir}x /dev/null; "
                       f"{rig.RASTRUN} --root {b.dir}y run --bundle $0 x; umount /dev/null; rm -rf {b.dir}x {b.dir}y", _bundle_with_mask(host))
        assert "isn't character device 1:3" in text.err, text


KEPT = []


def _bundle_with_mask(host):
    b = Bundle(args=["true"], change=lambda c: c["linux"].update(maskedPaths=["/etc/masked"]))
    with open(b.rootfs + "/etc/masked", "w") as f:
        f.write("x")
    KEPT.append(b)
    return b.dir


def cve_2025_52565_the_console_is_the_terminals_slave_whatever_dev_pts_says():
    with HostDir() as host:
        def change(c):
            c["process"]["terminal"] = True
        with Bundle(args=sh("echo escaped > /dev/console; sleep 0.1"), change=change) as b:
            b.conf["mounts"] = [m for m in b.conf["mounts"] if m["destination"] not in ("/dev", "/dev/shm")]
            b.write()
            no_links(b, "/dev")
            os.makedirs(b.rootfs + "/dev/pts")
            os.symlink(host.path + "/secret", b.rootfs + "/dev/console")
            r = _run_in_terminal(b)
            assert os.path.islink(b.rootfs + "/dev/console"), r
        # a /dev/pts that is no devpts: its ptmx is not used
        with Bundle(args=["true"], change=change) as b:
            b.conf["mounts"] = [m for m in b.conf["mounts"] if m["destination"] not in ("/dev", "/dev/shm", "/dev/pts")]
            b.write()
            os.makedirs(b.rootfs + "/dev/pts")
            os.symlink(host.path + "/secret", b.rootfs + "/dev/pts/ptmx")
            r = _run_in_terminal(b)
            assert "process.terminal" in r and "devpts" in r, r


def _run_in_terminal(b):
    import pty
    pid, master = pty.fork()
    if pid == 0:
        os.execv(rig.RASTRUN, [rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id])
    out = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        out += data
    os.waitpid(pid, 0)
    os.close(master)
    return out.decode(errors="replace")


def cve_2024_45310_mounts_follow_no_link_out_of_the_root():
    with HostDir() as host:
        def add(dest):
            return lambda c: c["mounts"].append({"destination": dest, "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]})
        for link, dest in [("/etc/link", "/etc/link/made"), ("/etc/link", "/etc/link"), ("/etc/a", "/etc/a/b/c")]:
            for target in (host.path, "../../../../../../../.." + host.path):
                with Bundle(args=sh(f"test -d {dest} && echo there; cat {host.path}/secret"), change=add(dest)) as b:
                    os.symlink(target, b.rootfs + link)
                    r = b.run()
                    assert "there" in r.out and SECRET not in r.out, (link, dest, target, r)
                    assert os.path.isdir(b.rootfs + host.path), "it was made inside of the root"
        with Bundle(args=["cat", "/etc/file"], change=lambda c: c["mounts"].append({"destination": "/etc/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]})) as b:
            os.symlink(host.path + "/new", b.rootfs + "/etc/file")
            assert b.run().ok


def crun_2026_47766_and_runc_2026_41579_a_dev_that_is_a_link_stays_inside():
    with HostDir() as host:
        def change(c):
            c["mounts"] = [m for m in c["mounts"] if not m["destination"].startswith("/dev")]
        for target in (host.path, "../../../../../.." + host.path, "/proc/1/root/dev"):
            with Bundle(args=sh("ls -l /dev/null"), change=change) as b:
                no_links(b, "/dev")
                os.symlink(target, b.rootfs + "/dev")
                b.run()
                assert rig.run("stat", "-c", "%a %t:%T", "/dev/null").out == "666 1:3\n"
        with Bundle(args=sh("ls -l /dev/null")) as b:  # with the usual tmpfs on it
            no_links(b, "/dev")
            os.symlink(host.path, b.rootfs + "/dev")
            b.run()


def cve_2019_16884_and_19921_nothing_is_mounted_into_proc():
    for dest in ("/proc/self/attr", "/proc/sys", "/proc", "/proc/1/attr", "/link", "/link/self"):
        with Bundle(args=["true"], change=lambda c: c["mounts"].append({"destination": dest, "type": "tmpfs", "source": "tmpfs"})) as b:
            os.symlink("/proc", b.rootfs + "/link")
            r = b.run()
            assert r.status == 1 and "inside /proc" in r.err, (dest, r)
    with Bundle(args=["true"], change=lambda c: c["mounts"].append({"destination": "/proc", "type": "bind", "source": "/etc", "options": ["bind"]})) as b:
        r = b.run()
        assert r.status == 1 and "inside /proc" in r.err, r
    # what lxcfs covers is allowed
    with Bundle(args=["cat", "/proc/uptime"], change=lambda c: c["mounts"].append({"destination": "/proc/uptime", "type": "bind", "source": "/etc/passwd", "options": ["bind", "ro"]})) as b:
        r = b.run()
        assert r.ok and "root:" in r.out, r


def cve_2025_52881_what_is_written_to_proc_reaches_the_kernel_and_not_a_forged_file():
    # proc of the root is a folder with forged files; sysctl and the label would go there if they went by the container's paths
    def change(c):
        c["mounts"] = [m for m in c["mounts"] if m["destination"] != "/proc"]
        c["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}
        c["linux"]["maskedPaths"] = c["linux"]["readonlyPaths"] = []
    with Bundle(args=["sleep", "1000"], change=change) as b:
        for f in ("sys/net/ipv4/ip_forward", "sys/kernel/msgmax"):
            os.makedirs(os.path.dirname(f"{b.rootfs}/proc/{f}"), exist_ok=True)
            with open(f"{b.rootfs}/proc/{f}", "w") as out:
                out.write("forged")
        b.started()
        for f in ("sys/net/ipv4/ip_forward", "sys/kernel/msgmax"):
            with open(f"{b.rootfs}/proc/{f}") as text:
                assert text.read() == "forged"
        pid = b.state()["pid"]
        assert rig.run("nsenter", "-t", str(pid), "-n", "-i", "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/msgmax").out == "1\n9000\n"
    # a machine whose own /proc has something mounted over the file: the private procfs is written
    with Bundle(args=["true"], change=lambda c: c["linux"].update(sysctl={"kernel.msgmax": "9000"})) as b:
        r = rig.run("unshare", "--mount", "--propagation", "private", "sh", "-c",
                    f"touch {b.dir}/forged; mount --bind {b.dir}/forged /proc/sys/kernel/msgmax; {rig.RASTRUN} --root {b.root} run --bundle {b.dir} x; cat {b.dir}/forged")
        assert r.ok and r.out == "", r


def sysctls_of_the_host_and_names_that_lead_elsewhere_are_refused():
    for key in ("kernel.core_pattern", "vm.swappiness", "net/../kernel/core_pattern", "kernel.hostname/../../vm/swappiness", "fs.mqueue../../x"):
        with Bundle(args=["true"], change=lambda c: c["linux"].update(sysctl={key: "1"})) as b:
            r = b.run()
            assert r.status == 1 and "sysctl" in r.err, (key, r)
    with Bundle(args=["true"], change=lambda c: c["linux"].update(sysctl={"net.ipv4.ip_forward": "1"}, namespaces=rig.namespaces("mount", "pid"))) as b:
        r = b.run()
        assert r.status == 1 and "network namespace" in r.err, r


def cve_2022_29162_exec_has_no_inheritable_capabilities():
    with Bundle(args=["sleep", "1000"]).started() as b:
        for args in (["exec", b.id], ["exec", "--cap", "CAP_SYS_ADMIN", b.id], ["exec", "--user", "5", b.id]):
            r = b.must(*args, "grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status")
            assert r.out == "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n", r


def cve_2023_25809_a_cgroup_mount_without_its_own_namespace_can_not_be_written():
    def change(c):
        c["linux"]["namespaces"] = rig.namespaces("pid", "mount", "network", "ipc", "uts", "user")
        c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
        c["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]})
    with Bundle(args=sh("mkdir /sys/fs/cgroup/evil && echo MADE; echo 0 > /sys/fs/cgroup/cgroup.procs && echo MOVED; grep -c ' /sys/fs/cgroup ' /proc/self/mounts"), change=change) as b:
        rig.run("chown", "-R", "100000:100000", b.rootfs)
        r = b.run()
        assert "MADE" not in r.out and "MOVED" not in r.out and r.out == "1\n", r


def cve_2023_28642_proc_as_a_link_in_the_image_is_not_used():
    with HostDir() as host:
        with Bundle(args=sh("cat /proc/self/comm")) as b:
            no_links(b, "/proc")
            os.symlink(host.path, b.rootfs + "/proc")
            r = b.run()  # the procfs comes to where the link leads inside of the root, or nowhere: never to the host's folder
            assert SECRET not in r.out + r.err, r
        with Bundle(args=["true"], change=lambda c: c["linux"].update(maskedPaths=["/etc/x"])) as b:
            os.symlink(host.path + "/secret", b.rootfs + "/etc/x")
            assert b.run().ok


def cve_2021_43784_a_long_name_of_an_interface_is_refused():
    with Bundle(args=["true"], change=lambda c: c["linux"].update(netDevices={"lo": {"name": "x" * 70000}})) as b:
        r = b.run()
        assert r.status == 1 and "netDevices" in r.err, str(r)[:500]


def paths_of_cgroups_and_ids_do_not_lead_out():
    for path in ("/../evil", "/a/../../evil", "../evil"):
        with Bundle(args=["true"], change=lambda c: c["linux"].update(cgroupsPath=path)) as b:
            r = b.run()
            assert r.status == 1 and "cgroup" in r.err, (path, r)
    with Bundle(args=["sleep", "1000"]).started() as b:
        for sub in ("../", "a/../..", "/../.."):
            r = b.cmd("exec", "--cgroup", sub, b.id, "true")
            assert r.status == 1 and "--cgroup" in r.err, (sub, r)


def unknown_capabilities_are_refused():
    with Bundle(args=["true"], change=lambda c: c["process"]["capabilities"]["bounding"].append("CAP_MADE_UP")) as b:
        r = b.run()
        assert r.status == 1 and "CAP_MADE_UP" in r.err, r


def masked_and_read_only_paths_hold_against_the_containers_root():
    script = """cat /proc/keys; ls /sys/firmware /proc/acpi; echo x > /proc/sys/kernel/domainname; echo b > /proc/sysrq-trigger; mount -o remount,rw /proc/sys; umount /proc/keys;
echo "keys $(cat /proc/keys | wc -c)"; mkdir /made; touch /root-file"""
    with Bundle(args=sh(script), change=lambda c: c["root"].update(readonly=True)) as b:
        r = b.run()
        assert "keys 0\n" in r.out and not os.path.exists(b.rootfs + "/made") and not os.path.exists(b.rootfs + "/root-file"), r
        assert r.err.count("Read-only file system") >= 3, r


def a_process_that_is_about_to_join_can_not_be_traced_from_inside():
    # exec's process is not dumpable until it has executed its program: its /proc files belong to the host's root and stay closed.
    with Bundle(args=sh("while :; do for p in /proc/[0-9]*; do ls $p/fd/ 2>/dev/null >/dev/null; readlink $p/exe; done; done")).started() as b:
        for _ in range(20):
            assert b.exec("true").ok
        b.must("kill", b.id, "KILL")
        b.wait_status("stopped")
        seen = set(b.out().split("\n")) - {""}
        assert not [s for s in seen if "rastrun" in s], seen


def a_forged_state_directory_socket_or_symlink_is_not_followed():
    with HostDir() as host, Bundle(args=["true"]) as b:
        os.makedirs(b.root, 0o700)
        os.symlink(host.path, f"{b.root}/evil")
        for cmd in (["state", "evil"], ["kill", "evil", "9"], ["delete", "evil"], ["delete", "--force", "evil"], ["start", "evil"], ["exec", "evil", "true"]):
            b.cmd(*cmd)
        assert os.path.exists(host.path + "/secret")


def the_abstract_notify_socket_and_long_paths_do_no_harm():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    d = tempfile.mkdtemp(prefix="rast-notify-")
    s.bind(d + "/notify.sock")
    os.chmod(d + "/notify.sock", 0o777)
    s.settimeout(20)
    with Bundle(args=sh("echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET; ls /run/notify")) as b:
        r = b.run(env=dict(os.environ, NOTIFY_SOCKET=d + "/notify.sock"))
        assert r.out.startswith("/run/notify/notify\ns") and r.out.endswith("\nnotify\n"), r
        r = b.run(env=dict(os.environ, NOTIFY_SOCKET="@abstract"))
        assert r.out == "\n" or "No such" in r.err or r.ok, r
    shutil.rmtree(d)


if __name__ == "__main__":
    rig.start()
    try:
        rig.main([f for n, f in list(globals().items()) if callable(f) and "_" in n and not n.startswith("_") and n != "no_links" and getattr(f, "__module__", "") == "__main__"])
    finally:
        for kept in KEPT:
            kept.close()
