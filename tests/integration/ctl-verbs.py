#!/usr/bin/env python3
"""What rastctl asks rastd for each verb, what it makes of the answers, and its exit statuses.

usage: ctl-verbs.py [RASTCTL]

rastd is played by this program: a Varlink server that answers as a test says. No privilege is needed; nothing outside of a temporary folder is touched."""

import json, os, pty, select, shutil, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
from command import Result  # noqa: E402

IFACE = "io.rastos.Supervisor"
EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_DENIED, EXIT_UNREACHABLE = range(6)


class Server:
    """answers: {"Start": reply, ...}; a reply is a dict, a list of dicts (for `more`), or ("ErrorName", dict). Calls are kept in .calls."""

    def __init__(self, path, answers):
        self.answers, self.calls = answers, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        data = b""
        while True:
            chunk = c.recv(65536)
            if not chunk:
                return
            data += chunk
            while b"\0" in data:
                one, data = data.split(b"\0", 1)
                for reply in self.replies(json.loads(one)):
                    c.sendall(json.dumps(reply).encode() + b"\0")

    def replies(self, call):
        method = call["method"].removeprefix(IFACE + ".")
        self.calls.append((method, call.get("parameters") or {}))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(call.get("parameters") or {})
        if answer is None:
            return [{"error": "org.varlink.service.MethodNotFound", "parameters": {"method": method}}]
        if isinstance(answer, tuple):
            name = answer[0] if "." in answer[0] else f"{IFACE}.{answer[0]}"
            return [{"error": name, "parameters": answer[1]}]
        if isinstance(answer, list):
            return [{"parameters": a, "continues": True} for a in answer[:-1]] + [{"parameters": answer[-1]}] if answer else [{"parameters": {}}]
        return [{"parameters": answer}]


