#!/usr/bin/python3
"""rastctl against the real rastd: one machine per sentence."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 1000\n"
OFF = "# off\n"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def longrun(script, **sections):
    text = f"[service]\ntype = longrun\nexec = sh -c '{script}'\n"
    return text + "".join(f"[{name}]\n{body}\n" for name, body in sections.items())


def a_line_is_in_logs_as_soon_as_it_is_written():
    with Machine({"talk.ini": longrun("i=0; while sleep 0.005; do i=$((i+1)); echo line $i; echo $i > /tmp/last; done")}) as m:
        m.booted()
        m.until(lambda: m.read("/tmp/last", ""), 20)
        for _ in range(10):
            r = m.sh("last=$(cat /tmp/last); rastctl logs talk --plain -n 50 | grep -qx \"line ${last:-0}\"")
            assert r.ok, "a line that had been written was not there"


def logs_follow_through_the_deaths_of_rastd_and_logger():
    with Machine({"talk.ini": longrun("i=0; while sleep 0.01; do i=$((i+1)); echo $i; done")}) as m:
        m.booted()
        m.sh("rastctl logs -f --plain -n 1000000 talk > /tmp/followed 2>/dev/null & echo $! > /tmp/pid")
        for name in ("rastlogd", "rastd") * 4:
            m.sh(f"kill -9 $(pidof {name})")
            time.sleep(0.15)
        m.wait_for_rastd(10)
        m.ctl("stop", "talk")
        m.sh("rastctl logs talk --plain > /tmp/all")
        m.until(lambda: m.sh("cmp -s /tmp/all /tmp/followed").ok, 5, "logs -f has other lines than the log")
        numbers = [int(line) for line in m.read("/tmp/followed").split()]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 50, numbers[-5:]
        m.sh("kill $(cat /tmp/pid)")


def enable_and_disable_count_at_once_and_for_the_next_rastd():
    with Machine({"a.ini": SLEEP + OFF, "b.ini": SLEEP}) as m:
        m.booted()
        assert m.ctl("is-enabled", "a", check=False).status == 1
        m.ctl("enable", "--now", "a")
        assert m.state("a") == "up" and m.ctl("is-enabled", "a").ok
        m.ctl("disable", "--now", "b")
        assert m.state("b") == "down" and m.ctl("is-enabled", "b", check=False).status == 1
        m.ctl("reexec")
        assert m.service("a")["enabled"] and not m.service("b")["enabled"] and m.state("a") == "up" and m.state("b") == "down"


def who_is_not_root_may_look_but_change_nothing():
    with Machine({"a.ini": longrun("echo secret; exec sleep 1000")}) as m:
        m.booted()
        as_nobody = lambda *words: m.sh(*NOBODY, "rastctl", *words)
        assert as_nobody("list").ok and as_nobody("status", "a").ok and as_nobody("tree").ok and as_nobody("check").ok
        for words in (["stop", "a"], ["restart", "a"], ["signal", "a"], ["apply"], ["reexec"], ["enable", "a"], ["poweroff"], ["reboot"]):
            r = as_nobody(*words)
            assert r.status == 4 and r.err.count("\n") == 1 and ("only root" in r.err or "user 65534" in r.err), (words, r)
        r = as_nobody("logs", "a")
        assert r.status == 4 and "may not read" in r.err, r
        assert m.state("a") == "up"


def a_set_with_errors_is_refused_with_file_and_line_and_nothing_changes():
    with Machine({"a.ini": SLEEP}) as m:
        m.booted()
        before = m.service("a")
        m.write("/etc/rastos/services/a.ini", SLEEP + "nonsense = 1\n")
        m.write("/etc/rastos/services/loop.ini", SLEEP + "[dependencies]\ndepends = loop\n")
        checked, applied = m.ctl("check", check=False), m.ctl("apply", check=False)
        for r in (checked, applied):
            assert r.status == 1 and "/etc/rastos/services/a.ini:4" in r.err and "loop" in r.err, r
        assert m.service("a")["pid"] == before["pid"] and "loop" not in m.services()


def status_shows_what_a_service_has_started():
    with Machine({"a.ini": longrun("sleep 1001 & sleep 1002 & echo ready; wait")}) as m:
        m.booted()
        m.until(lambda: "sleep 1002" in m.ctl("status", "a").out, 5, "the children are not shown")
        out = m.ctl("status", "a").out
        main = str(m.service("a")["pid"])
        assert f"Main process: {main}" in out and f"{main}* " in out and "sleep 1001" in out and "a: ready" in out, out
        assert re.search(r"(Tasks|Processes): 3", out), out


def events_tell_every_change_of_state():
    with Machine({"a.ini": SLEEP + OFF}) as m:
        m.booted()
        m.sh("rastctl events --json > /tmp/events 2>/dev/null & echo $! > /tmp/pid; sleep 0.3; rastctl start a; rastctl stop a; sleep 0.3; kill $(cat /tmp/pid)")
        states = [e["state"] for e in map(json.loads, m.read("/tmp/events").splitlines()) if e.get("service") == "a"]
        assert states[-1] == "down" and "up" in states and states.index("up") < len(states) - 1, states


def wait_ends_with_the_state_or_with_the_time():
    with Machine({"slow.ini": "[service]\ntype = oneshot\nexec = sleep 1\n", "never.ini": SLEEP + OFF}) as m:
        began = time.monotonic()
        assert m.ctl("wait", "slow").ok and time.monotonic() - began < 10
        r = m.ctl("wait", "never", "--timeout=300ms", check=False)
        assert r.status == 1 and "never" in r.err, r


def a_scheduled_shutdown_outlives_its_session_and_can_be_cancelled():
    with Machine({"shell.ini": longrun("shutdown --no-wall +30; exec sleep 1000")}) as m:
        m.booted()
        m.until(lambda: m.sh("shutdown", "--show").ok, 10, "nothing is scheduled")
        m.ctl("stop", "shell")
        assert m.sh("shutdown", "--show").out.startswith("poweroff at "), "it ended with the service that had asked for it"
        assert m.sh("shutdown", "-c", "--no-wall").ok
        assert m.sh("shutdown", "--show").status == 1


def poweroff_works_while_rastd_is_dying():
    with Machine({"a.ini": SLEEP}) as m:
        m.booted()
        m.sh("kill -9 $(pidof rastd); rastctl poweroff")
        assert m.wait_exit(40) is not None


def every_command_takes_odd_arguments_with_a_status_and_with_json_one_document():
    verbs = ("status", "list", "tree", "cat", "boot", "is-active", "is-failed", "is-enabled", "version", "start", "stop", "restart", "reload", "signal", "reset", "wait", "check", "apply", "enable", "disable",
             "reexec", "isolate")
    odd = ([], ["nosuch"], [""], ["a", "nosuch"], ["--nosuch"], ["x" * 300], ["../a"], ["t@"], ["t@x/y"], ["%s%n"], ["\x1b[31m"], ["--"], ["--timeout=abc", "a"], ["a", "--timeout"], ["\udcff\udcfe"], ["a"])
    sleep = "[service]\ntype = longrun\nexec = sleep 1000\n"
    with Machine({"a.ini": sleep, "t@.ini": sleep}) as m:
        m.booted()
        script, n = ["export LC_ALL=C.UTF-8; mkdir /t; cd /t"], 0
        cases = [(v, x) for v in verbs for x in odd if not (v == "isolate" and x == ["a"])] + [(v, ["now"]) for v in ("poweroff", "reboot", "halt", "kexec", "rescue", "emergency", "default", "events")]
        for v, x in cases:
            n += 1
            words = " ".join("'" + w + "'" for w in x)
            script.append(f"timeout 20 rastctl {v} {words} > {n}.out 2> {n}.err; echo $? > {n}.status; timeout 20 rastctl --json {v} {words} > {n}.json 2> {n}.jerr; echo $? >> {n}.status")
        m.sh("sh", stdin="\n".join(script).encode("utf8", "surrogateescape").decode("latin1"), timeout=200)
        n = 0
        for v, x in cases:
            n += 1
            out, err, doc, statuses = (m.read(f"/t/{n}.{k}") for k in ("out", "err", "json", "status"))
            plain, json_status = (int(s) for s in statuses.split())
            assert plain in range(6) and json_status in range(6), (v, x, statuses, err)
            assert plain == 0 or err or v.startswith("is-"), (v, x, plain, out)
            assert "\x1b" not in out + err, (v, x, out, err)
            if doc or json_status != 2:  # what the options' own parser refuses is said in words
                parsed = json.loads(doc)
                assert json_status == 0 or v.startswith("is-") or v in ("status", "check", "list") or "error" in parsed, (v, x, json_status, doc)
        assert m.ctl("list", "nosuch", check=False).err and m.ctl("version", "please", check=False).status == 2


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name])
