#!/usr/bin/python3
"""rastrun: the life of a container, as podman and containerd drive it."""
import array
import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle, until  # noqa: E402


def sh(script):
    return ["/bin/sh", "-c", script]


def run_returns_the_programs_exit_status_and_leaves_nothing():
    with Bundle(args=sh("echo hello; exit 7")) as b:
        r = b.run()
        assert (r.status, r.out) == (7, "hello\n"), r
        assert os.listdir(b.root) == [], os.listdir(b.root)
        assert not os.path.exists(f"/sys/fs/cgroup/{rig.CGROUP}/{b.id}")
    with Bundle(args=sh("kill -TERM $$")) as b:  # the first process of a PID namespace ignores what it doesn't handle
        assert b.run().status == 0
    with Bundle(args=sh("kill -KILL $$; sleep 60"), change=lambda c: c["linux"].update(namespaces=rig.namespaces("mount", "uts"))) as b:
        assert b.run().status == 128 + 9


def create_waits_start_runs_kill_ends_delete_removes():
    with Bundle(args=sh("echo started; exec sleep 1000")) as b:
        b.created("--pid-file", b.dir + "/pid")
        state = b.state()
        with open(b.dir + "/pid") as f:
            pid = int(f.read())
        assert state["status"] == "created" and state["pid"] == pid and state["id"] == b.id and state["bundle"] == b.dir, state
        assert b.out() == ""
        assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        with open(f"/proc/{pid}/cgroup") as f:
            assert f"/{rig.CGROUP}/{b.id}" in f.read()
        b.must("start", b.id)
        assert b.status() == "running"
        until(lambda: b.out() == "started\n")
        again = b.cmd("start", b.id)
        assert again.status == 1 and "cannot start an already running container" in again.err, again
        refused = b.cmd("delete", b.id)
        assert refused.status == 1 and "not stopped" in refused.err, refused
        b.must("kill", b.id, "KILL")
        b.wait_status("stopped")
        assert b.state()["pid"] == 0
        dead = b.cmd("kill", b.id, "TERM")
        assert dead.status == 1 and "container not running" in dead.err, dead
        b.must("delete", b.id)
        gone = b.cmd("state", b.id)
        assert gone.status == 1 and "does not exist" in gone.err, gone
        assert b.cmd("delete", b.id).status == 1
        assert b.cmd("delete", "--force", b.id).ok


def an_id_is_taken_until_it_is_deleted_and_bad_ids_are_refused():
    with Bundle(args=["sleep", "1000"]) as b:
        b.created()
        r = b.run()
        assert r.status == 1 and "container with id exists" in r.err, r
        assert b.status() == "created"
    with Bundle() as b:
        for bad in ("../x", ".", "a/b", ".hidden", "a b", ""):
            r = b.cmd("run", "--bundle", b.dir, bad)
            assert r.status == 1 and "invalid container id" in r.err, (bad, r)


def what_does_not_run_is_said_at_create_in_the_words_that_podman_looks_for():
    cases = [(["nosuchprogram"], "executable file not found in $PATH"), (["/no/such"], "no such file or directory"), (["/etc"], "permission denied"),
             (["/etc/file"], "permission denied")]
    for args, words in cases:
        with Bundle(args=args) as b:
            with open(b.rootfs + "/etc/file", "w") as f:
                f.write("text")
            log = b.dir + "/log"
            r = rig.run(rig.RASTRUN, "--root", b.root, "--log", log, "--log-format", "json", "create", "--bundle", b.dir, b.id)
            assert r.status == 1 and words in r.err, (args, r)
            with open(log) as f:
                line = json.loads(f.readlines()[-1])
            assert line["level"] == "error" and words in line["msg"] and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"]), line
            assert os.listdir(b.root) == []


def start_says_why_a_program_that_is_there_can_not_be_executed():
    with Bundle(args=["/bin/broken"]) as b:
        with open(b.rootfs + "/bin/broken", "w") as f:
            f.write("no program\n")
        os.chmod(b.rootfs + "/bin/broken", 0o755)
        b.created()
        r = b.cmd("start", b.id)
        assert r.status == 1 and "exec format error" in r.err, r
        b.wait_status("stopped")


