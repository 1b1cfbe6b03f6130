#!/usr/bin/python3
"""Each key of a service file does what rast.service(5) says, as seen from inside the service or through rastctl."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

TELL = """#!/bin/sh
# What this process was given, into a file that is named after it
{ echo "id $(id -u) $(id -g) $(id -G)"; env; grep -v ^Limit /proc/self/limits; } > "/run/$SERVICE_NAME.$1"
"""


def service(kind, exec_, extra="", **sections):
    return f"[service]\ntype = {kind}\nexec = {exec_}\n{extra}" + "".join(f"[{name}]\n{body}\n" for name, body in sections.items())


def sleeper(extra="", **sections):
    return service("longrun", "sleep 1000", extra, **sections)


def reload_waits_for_exec_reload_and_says_when_it_failed():
    with Machine({"good.ini": sleeper("exec-reload = sh -c 'sleep 0.3; echo reloaded $MAINPID'\n"), "bad.ini": sleeper("exec-reload = sh -c 'exit 3'\n"),
                  "none.ini": sleeper("exec-reload = /no/such/program\n"), "not.ini": sleeper(),
                  "sig.ini": service("longrun", "bash -c 'trap \"echo heard\" HUP; while :; do sleep 0.05; done'", "reload-signal = HUP\n")}) as m:
        m.booted()
        began = time.monotonic()
        m.ctl("reload", "good", timeout=10)
        assert 0.25 < time.monotonic() - began < 5
        m.until(lambda: m.log("good") == [f"reloaded {m.service('good')['pid']}"], 5, lambda: m.log("good"))
        for name in ("bad", "none"):
            r = m.ctl("reload", name, timeout=10, check=False)
            assert r.status == 1 and "exec-reload failed" in r.err and m.state(name) == "up", r
        r = m.ctl("reload", "not", check=False)
        assert r.status == 2 and "not" in r.err and "exec-reload" in r.err, r
        r = m.ctl("reload", "sig", "not", check=False)
        assert r.status == 2 and not m.log("sig"), r
        m.ctl("reload", "sig")
        m.until(lambda: m.log("sig") == ["heard"], 5, lambda: m.log("sig"))


def a_restart_limit_tells_why_the_last_start_failed():
    twice = {"restart": "limit = 2\ndelay = 10ms"}
    with Machine({"bad.ini": service("longrun", "/no/such/program", **twice), "pre.ini": sleeper("pre-start = false\n", **twice),
                  "exit.ini": service("longrun", "sh -c 'exit 4'", **twice)}) as m:
        for name, reason in (("bad", "exec /no/such/program: No such file"), ("pre", "pre-start failed"), ("exit", "status 4")):
            m.wait_state(name, "failed")
            assert "2 times" in m.service(name)["reason"] and reason in m.service(name)["reason"], m.service(name)


def what_counts_as_success_does_however_fast_it_ends():
    # a working directory makes rastd fork and go on: the end of the process can be known before the start is
    quick = {f"q{i}.ini": service("longrun", "sh -c 'exit 7'" if i % 2 else "sh -c 'kill -USR1 $$'", "working-directory = /tmp\n",
                                  restart="policy = on-failure\nsuccess = 7 USR1") for i in range(40)}
    with Machine(quick) as m:
        m.until(lambda: all(m.services()[n[:-4]]["state"] == "down" for n in quick), 10)
        for name, s in m.services().items():
            assert s["restarts"] == 0 and "reason" not in s, s


def environment_account_and_limits_are_those_of_the_file():
    text = ("user = www-data\ngroups = audio video\nenvironment = A=b c \"d\"=e\nenvironment = B=mine\nenvironment-file = /etc/one -/etc/not-there\n"
            "exec-stop = tell stop\npost-stop = tell post\npre-start = tell pre\n")
    limits = "nofile = 100:200\ncore = 0\nnproc = 500\nstack = 4M\ncpu = 100\nrtprio = 0\nmemlock = 32K\nfsize = 1G"
    files = {"/usr/bin/tell": TELL, "/etc/one": "# a comment\nE1=one two\nE2=\"q q\"\nB=from the file\n"}
    with Machine({"s.ini": service("longrun", "sh -c 'tell main; exec sleep 1000'", text, limits=limits)}, files, enabled=[]) as m:
        m.sh("chmod 1777 /run", check=True)
        m.ctl("start", "s")
        m.until(lambda: "Max realtime priority" in m.read("/run/s.main", ""), 5)
        pid = m.service("s")["pid"]
        m.ctl("stop", "s")
        seen = {kind: m.read(f"/run/s.{kind}").splitlines() for kind in ("pre", "main", "stop", "post")}
        for kind, lines in seen.items():
            assert "id 33 33 33 29 44" in lines, (kind, lines)
            for line in ('A=b c "d"=e', "B=mine", "E1=one two", "E2=q q", "USER=www-data", "LOGNAME=www-data", "HOME=/var/www", "SERVICE_NAME=s"):
                assert line in lines, (kind, line, lines)
        assert f"MAINPID={pid}" in seen["stop"]
        assert "EXIT_CODE=killed" in seen["post"] and "EXIT_STATUS=TERM" in seen["post"], seen["post"]
        words = [line.split() for line in seen["main"]]
        for limit in ("open files 100 200", "core file size 0 0", "processes 500 500", "stack size 4194304 4194304", "cpu time 100 100",
                      "realtime priority 0 0", "locked memory 32768 32768", "file size 1073741824 1073741824"):
            assert any(w[1:1 + len(limit.split())] == limit.split() for w in words), (limit, seen["main"])


def files_that_are_slow_to_read_keep_only_their_service_waiting():
    slow = service("longrun", "sh -c 'echo got $A; exec sleep 1000'", "environment-file = /run/late.env\nuser = daemon\n", readiness="start-timeout = 1min")
    never = service("longrun", "sleep 1000", "environment-file = /run/never.env\n", readiness="start-timeout = 700ms", restart="policy = no", stop="timeout = 300ms")
    pre = service("longrun", "sleep 1000", "environment-file = /run/pre.env\npre-start = true\n", restart="policy = no")
    who = service("longrun", "sleep 1000", "user = nobody-of-that-name\n", restart="policy = no")
    with Machine({"slow.ini": slow, "never.ini": never, "who.ini": who, "pre.ini": pre, "quick.ini": sleeper()}, enabled=["quick"]) as m:
        m.booted()
        m.sh("mkfifo /run/late.env /run/never.env && cp /etc/passwd /run/passwd && rm /etc/passwd && mkfifo /etc/passwd", check=True)
        m.ctl("start", "--no-wait", "slow", "never", "who")
        for _ in range(3):
            m.ctl("restart", "quick", timeout=5)
        assert m.state("slow") == "starting" and m.state("who") == "starting"
        m.wait_state("never", "failed")
        assert "not ready after 0.7 s" in m.service("never")["reason"], m.service("never")
        m.sh("mv /run/passwd /etc/passwd.new && for i in 1 2; do timeout 5 cp /etc/passwd.new /etc/passwd || cat /etc/passwd.new > /etc/passwd; done; mv /etc/passwd.new /etc/passwd", timeout=20)
        m.sh("echo A=B > /run/late.env", check=True)
        m.wait_state("slow", "up")
        m.until(lambda: m.log("slow") == ["got B"], 10)
        m.wait_state("who", "failed")
        assert m.service("who")["reason"] == "look up user: No such file or directory", m.service("who")
        r = m.ctl("start", "pre", check=False)
        assert r.status == 1 and "environment-file: No such file" in r.err, r


def output_goes_where_the_file_says():
    said = "sh -c 'echo said-by-$SERVICE_NAME; exec sleep 1000'"
    with Machine({"nul.ini": service("longrun", said, "output = null\n"), "con.ini": service("longrun", "sh -c 'while :; do echo said-by-con; sleep 0.1; done'", "output = console\n"),
                  "log.ini": service("longrun", said), "pipe.ini": service("longrun", said, "output = pipe:reader\n"),
                  "reader.ini": service("longrun", "sh -c 'while read -r x; do echo \"got $x\"; done'")}) as m:
        m.booted()
        m.until(lambda: m.log("log") == ["said-by-log"] and m.log("reader") == ["got said-by-pipe"] and "said-by-con" in m.console_text(), 5)
        assert not m.log("nul") and not m.log("con") and not m.log("pipe") and "said-by-nul" not in m.console_text()


def logs_are_rotated_as_the_file_says_and_apply_changes_that_without_a_restart():
    talk = "bash -c 'while read -r n < /run/go; do for ((i = 0; i < n; i++)); do echo $i 0123456789012345678901234567890123456789012345678901234567890123456789; done; echo $n >> /run/$SERVICE_NAME; done'"
    with Machine({"two.ini": service("longrun", talk.replace("/run/go", "/run/two.go"), "log-max-size = 64K\nlog-max-files = 2\npre-start = sh -c 'mkfifo /run/two.go'\n"),
                  "none.ini": service("longrun", talk.replace("/run/go", "/run/none.go"), "log-max-size = 100K\nlog-max-files = 0\npre-start = sh -c 'mkfifo /run/none.go'\n")}) as m:
        m.booted()

        def files(name):
            return {f: int(n) for n, f in (line.split() for line in m.sh(f"cd /var/log/rastos && stat -c '%s %n' {name}.log*", check=True).out.splitlines())}

        def say(name, n):
            done = m.read(f"/run/{name}", "")
            m.sh(f"echo {n} > /run/{name}.go", check=True)
            m.until(lambda: m.read(f"/run/{name}", "") != done, 20)
            m.ctl("logs", name)  # has the logger write what is on its way

        say("two", 4000)
        say("none", 4000)
        got = files("two")
        assert set(got) == {"two.log", "two.log.1", "two.log.2"} and all(n <= 65536 for n in got.values()), got
        got = files("none")
        assert set(got) == {"none.log"} and got["none.log"] <= 102400, got
        pid = m.service("two")["pid"]
        m.write("/etc/rastos/services/two.d/more.ini", "[service]\nlog-max-size = 1M\n")
        m.ctl("apply")
        say("two", 2000)
        assert m.service("two")["pid"] == pid and not m.service("two")["needs_restart"]
        assert files("two")["two.log"] > 100000, files("two")


def stopping_follows_signal_timeout_and_kill_mode():
    loop = "while :; do sleep 0.05; done"
    both = "bash -c '(trap \"echo child; exit\" TERM; %s) & trap \"echo main; sleep 0.5; exit 0\" TERM; %s'" % (loop, loop)
    with Machine({"int.ini": service("longrun", f"bash -c 'trap \"\" TERM; trap \"echo int; exit 0\" INT; {loop}'", stop="signal = INT"),
                  "all.ini": service("longrun", both), "main.ini": service("longrun", both, stop="kill-mode = process\ntimeout = 1s"),
                  "deaf.ini": service("longrun", f"bash -c 'trap \"\" TERM; {loop}'", stop="timeout = 1s")}) as m:
        m.booted()
        m.sh("sleep 0.3")
        took = {}
        for name in ("int", "all", "main", "deaf"):
            began = time.monotonic()
            m.ctl("stop", name)
            took[name] = time.monotonic() - began
        assert took["int"] < 1 and took["all"] < 1.5 and 0.9 < took["main"] < 3 and 0.9 < took["deaf"] < 3, took
        m.until(lambda: m.log("int") == ["int"], 5, lambda: m.log("int"))
        m.until(lambda: {"child", "main"} <= set(m.log("all")), 5, lambda: m.log("all"))
        assert "main" in m.log("main") and "child" not in m.log("main"), m.log("main")
        assert m.service("deaf")["exit"]["signal"].endswith("KILL"), m.service("deaf")


def apply_restart_includes_what_an_earlier_apply_left_running():
    with Machine({"a.ini": sleeper(), "b.ini": sleeper(dependencies="depends = a"), "c.ini": sleeper()}) as m:
        m.booted()
        pids = {n: s.get("pid") for n, s in m.services().items()}
        m.write("/etc/rastos/services/a.d/more.ini", "[service]\nenvironment = MORE=1\n")
        m.write("/etc/rastos/services/c.d/later.ini", "[stop]\ntimeout = 1s\n")
        m.ctl("apply")
        assert m.service("a")["pid"] == pids["a"] and m.service("a")["needs_restart"] and not m.service("c")["needs_restart"]
        assert "restarted: a" in m.ctl("apply", "--restart").out
        m.until(lambda: m.state("b") == "up" and not m.service("a")["needs_restart"], 10)
        now = {n: s.get("pid") for n, s in m.services().items()}
        assert now["a"] != pids["a"] and now["b"] != pids["b"] and now["c"] == pids["c"], (pids, now)
        assert "MORE=1" in m.sh(f"tr '\\0' '\\n' < /proc/{now['a']}/environ").out


def refusals_name_the_right_service():
    files = {"db.ini": sleeper(), "web.ini": sleeper(dependencies="depends = db"), "other.ini": sleeper(),
             "slow.ini": "# off\n" + service("oneshot", "sleep 20"), "gone.ini": sleeper(dependencies="depends = gone-too"), "gone-too.ini": sleeper()}
    with Machine(files, target="default rast.mask=gone-too") as m:
        m.booted()
        r = m.ctl("stop", "other", "db", check=False)
        assert r.status == 1 and "'db' is needed by web" in r.err and m.state("other") == "up", r
        r = m.ctl("start", "gone-too", check=False)
        assert r.status == 1 and "'gone-too'" in r.err and "rast.mask=" in r.err, r
        assert "rast.mask=" in m.service("gone")["reason"], m.service("gone")
        r = m.sh("rastctl start slow & sleep 0.3; rastctl stop slow; wait $!")
        assert r.status == 1 and "it was stopped" in r.err, r


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name])
