#!/usr/bin/python3
"""What a configuration says of the process is so inside: limits, scheduling, ids, clocks, filters, Landlock; each is looked at from within."""
import array
import ctypes
import fcntl
import json
import os
import platform
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle  # noqa: E402


def sh(script):
    return ["/bin/sh", "-c", script]


def out(script, change=None, **fields):
    """What a container with these fields of process prints."""
    with Bundle(args=sh(script)) as b:
        b.conf["process"].update(fields)
        if change:
            change(b.conf)
        b.write()
        r = b.run()
        assert r.ok, r
        return r.out


def _linux(**fields):
    return lambda c: c["linux"].update(fields)


def limits_umask_and_groups_are_the_processs():
    text = out("ulimit -n; ulimit -Hn; ulimit -c; umask; id -u; id -g; id -G; grep -h . /proc/self/oom_score_adj",
               rlimits=[{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}], oomScoreAdj=123,
               user={"uid": 1000, "gid": 1001, "umask": 0o027, "additionalGids": [5, 6]}).split("\n")
    assert text[:3] == ["77", "88", "0"] and text[3].endswith("027") and text[4:6] == ["1000", "1001"] and set(text[6].split()) >= {"5", "6"} and text[7] == "123", text


def scheduler_io_priority_and_personality_are_set():
    # /proc/PID/stat: field 19 is nice, 41 the policy
    text = out("cut -d' ' -f19,41 /proc/self/stat; uname -m", scheduler={"policy": "SCHED_BATCH", "nice": 7}, ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0},
               change=_linux(personality={"domain": "LINUX32"})).split("\n")
    assert text[0] == "7 3" and (text[1] != "x86_64" or platform.machine() != "x86_64"), text


def names_and_kernel_parameters_belong_to_the_container():
    def change(c):
        c["hostname"], c["domainname"] = "box", "example.org"
        c["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9999"}
    text = out("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", change).split("\n")
    assert text[:4] == ["box", "example.org", "1", "9999"], text


def clocks_are_moved_in_a_time_namespace():
    def change(c):  # in a user namespace, because tests have no CAP_SYS_TIME on the host
        c["linux"]["namespaces"] += rig.namespaces("time", "user")
        c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        c["linux"]["timeOffsets"] = {"monotonic": {"secs": 1000000}, "boottime": {"secs": 2000000, "nanosecs": 5}}
    text = out("cut -d. -f1 /proc/uptime", change)
    assert int(text) > 2000000, text
    with open("/proc/uptime") as f:
        assert float(f.read().split()[0]) < 2000000


def exec_runs_on_the_cpus_that_it_is_given():
    with Bundle(args=["sleep", "1000"]) as b:
        b.started()
        with open(b.dir + "/p.json", "w") as f:
            json.dump({"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"], "execCPUAffinity": {"initial": "0", "final": "0"}}, f)
        r = b.cmd("exec", "--process", b.dir + "/p.json", b.id)
        assert r.ok and r.out.split() == ["Cpus_allowed_list:", "0"], r


DENY = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}


def a_seccomp_filter_holds_with_and_without_no_new_privileges_and_for_exec():
    for nnp in (True, False):
        with Bundle(args=sh("mkdir /tmp/x; grep -h ^Seccomp: /proc/self/status; sleep 1000"), change=_linux(seccomp=DENY)) as b:
            b.conf["process"]["noNewPrivileges"] = nnp
            b.write()
            b.started()
            rig.until(lambda: "Seccomp" in b.out())
            assert "not supported" in b.out() and "Seccomp:\t2" in b.out(), b.out()
            r = b.exec("mkdir", "/tmp/y")
            assert not r.ok and "not supported" in r.err, r


# struct seccomp_notif, seccomp_notif_resp and the numbers of their ioctls (linux/seccomp.h)
NOTIF, RESP, RECV, SEND = 80, 24, 0xc0502100, 0xc0182101