def exec_joins_every_namespace_and_returns_the_exit_status():
    with Bundle(args=["sleep", "1000"]).started() as b:
        pid = b.state()["pid"]
        inside = b.exec("/bin/sh", "-c", "for n in pid net ipc uts mnt cgroup user; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup; exit 5")
        assert inside.status == 5, inside
        lines = inside.out.split()
        for name, link in zip("pid net ipc uts mnt cgroup user".split(), lines):
            assert os.readlink(f"/proc/{pid}/ns/{name}") == link, (name, link)
        assert lines[-1] == "0::/", lines
        assert b.exec("nosuch").status == 1
        assert "executable file not found in $PATH" in b.exec("nosuch").err
        r = b.cmd("exec", "--user", "12:34", "--additional-gids", "56", "--env", "A=b c", "--cwd", "/tmp", b.id, "sh", "-c", "id -u; id -g; id -G; echo $A; pwd")
        assert r.out.split("\n") == ["12", "34", "34 56", "b c", "/tmp", ""], r
        for bad in ("", ":", "0:", "-1", "4294967295", "1000x", "root", " 1", "1:-1"):
            r = b.cmd("exec", "--user", bad, b.id, "id")
            assert r.status == 1 and "--user" in r.err and r.out == "", (bad, r)
        with open(b.dir + "/process.json", "w") as f:
            json.dump({"args": ["sh", "-c", "echo $X; pwd"], "env": ["X=1", "PATH=/bin"], "cwd": "/etc", "user": {"uid": 0, "gid": 0}}, f)
        assert b.cmd("exec", "--process", b.dir + "/process.json", b.id).out == "1\n/etc\n"
        r = b.cmd("exec", b.id, "sh", "-c", "grep ^Cap /proc/self/status")
        caps = dict(line.split(":\t") for line in r.out.splitlines())
        assert caps["CapInh"] == caps["CapAmb"] == "0" * 16, caps  # CVE-2022-29162
        assert int(caps["CapBnd"], 16) == sum(1 << n for n in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)), caps
    with Bundle(args=["sleep", "1000"]) as b:
        r = b.exec("true")
        assert r.status == 1 and "does not exist" in r.err, r


def exec_detached_writes_its_pid_and_returns():
    with Bundle(args=["sleep", "1000"]).started() as b:
        b.detached("exec", "--detach", "--pid-file", b.dir + "/pid", b.id, "sleep", "999")
        with open(b.dir + "/pid") as f:
            pid = int(f.read())
        with open(f"/proc/{pid}/cmdline") as f:
            assert f.read().split("\0")[:2] == ["sleep", "999"]
        pids = json.loads(b.must("ps", "--format", "json", b.id).out)
        assert sorted(pids) == sorted([pid, b.state()["pid"]]), pids
        table = b.must("ps", b.id).out.splitlines()
        assert len(table) == 3 and "PID" in table[0] and any("sleep 999" in line for line in table), table


def pause_freezes_and_resume_goes_on():
    with Bundle(args=sh("while :; do echo x; sleep 0.05; done")).started() as b:
        b.must("pause", b.id)
        assert b.status() == "paused"
        before = len(b.out())
        r = b.exec("true")
        assert r.status == 1 and "paused" in r.err, r
        assert b.cmd("pause", b.id).status == 1
        assert len(b.out()) == before
        b.must("resume", b.id)
        assert b.status() == "running"
        until(lambda: len(b.out()) > before)
        assert b.cmd("resume", b.id).status == 1


def list_shows_all_containers():
    with Bundle(args=["sleep", "1000"]) as b:
        b.created()
        assert b.must("list", "-q").out == b.id + "\n"
        rows = json.loads(b.must("list", "--format", "json").out)
        assert [(r["id"], r["status"]) for r in rows] == [(b.id, "created")], rows
        assert rows[0]["owner"] == "root" and re.match(r"\d{4}-", rows[0]["created"]), rows
        assert b.id in b.must("list").out


def _receive_master(path, box):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(1)

    def work():
        c, _ = s.accept()
        data, anc, _, _ = c.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = array.array("i")
        for level, kind, raw in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(raw)
        box.append((data, fds[0]))
    t = threading.Thread(target=work, daemon=True)
    t.start()
    return t


def _read_all(fd):
    out = b""
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            return out
        if not data:
            return out
        out += data


def the_terminals_master_goes_to_the_console_socket():
    with Bundle(args=sh("tty; ls -l /dev/console; stty size; exit 4"), terminal=True, change=lambda c: c["process"].update(consoleSize={"height": 33, "width": 77})) as b:
        box = []
        t = _receive_master(b.dir + "/sock", box)
        b.created("--console-socket", b.dir + "/sock")
        t.join(20)
        b.must("start", b.id)
        text = _read_all(box[0][1]).decode()
        assert "/dev/pts/0" in text and "/dev/console" in text and "33 77" in text, text
        os.close(box[0][1])
        box.clear()
    with Bundle(args=["sleep", "1000"]).started() as b:
        t = _receive_master(b.dir + "/sock", box)
        b.must("exec", "--tty", "--detach", "--console-socket", b.dir + "/sock", b.id, "sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all")
        t.join(20)
        text = _read_all(box[0][1]).decode()
        assert "/dev/pts/0" in text and "all" in text, text


