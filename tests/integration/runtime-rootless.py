#!/usr/bin/python3
"""rastrun for an ordinary user, with a single id and with newuidmap's; and user namespaces that root makes."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle  # noqa: E402

UID = 54321  # nobody's on this machine


def sh(script):
    return ["/bin/sh", "-c", script]


def rootless(size=1, **extra):
    def change(c):
        c["linux"]["namespaces"] = rig.namespaces("pid", "ipc", "uts", "mount", "user", "network", "cgroup")
        maps = lambda host: [{"containerID": 0, "hostID": host, "size": 1}] + ([{"containerID": 1, "hostID": 200000, "size": size - 1}] if size > 1 else [])  # noqa: E731
        c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = maps(UID)
        c["linux"].pop("cgroupsPath", None)
        c["linux"].update(extra)
    return change


class UsersBundle(Bundle):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.conf["linux"].pop("cgroupsPath", None)
        self.write()
        self.runtime = self.dir + "/run"
        os.mkdir(self.runtime, 0o700)
        for d, dirs, files in os.walk(self.dir):
            for name in dirs + files:
                os.chown(os.path.join(d, name), UID, UID, follow_symlinks=False)
        os.chown(self.dir, UID, UID)

    def cmd(self, *args, **kw):
        return rig.run("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "env", "XDG_RUNTIME_DIR=" + self.runtime, rig.RASTRUN, *args, cwd="/", **kw)

    def created(self, *options):
        with open(self.dir + "/out", "ab") as out:
            import subprocess
            p = subprocess.run(["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "env", "XDG_RUNTIME_DIR=" + self.runtime, rig.RASTRUN,
                                "create", "--bundle", self.dir, *options, self.id], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=rig.TIMEOUT, cwd="/", check=False)
        if p.returncode:
            raise rig.Failed(self.out())
        return self


def an_ordinary_user_runs_a_container_with_his_single_id():
    with UsersBundle(args=sh("id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; hostname; ls -l /dev/null; echo x > /tmp/made"), change=rootless()) as b:
        r = b.run()
        lines = r.out.split("\n")
        assert r.ok and lines[0] == "0" and lines[1].split() == ["0", str(UID), "1"] and lines[2] == "deny" and lines[3] == "box", r
        assert " 1,   3 " in lines[4], r
        st = os.stat(b.rootfs + "/tmp/made")
        assert st.st_uid == UID and st.st_gid == UID
        assert os.listdir(b.runtime + "/rastrun") == []


def create_start_exec_kill_delete_work_for_an_ordinary_user():
    with UsersBundle(args=["sleep", "1000"], change=rootless()).started() as b:
        state = json.loads(b.must("state", b.id).out)
        assert state["status"] == "running" and state["owner"] == str(UID), state
        r = b.cmd("exec", b.id, "sh", "-c", "id -u; ps | grep -c sleep; exit 9")
        assert r.status == 9 and r.out.split()[0] == "0", r
        b.must("kill", b.id, "KILL")
        b.wait_status("stopped")
        b.must("delete", b.id)


def newuidmap_gives_more_ids():
    if not shutil.which("newuidmap"):
        return "newuidmap is not installed (package uidmap)"
    for name, text in (("subuid", f"{UID}:200000:65536\n"), ("subgid", f"{UID}:200000:65536\n"), ("passwd", f"root:x:0:0::/:/bin/sh\nrast-test:x:{UID}:{UID}::/:/bin/sh\n")):
        with open(f"/tmp/{rig.CGROUP}-{name}", "w") as f:
            f.write(text)
        if not os.path.exists("/etc/" + name):
            return f"/etc/{name} is not there to be covered"
        assert rig.run("mount", "--bind", f"/tmp/{rig.CGROUP}-{name}", "/etc/" + name).ok
    try:
        with UsersBundle(args=sh("cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/a; chown 7:8 /tmp/a; id -G"), change=rootless(size=1000)) as b:
            b.conf["process"]["user"]["additionalGids"] = [5, 6]
            b.write()
            r = b.run()
            assert r.ok and [line.split() for line in r.out.splitlines()[:4]] == [["0", str(UID), "1"], ["1", "200000", "999"]] * 2, r
            assert r.out.splitlines()[4] == "0 5 6", r
            st = os.stat(b.rootfs + "/tmp/a")
            assert (st.st_uid, st.st_gid) == (200006, 200007)
    finally:
        for name in ("subuid", "subgid", "passwd"):
            rig.run("umount", "/etc/" + name)
            os.unlink(f"/tmp/{rig.CGROUP}-{name}")


def ids_that_the_user_has_not_been_given_are_refused():
    with UsersBundle(args=["true"], change=rootless(size=1000)) as b:
        r = b.run()
        assert r.status == 1 and ("newgidmap" in r.err or "newuidmap" in r.err), r


def a_host_network_gets_the_machines_sys_bound():
    def change(c):
        rootless()(c)
        c["linux"]["namespaces"] = rig.namespaces("pid", "ipc", "uts", "mount", "user", "cgroup")
    with UsersBundle(args=sh("ls /sys/class/net; touch /sys/x"), change=change) as b:
        r = b.run()
        assert "lo" in r.out and r.status == 1, r


def root_makes_user_namespaces_too():
    def change(c):
        c["linux"]["namespaces"].append({"type": "user"})
        c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 65536}]
    with Bundle(args=["sleep", "1000"], change=change) as b:
        rig.run("chown", "-R", "-h", "300000:300000", b.rootfs)
        b.started()
        r = b.exec("sh", "-c", "id -u; cat /proc/self/uid_map; ls -l /dev/null; touch /dev/x /tmp/x; readlink /proc/self/ns/user; grep CapEff /proc/self/status")
        lines = r.out.split("\n")
        assert r.ok and lines[0] == "0" and lines[1].split()[1] == "300000" and " 1,   3 " in lines[2], r
        assert lines[3] == os.readlink(f"/proc/{b.state()['pid']}/ns/user") != os.readlink("/proc/self/ns/user"), r
        assert os.stat(b.rootfs + "/tmp/x").st_uid == 300000


def ids_of_a_bind_mount_are_mapped():
    with Bundle(args=sh("stat -c %u:%g /data/file; touch /data/new"), change=lambda c: None) as b:
        os.mkdir(b.dir + "/data")
        open(b.dir + "/data/file", "w").close()
        os.chown(b.dir + "/data/file", 1000, 1000)
        os.chmod(b.dir + "/data", 0o777)
        mapping = [{"containerID": 1000, "hostID": 0, "size": 1}, {"containerID": 0, "hostID": 1000, "size": 1}]
        b.conf["mounts"].append({"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "idmap"], "uidMappings": mapping, "gidMappings": mapping})
        b.write()
        r = b.run()
        if "can't be mapped" in r.err:
            return "the file system below /tmp has no idmapped mounts"
        assert r.out == "0:0\n", r
        assert os.stat(b.dir + "/data/new").st_uid == 1000
    return None


if __name__ == "__main__":
    rig.start()
    rig.main([f for n, f in list(globals().items()) if callable(f) and "_" in n and not n.startswith("_") and getattr(f, "__module__", "") == "__main__"])