class Case:
    def __init__(self, **answers):
        self.dir = tempfile.mkdtemp(prefix="rast-ctl-")
        for d in ("run", "etc/services", "lib/services", "log"):
            os.makedirs(f"{self.dir}/{d}")
        self.server = Server(f"{self.dir}/run/{IFACE}", answers) if answers else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.close()
        shutil.rmtree(self.dir)

    def put(self, path, text):
        os.makedirs(os.path.dirname(f"{self.dir}/{path}"), exist_ok=True)
        with open(f"{self.dir}/{path}", "w") as f:
            f.write(text)

    def words(self, *args):
        d = self.dir
        return [RASTCTL, *args, f"--run-dir={d}/run", f"--etc-dir={d}/etc", f"--lib-dir={d}/lib", f"--log-dir={d}/log"]

    def ctl(self, *args, env=None, **more):
        return Result.of(subprocess.run(self.words(*args), capture_output=True, text=True, timeout=20, env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", **(env or {})}, **more))

    def expect(self, status, *args, **more):
        r = self.ctl(*args, **more)
        assert r.status == status, f"{' '.join(args)}: {status} was expected: {r!r}"
        return r

    def called(self, *calls):
        got, self.server.calls = self.server.calls, []
        assert got == list(calls), f"calls: {got}, expected {list(calls)}"


def service(name, state="up", **more):
    return {"name": name, "type": "longrun", "file": f"/etc/rastos/services/{name}.ini", "line": 1, "state": state, "wanted": state == "up", "enabled": True, "boot_critical": False,
            "needs_restart": False, "restarts": 0, "since_us": 1000000, "since_realtime_us": 1700000000000000, "wanted_us": 0, "started_us": 0, "ready_us": 0, "depends": [], "dependents": [], **more}


BOOT = {"target": "default", "state": "good", "started_us": 1000, "up_us": 2000, "good_us": 3000}
PING = {"version": "9.9", "pid": 77, "instance": 1, "generation": 4, "services": 2, "standalone": False, "boot": BOOT}


def start_stop_restart_and_reload_ask_for_what_was_typed():
    done = {"changed": ["a"]}
    with Case(Start=done, Stop=done, Restart=done, Reload=done) as c:
        c.expect(EXIT_DONE, "start", "a", "b")
        c.called(("Start", {"names": ["a", "b"]}))
        c.expect(EXIT_DONE, "stop", "a", "--force", "--no-wait")
        c.called(("Stop", {"names": ["a"], "force": True, "wait": False}))
        assert c.expect(EXIT_DONE, "restart", "a", "-n").out == "would restart: a\n"
        c.called(("Restart", {"names": ["a"], "dry_run": True}))
        assert json.loads(c.expect(EXIT_DONE, "--json", "reload", "a").out) == done
        c.called(("Reload", {"names": ["a"]}))
        for verb in ("start", "stop", "restart", "reload", "enable", "disable", "signal", "cat", "is-active"):
            assert "which service" in c.expect(EXIT_USAGE, verb).err
        c.called()


def every_error_has_its_status_and_says_what_to_do():
    cases = [
        (("NoSuchService", {"name": "wbe", "near": "web"}), EXIT_DENIED, "did you mean 'web'?"),
        (("NoSuchService", {"name": "x"}), EXIT_DENIED, "rastctl list"),
        (("HasDependents", {"name": "db", "dependents": ["web", "ui"]}), EXIT_FAILED, "'db' is needed by web, ui; --force"),
        (("Conflict", {"name": "a", "with": "b"}), EXIT_FAILED, "'a' conflicts with 'b'"),
        (("StartFailed", {"name": "a", "reason": "exited with status 3", "log": ["last \033words"]}), EXIT_FAILED, "last \\x1bwords"),
        (("StopFailed", {"name": "a", "reason": "it would not die"}), EXIT_FAILED, "it would not die"),
        (("Timeout", {"name": "a", "state": "starting"}), EXIT_FAILED, "'a' is starting"),
        (("Invalid", {"problems": [{"level": "error", "file": "/x.ini", "line": 3, "text": "bad key"}]}), EXIT_FAILED, "/x.ini:3: bad key"),
        (("Busy", {"what": "shutdown"}), EXIT_FAILED, "shutdown"),
        (("NotPermitted", {}), EXIT_DENIED, "only root"),
        (("org.varlink.service.PermissionDenied", {}), EXIT_DENIED, "only root"),
        (("NotRunning", {"name": "a"}), EXIT_NOT_RUNNING, "'a' is not running"),
        (("BadArgument", {"parameter": "names", "text": "no good"}), EXIT_USAGE, "names: no good"),
        (("Error", {"errno": 28, "name": "ENOSPC", "text": "no space"}), EXIT_FAILED, "no space"),
        (("Unheard", {"x": 1}), EXIT_FAILED, "Unheard"),
        (None, EXIT_FAILED, "reexec"),
    ]
    for answer, status, text in cases:
        with Case(Start=answer, Ping=PING) as c:
            r = c.expect(status, "start", "a")
            assert text in r.err and r.out == "", r
            if answer:
                assert json.loads(c.expect(status, "start", "a", "--json").out)["parameters"] == answer[1]


def without_rastd_it_says_so():
    with Case() as c:
        for words in (["start", "a"], ["status"], ["list"], ["tree"], ["apply"], ["wait"], ["events"], ["version"], ["rescue"]):
            r = c.expect(EXIT_UNREACHABLE, *words)
            assert "rastd can't be reached" in r.err and "rastctl logs rastd" in r.err, r
            assert json.loads(c.expect(EXIT_UNREACHABLE, "--json", *words).out)["error"].endswith("Unreachable")


def wrong_usage_is_status_2():
    with Case(Ping=PING) as c:
        assert c.expect(EXIT_DONE, "help", "start").out == c.expect(EXIT_DONE, "start", "--help").out
        assert "did you mean 'start'" in c.expect(EXIT_USAGE, "strat").err
        c.expect(EXIT_USAGE)
        c.expect(EXIT_USAGE, "start", "--no-such-option", "a")
        c.expect(EXIT_USAGE, "tree", "a", "b")
        c.expect(EXIT_USAGE, "signal", "--signal=NOPE", "a")
        c.expect(EXIT_USAGE, "logs", "--since=whenever")
        c.expect(EXIT_USAGE, "poweroff", "now")


def list_filters_and_prints_tables_names_and_json():
    services = [{"service": service("cron")}, {"service": service("db", "failed", reason="exited with status 3", restarts=2)}, {"service": service("web", pid=12, description="A web server")}]
    with Case(List=services) as c:
        out = c.expect(EXIT_DONE, "list").out.splitlines()
        assert out[0].split() == ["NAME", "TYPE", "STATE", "FOR", "PID", "RESTARTS"] and len(out) == 4, out
        assert "exited with status 3" in out[2] and "A web server" in out[3] and " 12 " in out[3], out
        assert "\033" not in "".join(out), "colours without a terminal"
        assert c.expect(EXIT_DONE, "list", "--names").out == "cron\ndb\nweb\n"
        assert c.expect(EXIT_DONE, "list", "--names", "w*", "c?on").out == "cron\nweb\n"
        assert c.expect(EXIT_DONE, "list", "--names", "--failed").out == "db\n"
        assert c.expect(EXIT_DONE, "list", "--names", "--state=up").out == "cron\nweb\n"
        assert c.expect(EXIT_DONE, "list", "--names", "--type=bundle").out == ""
        c.expect(EXIT_DENIED, "list", "nothing*")
        assert [s["name"] for s in json.loads(c.expect(EXIT_DONE, "list", "--json").out)] == ["cron", "db", "web"]


def status_says_what_is_known_and_3_when_it_is_not_up():
    s = service("web", pid=12, restarts=2, reason="it waits", depends=["db"], exit={"code": "killed", "status": 9, "signal": "SIGKILL"}, description="A \033web server")
    reply = {"service": s, "processes": [{"pid": 999999, "parent": 1, "command": "web --main", "memory_bytes": 2097152, "cpu_us": 1500000, "main": True},
                                         {"pid": 999998, "parent": 999999, "command": "worker", "memory_bytes": 1048576, "cpu_us": 0, "main": False}], "log": ["line one", "line two"]}
    with Case(Status=lambda p: reply if p["name"] == "web" else ("NoSuchService", {"name": p["name"]}) if p["name"] == "x" else {"service": service(p["name"], "down"), "processes": [], "log": []}) as c:
        out = c.expect(EXIT_DONE, "status", "web").out
        c.called(("Status", {"name": "web", "lines": 10}))
        for text in ("A \\x1bweb server", "web --main", "3.0 MiB", "killed by SIGKILL", "Restarts: 2", "1.5s", "line two", "Needs: db", "2023-11-14 22:13:20 UTC"):
            assert text in out, f"{text!r} is not in\n{out}"
        tree = [l for l in out.splitlines() if "worker" in l or "web --main" in l]
        assert tree[1].index("999998") > tree[0].index("999999"), "a child is not below its parent"
        c.expect(EXIT_NOT_RUNNING, "status", "db", "-n", "0")
        c.called(("Status", {"name": "db", "lines": 0}))
        c.expect(EXIT_DENIED, "status", "web", "x")
        assert json.loads(c.expect(EXIT_DONE, "status", "web", "--json").out) == reply
        assert c.expect(EXIT_DONE, "is-active", "web").out == "up\n"
        assert c.expect(EXIT_NOT_RUNNING, "is-active", "db").out == "down\n"
        assert c.expect(EXIT_DONE, "is-active", "db", "web", "-q").out == ""
        c.expect(EXIT_FAILED, "is-failed", "web")
        assert c.expect(EXIT_DONE, "is-enabled", "web").out == "enabled\n"


def status_without_a_name_shows_the_machine():
    with Case(Ping=PING, List=[{"service": service("a")}, {"service": service("b", "failed", reason="why not")}]) as c:
        out = c.expect(EXIT_DONE, "status").out
        assert "default: good" in out and "2, of which 1 are up" in out and "why not" in out and "9.9" in out, out
        assert json.loads(c.expect(EXIT_DONE, "status", "--json").out)["counts"] == {"total": 2, "up": 1, "failed": 1}


def tree_draws_each_service_once_and_marks_it_again():
    edges = [{"from": "default", "to": "web", "kind": "contents"}, {"from": "default", "to": "ui", "kind": "contents"}, {"from": "web", "to": "db", "kind": "depends"},
             {"from": "ui", "to": "db", "kind": "wants"}, {"from": "db", "to": "disk", "kind": "depends"}]
    reply = {"root": "default", "services": [service(n) for n in ("default", "web", "ui", "db", "disk")], "edges": edges}
    with Case(Tree=reply) as c:
        assert c.expect(EXIT_DONE, "tree").out == "default up\n├─ web up\n│  └─ db up\n│     └─ disk up\n└─ ui up\n   └─ db up (wants) *\n"
        c.called(("Tree", {}))
        assert c.expect(EXIT_DONE, "tree", env={"LC_ALL": "C"}).out.splitlines()[1] == "|-- web up"
    with Case(Tree={"root": "db", "services": [service(n) for n in ("db", "web")], "edges": [{"from": "web", "to": "db", "kind": "depends"}]}) as c:
        assert c.expect(EXIT_DONE, "tree", "db", "--reverse").out == "db up\n└─ web up\n"
        c.called(("Tree", {"name": "db", "reverse": True}))


def wait_signal_reset_and_reexec_ask_for_what_was_typed():
    instances = iter([1, 1, 2])
    with Case(Wait={"services": []}, Signal={}, Reset={"changed": ["a"]}, Reexec={}, Ping=lambda p: {**PING, "instance": next(instances)}) as c:
        c.expect(EXIT_DONE, "wait", "a", "-s", "settled", "--timeout=2s")
        c.called(("Wait", {"names": ["a"], "state": "settled", "timeout_us": 2000000}))
        c.expect(EXIT_DONE, "signal", "-s", "HUP", "--all", "a", "b")
        c.called(("Signal", {"name": "a", "signal": "HUP", "all": True}), ("Signal", {"name": "b", "signal": "HUP", "all": True}))
        c.expect(EXIT_DONE, "kill", "a")
        c.called(("Signal", {"name": "a", "signal": "TERM"}))
        assert c.expect(EXIT_DONE, "reset").out == "failure forgotten: a\n"
        c.called(("Reset", {}))
        c.expect(EXIT_DONE, "reset-failed", "a", "-q")
        c.called(("Reset", {"names": ["a"]}))
        c.expect(EXIT_DONE, "reexec")
        c.called(("Ping", {}), ("Reexec", {}), ("Ping", {}), ("Ping", {}))


def apply_says_what_changes():
    reply = {"generation": 5, "added": ["new"], "removed": [], "changed": ["web"], "restarted": ["web"], "problems": [{"level": "warning", "file": "/w.ini", "line": 2, "text": "hm"}]}
    with Case(Apply=reply) as c:
        r = c.expect(EXIT_DONE, "apply", "--restart")
        c.called(("Apply", {"restart": True}))
        assert r.out == "added: new\nchanged: web\nrestarted: web\n" and r.err == "/w.ini:2: warning: hm\n", r
        assert "would be added: new" in c.expect(EXIT_DONE, "apply", "--dry-run").out
        c.called(("Apply", {"dry_run": True}))


def enable_and_disable_edit_links_and_apply():
    with Case(Ping=PING, Apply={"generation": 2, "added": [], "removed": [], "changed": [], "restarted": [], "problems": []}, Start={"changed": []}, Stop={"changed": []}) as c:
        c.put("etc/services/web.ini", "[service]\ntype = longrun\nexec = sleep 1\n")
        c.put("lib/services/getty@.ini", "[service]\ntype = longrun\nexec = sleep 1\n")
        link = f"{c.dir}/etc/enabled/"
        assert c.expect(EXIT_DONE, "enable", "web", "getty@tty1").out == "enabled: web\nenabled: getty@tty1\n"
        assert os.readlink(link + "web") == f"{c.dir}/etc/services/web.ini" and os.readlink(link + "getty@tty1") == f"{c.dir}/lib/services/getty@.ini"
        assert sorted(os.listdir(link)) == ["getty@tty1", "web"], "a temporary link is left"
        c.called(("Ping", {}), ("Apply", {}))
        os.symlink(f"{c.dir}/etc/services/web.ini", link + "web.ini")
        c.expect(EXIT_DONE, "disable", "web", "--now")
        assert os.readlink(link + "web") == "/dev/null" and not os.path.lexists(link + "web.ini")
        c.called(("Ping", {}), ("Apply", {}), ("Stop", {"names": ["web"]}))
        c.expect(EXIT_DONE, "enable", "web", "--now")
        c.called(("Ping", {}), ("Apply", {}), ("Start", {"names": ["web"]}))
        before = os.readlink(link + "web")
        c.expect(EXIT_DONE, "disable", "web", "--dry-run")
        assert os.readlink(link + "web") == before
        c.called()
        c.expect(EXIT_DENIED, "enable", "none")
        c.expect(EXIT_DENIED, "enable", "../etc/services/web")
        c.called()
    with Case() as c:
        c.put("etc/services/web.ini", "x")
        assert "next start" in c.expect(EXIT_DONE, "enable", "web").err
        assert os.path.islink(f"{c.dir}/etc/enabled/web")


def enabling_what_makes_the_set_bad_is_taken_back():
    sleep = "[service]\ntype = longrun\nexec = sleep 1\n"
    with Case() as c:
        c.put("etc/services/web.ini", sleep)
        c.put("etc/services/rival.ini", sleep + "[dependencies]\nconflicts = web\n")
        link = f"{c.dir}/etc/enabled"
        c.expect(EXIT_DONE, "enable", "web")
        r = c.expect(EXIT_FAILED, "enable", "rival")
        assert "conflicts" in r.err and "nothing is enabled" in r.err, r
        assert os.listdir(link) == ["web"], os.listdir(link)
        c.expect(EXIT_DONE, "disable", "web")
        c.expect(EXIT_DONE, "enable", "rival")
        c.expect(EXIT_FAILED, "enable", "web")
        assert os.readlink(link + "/web") == "/dev/null", "what was disabled stays so"
        c.expect(EXIT_DONE, "check")
        c.put("etc/services/bad.ini", "[service]\ntype = nonsense\n")
        c.expect(EXIT_DONE, "enable", "web")  # it was bad before: apply and check tell, enabling is not to blame


def check_compiles_without_rastd_and_tells_every_problem():
    with Case() as c:
        c.put("etc/services/good.ini", "[service]\ntype = longrun\nexec = sleep 1\n")
        assert "1 service, no error" in c.expect(EXIT_DONE, "check").out
        c.put("etc/services/bad.ini", "[service]\ntype = longrun\nexce = sleep 1\nuser = \n[dependencies]\ndepends = nobody\n")
        r = c.expect(EXIT_FAILED, "check")
        assert "bad.ini:3: " in r.err and "exec" in r.err and "bad.ini:6: " in r.err, r
        j = json.loads(c.expect(EXIT_FAILED, "check", "--json").out)
        assert not j["ok"] and {p["line"] for p in j["problems"]} >= {3, 6}, j
        c.expect(EXIT_DONE, "check", f"{c.dir}/etc/services/good.ini")
        c.expect(EXIT_FAILED, "check", f"{c.dir}/etc/services/bad.ini")
        c.expect(EXIT_FAILED, "check", f"{c.dir}/etc/services")
        assert "no error" not in c.expect(EXIT_FAILED, "check", f"{c.dir}/none").out


def cat_prints_the_file_and_its_drop_ins():
    with Case() as c:
        c.put("lib/services/web.ini", "[service]\n")
        c.put("etc/services/web.d/10-more.ini", "[stop]")
        out = c.expect(EXIT_DONE, "cat", "web").out
        assert out == f"# {c.dir}/lib/services/web.ini\n[service]\n\n# {c.dir}/etc/services/web.d/10-more.ini\n[stop]\n", out
        c.expect(EXIT_DENIED, "cat", "none")


def stamp(second, micro=0):
    return f"2026-11-22T10:00:{second:02}.{micro:06}Z"


def logs_are_merged_by_time_and_filtered():
    with Case() as c:
        c.put("log/a.log.1", f"{stamp(1)} a: one\n")
        c.put("log/a.log", f"{stamp(3)} a: three\n{stamp(5)} a: five\n")
        c.put("log/b.log", f"{stamp(2)} b: two\n{stamp(4)} b: fo\tur\n")
        c.put("run/log/b.log", f"{stamp(6)} b: six\n")
        words = lambda *args: [l.split(": ", 1)[1] for l in c.expect(EXIT_DONE, "logs", *args).out.splitlines()]
        assert words() == ["one", "two", "three", "fo\tur", "five", "six"]
        assert words("b") == ["two", "fo\tur", "six"]
        assert words("-n", "2") == ["five", "six"]
        assert words("-n", "0") == []
        assert words("--since", "2026-11-22 10:00:04", "a", "b") == ["fo\tur", "five", "six"]
        assert words("--until", "2026-11-22 10:00:02") == ["one", "two"]
        assert words("--until", "2026-11-22 10:00:04", "-n", "1") == ["fo\tur"]
        assert c.expect(EXIT_DONE, "logs", "--plain", "a").out == "one\nthree\nfive\n"
        objects = [json.loads(l) for l in c.expect(EXIT_DONE, "logs", "--json", "a").out.splitlines()]
        assert objects[0] == {"time": stamp(1), "service": "a", "text": "one"}
        assert "rastctl status none" in c.expect(EXIT_DENIED, "logs", "none").err
        c.expect(EXIT_USAGE, "logs", "../secret")


def logs_has_the_logger_write_first():
    with Case(SyncLogs={}) as c:
        c.put("log/a.log", f"{stamp(1)} a: one\n")
        c.expect(EXIT_DONE, "logs", "a")
        c.called(("SyncLogs", {}))
        c.expect(EXIT_DONE, "logs", "a", "--no-sync")
        c.called()


def logs_follows_through_rotations_and_new_services():
    with Case() as c:
        c.put("log/a.log", f"{stamp(1)} a: one\n")
        p = subprocess.Popen(c.words("logs", "-f", "--plain"), stdout=subprocess.PIPE)
        try:
            got = b""

            def until(want):
                nonlocal got
                end = time.monotonic() + 10
                while got != want:
                    assert want.startswith(got) and select.select([p.stdout], [], [], max(0, end - time.monotonic()))[0], (got, want)
                    got += os.read(p.stdout.fileno(), 4096)

            until(b"one\n")
            log = f"{c.dir}/log/a.log"
            with open(log, "a") as f:
                f.write(f"{stamp(2)} a: tw")
                f.flush()
                time.sleep(0.1)
                f.write("o\n")
            until(b"one\ntwo\n")
            with open(log, "a") as f:
                f.write(f"{stamp(3)} a: three\n")
            os.rename(log, log + ".1")
            c.put("log/a.log", f"{stamp(4)} a: four\n")
            until(b"one\ntwo\nthree\nfour\n")
            c.put("log/new.log", f"{stamp(5)} new: five\n")
            until(b"one\ntwo\nthree\nfour\nfive\n")
            p.stdout.close()
            with open(log, "a") as f:
                f.write(f"{stamp(6)} a: six\n")
            p.wait(10)
        finally:
            p.kill()
            p.wait()


def logs_follows_a_service_that_has_said_nothing_yet():
    with Case() as c:
        c.put("log/a.log", f"{stamp(1)} a: one\n")
        p = subprocess.Popen(c.words("logs", "-f", "--plain", "later"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert b"waiting for it" in p.stderr.readline()
            c.put("log/a.log", f"{stamp(2)} a: not this\n")
            c.put("log/later.log", f"{stamp(3)} later: hello\n")
            assert select.select([p.stdout], [], [], 10)[0] and os.read(p.stdout.fileno(), 4096) == b"hello\n"
        finally:
            p.kill()
            p.wait()
        c.expect(EXIT_DENIED, "logs", "later-still")


def events_are_printed_as_they_come():
    events = [{"event": {"event": "state", "time_us": 1, "time_realtime_us": 1700000000000000, "service": "web", "old": "starting", "state": "up"}},
              {"event": {"event": "generation", "time_us": 2, "time_realtime_us": 1700000000000000, "generation": 7}}]
    with Case(Subscribe=events) as c:
        out = c.expect(EXIT_DONE, "events", "--all").out
        c.called(("Subscribe", {"initial": True}))
        assert "starting -> up" in out and "generation 7" in out, out
        assert [json.loads(l)["event"] for l in c.expect(EXIT_DONE, "monitor", "--json").out.splitlines()] == ["state", "generation"]


def power_goes_through_rastd_and_never_to_a_foreign_pid_1():
    root = os.geteuid() == 0
    with Case(Power={}) as c:
        if not (os.path.exists("/sys/kernel/kexec_loaded") and open("/sys/kernel/kexec_loaded").read().startswith("1")):
            assert "nothing was done" in c.expect(EXIT_FAILED, "kexec").err
            c.called()
        for verb in ("poweroff", "reboot", "halt"):
            assert verb in c.expect(EXIT_DONE, verb, "--dry-run").out
            if root:
                c.expect(EXIT_DONE, verb, "-m", "bye")
                c.called(("Power", {"kind": verb, "force": False, "message": "bye"}))
            else:
                c.expect(EXIT_DENIED, verb)
    with Case(Power=("Busy", {"what": "shutdown"})) as c:
        if root:
            assert "busy: shutdown" in c.expect(EXIT_FAILED, "poweroff").err
    with Case() as c:
        if root and open("/proc/1/comm").read() not in ("rastinit\n", "init\n"):
            assert "nothing was done" in c.expect(EXIT_UNREACHABLE, "poweroff").err
            assert "nothing was done" in c.expect(EXIT_UNREACHABLE, "reboot", "-f", "--no-sync").err
        assert "without stopping services" in c.expect(EXIT_DONE, "poweroff", "-f", "--dry-run").out
        assert "at once" in c.expect(EXIT_DONE, "poweroff", "-ff", "--dry-run").out


def the_old_names_mean_what_they_always_meant():
    with Case(Apply={}, Power={}) as c:
        def old(name, *args, status=EXIT_DONE):
            os.path.lexists(f"{c.dir}/{name}") or os.symlink(RASTCTL, f"{c.dir}/{name}")
            r = Result.of(subprocess.run([f"{c.dir}/{name}", *args, f"--run-dir={c.dir}/run"], capture_output=True, text=True, timeout=20, env={**os.environ, "TZ": "UTC"}))
            assert r.status == status, f"{name} {args}: {r!r}"
            return r

        for name, args, want in (("reboot", [], "reboot"), ("poweroff", [], "poweroff"), ("halt", [], "halt"), ("halt", ["-p"], "poweroff"), ("reboot", ["-f"], "reboot without stopping services"),
                                 ("poweroff", ["-f", "-f"], "poweroff at once, by the kernel"), ("telinit", ["0"], "power off"), ("telinit", ["6"], "reboot"), ("telinit", ["q"], "read the service files anew")):
            assert old(name, "--dry-run", *args).out == f"would {want}\n", (name, args)
        for args, want in ((["now"], "poweroff"), (["-r", "now"], "reboot"), (["-H", "+0"], "halt"), (["-h", "now", "a", "message"], "poweroff")):
            assert old("shutdown", "--dry-run", *args).out.startswith(f"would {want} at "), args
        assert "shutdown: 'soon' is not a time" in old("shutdown", "soon", status=EXIT_USAGE).err
        old("telinit", "9", status=EXIT_USAGE)
        old("telinit", status=EXIT_USAGE)
        old("telinit", "q")
        c.called(("Apply", {}))
        old("shutdown", "--show", status=EXIT_FAILED)


def a_shutdown_for_later_can_be_shown_and_cancelled():
    if os.geteuid() != 0:
        return
    with Case(Power={}) as c:
        os.symlink(RASTCTL, f"{c.dir}/shutdown")
        run = lambda *args: Result.of(subprocess.run([f"{c.dir}/shutdown", "--no-wall", *args, f"--run-dir={c.dir}/run"], capture_output=True, text=True, timeout=20, env={**os.environ, "TZ": "UTC"}))
        r = run("+60", "bye")
        assert r.status == EXIT_DONE and r.out.startswith("poweroff at "), r
        shown = run("--show")
        assert shown.status == EXIT_DONE and shown.out.startswith("poweroff at "), shown
        first = int(open(f"{c.dir}/run/shutdown").read().split()[0])
        assert run("-r", "+90").status == EXIT_DONE
        second = int(open(f"{c.dir}/run/shutdown").read().split()[0])
        assert first != second and "reboot at" in run("--show").out, "the second one counts"
        assert run("-c").status == EXIT_DONE
        end = time.monotonic() + 5
        while any(os.path.exists(f"/proc/{p}") and " Z " not in open(f"/proc/{p}/stat").read() for p in (first, second)):
            assert time.monotonic() < end, "a waiting process is left"
            time.sleep(0.02)
        assert run("--show").status == EXIT_FAILED and run("-c").status == EXIT_FAILED
        c.called()


def colours_are_for_terminals_and_for_who_wants_them():
    with Case(List=[{"service": service("web", description="d" * 200)}]) as c:
        def on_terminal(**env):
            parent, child = pty.openpty()
            import fcntl, struct, termios
            fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
            subprocess.run(c.words("list"), stdout=child, timeout=20, env={**os.environ, "TERM": "xterm", **env})
            os.close(child)
            text = b""
            try:
                while chunk := os.read(parent, 4096):
                    text += chunk
            except OSError:
                pass
            os.close(parent)
            return text.decode()

        with_colour = on_terminal(NO_COLOR="")
        assert "\033[32mup\033[0m" in with_colour, repr(with_colour)
        without = on_terminal(NO_COLOR="1")
        assert "\033" not in without and "\033" not in on_terminal(NO_COLOR="", TERM="dumb")
        lines = without.splitlines()
        assert all(len(l) <= 80 for l in lines) and lines[1].endswith("..."), "a row is wider than the terminal"


def the_ledger_is_shown_without_rastd():
    with Case() as c:
        c.put("run/boot", "snapshot=3\nreason=tries\ntext=because\nnote=first\nnote=second\n")
        r = c.ctl("boot", "--ledger=/nonexistent")
        assert r.status == EXIT_FAILED and "snapshot: 3" in r.out and "  second" in r.out and "/nonexistent" in r.err, r
        assert json.loads(c.expect(EXIT_DONE, "boot", "--json", "--ledger=/nonexistent").out) == {
            "decision": {"snapshot": "3", "reason": "tries", "text": "because", "notes": ["first", "second"]}, "ledger": None}


def completion_names_every_verb():
    with Case() as c:
        for shell in ("bash", "zsh", "fish"):
            text = c.expect(EXIT_DONE, f"--completion={shell}").out
            for verb in ("status", "start", "is-active", "poweroff", "logs"):
                assert verb in text, (shell, verb)
        subprocess.run(["bash", "-n"], input=c.expect(EXIT_DONE, "--completion=bash").out, text=True, check=True)


TESTS = [start_stop_restart_and_reload_ask_for_what_was_typed, every_error_has_its_status_and_says_what_to_do, without_rastd_it_says_so, wrong_usage_is_status_2,
         list_filters_and_prints_tables_names_and_json, status_says_what_is_known_and_3_when_it_is_not_up, status_without_a_name_shows_the_machine,
         tree_draws_each_service_once_and_marks_it_again, wait_signal_reset_and_reexec_ask_for_what_was_typed, apply_says_what_changes, enable_and_disable_edit_links_and_apply, enabling_what_makes_the_set_bad_is_taken_back,
         check_compiles_without_rastd_and_tells_every_problem, cat_prints_the_file_and_its_drop_ins, logs_are_merged_by_time_and_filtered, logs_has_the_logger_write_first,
         logs_follows_through_rotations_and_new_services, logs_follows_a_service_that_has_said_nothing_yet, events_are_printed_as_they_come, power_goes_through_rastd_and_never_to_a_foreign_pid_1,
         the_old_names_mean_what_they_always_meant, a_shutdown_for_later_can_be_shown_and_cancelled, colours_are_for_terminals_and_for_who_wants_them,
         the_ledger_is_shown_without_rastd, completion_names_every_verb]

if __name__ == "__main__":
    RASTCTL = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAST_BUILD", "build") + "/supervisor/ctl/rastctl")
    wanted = sys.argv[2:]
    chosen = [t for t in TESTS if not wanted or t.__name__ in wanted]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, test in enumerate(chosen, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}", flush=True)
        except Exception as e:
            failed += 1
            print(f"not ok {number} {test.__name__}", flush=True)
            for line in f"{type(e).__name__}: {e}".splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