def run_connects_the_callers_terminal():
    with Bundle(args=sh("read line; echo got $line; exit 6"), terminal=True) as b:
        pid, master = pty.fork()
        if pid == 0:
            os.execv(rig.RASTRUN, [rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id])
        os.write(master, b"hello\n")
        text = _read_all(master).decode()
        assert "got hello" in text, text
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6


def signals_of_the_caller_reach_the_container():
    with Bundle(args=sh("trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done")) as b:
        p = subprocess.Popen([rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert p.stdout.readline() == b"ready\n"
        p.send_signal(10)
        assert p.stdout.readline() == b"got\n"
        assert p.wait(30) == 3
        p.stdout.close()


HOOK = """#!/bin/sh
state=$(cat)
echo "$1 $(readlink /proc/self/ns/mnt) $state" >> {log}
exit ${{2:-0}}
"""


def the_six_hooks_run_in_order_with_the_state_on_stdin():
    with Bundle(args=sh("echo main >> /tmp/log; exec sleep 1000")) as b:
        log = b.dir + "/hooks"
        script = b.dir + "/hook.sh"
        with open(script, "w") as f:
            f.write(HOOK.format(log=log))
        inner = "/bin/hook.sh"
        with open(b.rootfs + inner, "w") as f:
            f.write(HOOK.format(log="/tmp/log"))
        for path in (script, b.rootfs + inner):
            os.chmod(path, 0o755)
        env = ["PATH=/bin:/usr/bin"]
        hook = lambda name, path=script: [{"path": path, "args": ["hook", name], "env": env, "timeout": 20}]  # noqa: E731
        b.conf["hooks"] = {"prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"),
                           "startContainer": hook("startContainer", inner), "poststart": hook("poststart"), "poststop": hook("poststop")}
        b.conf["annotations"] = {"a.b": "c"}
        b.write()
        b.created()
        with open(log) as f:
            lines = f.read().splitlines()
        assert [line.split()[0] for line in lines] == ["prestart", "createRuntime", "createContainer"], lines
        own = os.readlink("/proc/self/ns/mnt")
        pid = b.state()["pid"]
        assert [line.split()[1] == own for line in lines] == [True, True, False]
        for line in lines:
            state = json.loads(line.split(None, 2)[2])
            assert state["status"] == "creating" and state["id"] == b.id and state["pid"] == pid and state["bundle"] == b.dir, state
            assert state["annotations"] == {"a.b": "c"}, state
        b.must("start", b.id)
        until(lambda: os.path.exists(b.rootfs + "/tmp/log") and "main" in open(b.rootfs + "/tmp/log").read())
        with open(b.rootfs + "/tmp/log") as f:
            inside = f.read().splitlines()
        assert inside[0].startswith("startContainer ") and json.loads(inside[0].split(None, 2)[2])["status"] == "created", inside
        assert inside[1] == "main"
        with open(log) as f:
            assert json.loads(f.read().splitlines()[-1].split(None, 2)[2])["status"] == "running"
        b.must("delete", "--force", b.id)
        with open(log) as f:
            last = f.read().splitlines()[-1]
        assert last.startswith("poststop ") and json.loads(last.split(None, 2)[2])["status"] == "stopped", last


def a_hook_that_fails_or_takes_too_long_ends_the_container():
    for kind, script, timeout, words in [("createRuntime", "exit 9", 20, "exit status 9"), ("createContainer", "exit 9", 20, "exit status 9"),
                                         ("prestart", "sleep 1000", 1, "took longer than its timeout"), ("poststart", "exit 9", 20, "exit status 9"),
                                         ("startContainer", "exit 9", 20, "exit status 9")]:
        with Bundle(args=["sleep", "1000"]) as b:
            b.conf["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], "timeout": timeout}]}
            b.write()
            r = b.run("--detach")
            assert r.status == 1 and words in r.err and f"hooks.{kind}[0]" in r.err, (kind, r)
            assert os.listdir(b.root) == [], kind


def descriptors_are_passed_on_only_when_they_are_asked_for():
    leak, keep = os.open("/", os.O_RDONLY), os.open("/etc/passwd", os.O_RDONLY)
    with Bundle(args=sh("ls /proc/self/fd")) as b:
        os.dup2(keep, 3)
        os.dup2(leak, 9)
        r = rig.run(rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id, pass_fds=(3, 9))
        assert r.out.split() == ["0", "1", "2", "3"], r  # 3 is the folder that ls reads
        r = rig.run(rig.RASTRUN, "--root", b.root, "run", "--preserve-fds", "1", "--bundle", b.dir, b.id, pass_fds=(3, 9))
        assert r.out.split() == ["0", "1", "2", "3", "4"], r
        r = rig.run(rig.RASTRUN, "--root", b.root, "run", "--preserve-fds", "5", "--bundle", b.dir, b.id, pass_fds=(3, 9))
        assert r.out.split() == ["0", "1", "2", "3", "4"], r  # what isn't open stays so: 4 is ls's folder
        b.conf["process"]["args"] = sh("echo $LISTEN_FDS $LISTEN_PID $$")
        b.write()
        r = rig.run(rig.RASTRUN, "--root", b.root, "run", "--bundle", b.dir, b.id, pass_fds=(3, 9), env=dict(os.environ, LISTEN_FDS="1"))
        assert r.out == "1 1 1\n", r
    for fd in (leak, keep):
        os.close(fd)


def a_user_who_is_not_root_opens_his_output_again():
    with Bundle(args=sh("echo again > /dev/stdout; echo err > /dev/stderr"), change=lambda c: c["process"].update(user={"uid": 1234, "gid": 1234}, capabilities={})) as b:
        r = b.run()
        assert r.ok and (r.out, r.err) == ("again\n", "err\n"), r
        assert os.stat("/dev/null").st_uid == 0


def many_containers_at_once_have_each_its_own_result():
    bundles = [Bundle(args=sh(f"exit {i}")) for i in range(12)]
    running = [subprocess.Popen([rig.RASTRUN, "--root", bundles[0].root, "run", "--bundle", b.dir, b.id], stdin=subprocess.DEVNULL) for b in bundles]
    assert [p.wait(60) for p in running] == list(range(12))
    assert os.listdir(bundles[0].root) == []
    for b in bundles:
        b.close()


def mounts_are_added_and_removed_while_it_runs():
    user = lambda c: (c["linux"]["namespaces"].append({"type": "user"}),  # noqa: E731
                      c["linux"].update({k: [{"containerID": 0, "hostID": 0, "size": 65536}] for k in ("uidMappings", "gidMappings")}))
    for change in (None, user):
        with Bundle(args=["sleep", "1000"], change=change).started() as b:
            os.mkdir(b.dir + "/data")
            with open(b.dir + "/data/file", "w") as f:
                f.write("the host's")
            mounts = [{"destination": "/mnt/data", "type": "bind", "source": b.dir + "/data", "options": ["rbind", "ro"]},
                      {"destination": "/mnt/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}, {"destination": "/mnt/proc", "type": "proc", "source": "proc"}]
            with open(b.dir + "/mounts", "w") as f:
                json.dump(mounts, f)
            b.must("mounts", "add", b.id, b.dir + "/mounts")
            r = b.exec("sh", "-c", "cat /mnt/data/file; touch /mnt/data/x; touch /mnt/tmp/x && cat /mnt/proc/1/comm")
            assert r.out == "the host'ssleep\n" and "Read-only" in r.err, r
            b.must("mounts", "remove", b.id, "-", input=json.dumps({"mounts": mounts[:2]}))
            r = b.exec("sh", "-c", "ls /mnt/data /mnt/tmp; ls /mnt/proc/1/comm")
            assert r.out == "/mnt/data:\n\n/mnt/tmp:\n/mnt/proc/1/comm\n", r
            again = b.cmd("mounts", "remove", b.id, "-", input=json.dumps(mounts[:1]))
            assert again.status == 1 and "unmount '/mnt/data'" in again.err, again
            os.symlink("/proc", b.rootfs + "/link")
            r = b.cmd("mounts", "add", b.id, "-", input=json.dumps([{"destination": "/link/sys", "type": "tmpfs", "source": "x"}]))
            assert r.status == 1 and "inside /proc" in r.err, r


if __name__ == "__main__":
    rig.start()
    rig.main([f for n, f in list(globals().items()) if callable(f) and "_" in n and not n.startswith("_") and getattr(f, "__module__", "") == "__main__"])