def _agent(server, answers, seen):
    while True:
        conn, _ = server.accept()
        data, control, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(4))
        while chunk := conn.recv(65536):
            data += chunk
        fds = array.array("i")
        fds.frombytes(control[0][2][:4])
        seen.append(json.loads(data))

        def serve(fd):
            for _ in range(answers):
                req = bytearray(NOTIF)
                try:
                    fcntl.ioctl(fd, RECV, req)
                    fcntl.ioctl(fd, SEND, struct.pack("QqiI", struct.unpack_from("Q", req)[0], 0, -95, 0))
                except OSError:
                    break
            os.close(fd)
        threading.Thread(target=serve, args=(fds[0],), daemon=True).start()


def an_agent_gets_the_listener_and_the_state_and_answers_for_the_kernel():
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "for you", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}
    for nnp in (True, False):
        with Bundle(args=sh("mkdir /tmp/x; sleep 1000")) as b:
            server, seen = socket.socket(socket.AF_UNIX), []
            server.bind(b.dir + "/agent")
            server.listen()
            threading.Thread(target=_agent, args=(server, 4, seen), daemon=True).start()
            b.conf["linux"]["seccomp"] = profile | {"listenerPath": b.dir + "/agent"}
            b.conf["process"]["noNewPrivileges"] = nnp
            b.conf["annotations"] = {"my": "own"}
            b.write()
            b.started()
            rig.until(lambda: "not supported" in b.out())
            state = seen[0]
            assert state["fds"] == ["seccompFd"] and state["metadata"] == "for you" and state["pid"] == b.state()["pid"], state
            assert state["state"]["id"] == b.id and state["state"]["bundle"] == b.dir and state["state"]["annotations"] == {"my": "own"}, state
            r = b.exec("mkdir", "/tmp/y")
            assert not r.ok and "not supported" in r.err and len(seen) == 2, (r, seen)


def landlock_leaves_what_the_annotations_list():
    if ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) < 1:
        return "this kernel has no Landlock"
    annotations = {"io.rastos.landlock.execute": "/bin", "io.rastos.landlock.write": "/tmp:/dev", "io.rastos.landlock.read": "/proc"}
    script = "cat /etc/secret; echo x > /tmp/new && echo written; echo x > /bin/new; cat /proc/version > /tmp/v && echo read"
    for nnp in (True, False):
        with Bundle(args=sh(script)) as b:
            b.conf["annotations"] = dict(annotations)
            b.conf["process"]["noNewPrivileges"] = nnp
            with open(b.rootfs + "/etc/secret", "w") as f:
                f.write("secret\n")
            b.write()
            r = b.run()
            assert r.out.split() == ["written", "read"] and "'/etc/secret': Permission denied" in r.err and "/bin/new: Permission denied" in r.err, r
            b.conf["annotations"]["io.rastos.landlock.raed"] = "/"
            b.write()
            r = b.run()
            assert not r.ok and "did you mean 'io.rastos.landlock.read'" in r.err, r
    return None


def devices_and_masks_are_made_as_they_are_listed():
    devices = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}, {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
               {"path": "/opt/deep/zero", "type": "u", "major": 1, "minor": 5}]
    text = out("stat -c '%n %F %a %u %g %t:%T' /dev/mine /dev/pipe /opt/deep/zero; cat /proc/keys | wc -c", _linux(devices=devices)).split("\n")
    assert text[0] == "/dev/mine character special file 640 3 4 1:5" and text[1].startswith("/dev/pipe fifo 600") and text[2].startswith("/opt/deep/zero character special file 666"), text
    assert text[3] == "0", text


if __name__ == "__main__":
    rig.start()
    rig.main([limits_umask_and_groups_are_the_processs, scheduler_io_priority_and_personality_are_set, names_and_kernel_parameters_belong_to_the_container,
              clocks_are_moved_in_a_time_namespace,
              exec_runs_on_the_cpus_that_it_is_given, a_seccomp_filter_holds_with_and_without_no_new_privileges_and_for_exec,
              an_agent_gets_the_listener_and_the_state_and_answers_for_the_kernel, landlock_leaves_what_the_annotations_list,
              devices_and_masks_are_made_as_they_are_listed])
