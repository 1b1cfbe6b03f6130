#!/usr/bin/python3
"""What a supervisor has to get right: one machine per sentence, rastinit and rastd for real, in namespaces of its own."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, Failed, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 1000\n"

NOTIFY = """#!/usr/bin/python3
import os, socket, sys, array
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
fds = [os.open(f, os.O_RDWR | os.O_CREAT) for f in os.environ.get("FDS", "").split()]
s.sendmsg(["\\n".join(sys.argv[1:]).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
"""


def longrun(cmd="sleep 1000", **sections):
    """A longrun; sections: {"dependencies": "depends = a"}; `extra` adds lines to [service]."""
    text = f"[service]\ntype = longrun\nexec = sh -c '{cmd}'\n" + sections.pop("extra", "")
    return text + "".join(f"[{name}]\n{body}\n" for name, body in sections.items())


def oneshot(cmd="true", **sections):
    return longrun(cmd, **sections).replace("longrun", "oneshot")


def off(text):
    """Not enabled at boot."""
    return text + "# off\n"


def stop_with_dependents_is_refused_and_names_them_and_force_stops_all():
    with Machine({"db.ini": SLEEP, "web.ini": longrun(dependencies="depends = db"), "ui.ini": longrun(dependencies="depends = web")}) as m:
        m.booted()
        r = m.ctl("stop", "db", check=False)
        assert r.status == 1 and "web" in r.err, r
        assert m.state("db") == m.state("web") == "up"
        m.ctl("stop", "--force", "db")
        assert [m.state(n) for n in ("db", "web", "ui")] == ["down"] * 3


def a_cycle_is_an_error_with_its_path_and_the_old_set_stays():
    with Machine({"a.ini": SLEEP}) as m:
        m.booted()
        pid = m.service("a")["pid"]
        m.write("/etc/rastos/services/x.ini", longrun(dependencies="depends = y"))
        m.write("/etc/rastos/services/y.ini", longrun(dependencies="depends = z"))
        m.write("/etc/rastos/services/z.ini", longrun(dependencies="after = x"))
        r = m.ctl("apply", check=False)
        assert r.status == 1 and "x" in r.err and "->" in r.err and "z.ini" in r.err, r
        r = m.ctl("check", check=False)
        assert r.status == 1 and "->" in r.err + r.out, r
        assert m.service("a")["pid"] == pid and "x" not in m.services()


def before_self_after_self_and_both_of_one_are_load_errors():
    for body, word in (("before = x", "x.ini"), ("after = x", "x.ini"), ("before = y\nafter = y", "x.ini")):
        with Machine({"y.ini": SLEEP}) as m:
            m.booted()
            m.write("/etc/rastos/services/x.ini", longrun(dependencies=body))
            r = m.ctl("check", check=False)
            assert r.status == 1 and word in r.out + r.err, (body, r)


def ordering_holds_against_a_slow_starter():
    slow = oneshot("sleep 1.5; date +%s.%N > /run/slow")
    late = oneshot("test -e /run/slow && echo yes > /run/late", dependencies="after = slow")
    with Machine({"slow.ini": slow, "late.ini": late}) as m:
        m.booted()
        assert m.read("/run/late").strip() == "yes"


def a_reload_that_adds_an_unstarted_hard_dependency_starts_it_with_the_next_start():
    with Machine({"web.ini": SLEEP, "db.ini": off(SLEEP)}) as m:
        m.booted()
        pid = m.service("web")["pid"]
        m.write("/etc/rastos/services/web.ini", SLEEP + "[dependencies]\ndepends = db\n")
        m.ctl("apply")
        assert m.service("web")["pid"] == pid, "apply must not restart what runs"
        m.ctl("restart", "web")
        assert m.state("db") == "up" and m.state("web") == "up" and m.service("web")["pid"] != pid


def bad_exec_and_start_timeout_are_different_errors():
    bad = "[service]\ntype = longrun\nexec = /no/such/program\n[restart]\npolicy = no\n"
    late = longrun("sleep 100", readiness="notify = socket\nstart-timeout = 500ms", restart="policy = no")
    with Machine({"bad.ini": off(bad), "late.ini": off(late)}) as m:
        a, b = m.ctl("start", "bad", check=False), m.ctl("start", "late", check=False)
        assert a.status == 1 and "/no/such/program" in a.err and "No such file" in a.err, a
        assert b.status == 1 and "time" in b.err.lower() and "No such file" not in b.err, b
        assert m.state("bad") == m.state("late") == "failed"


def a_producers_restart_loses_nothing_in_the_consumers_pipe():
    producer = longrun("i=$(cat /run/n 2>/dev/null || echo 0); while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); echo $i > /run/n.new; mv /run/n.new /run/n; done; sleep 1000",
                       extra="output = pipe:consumer\n", restart="limit = 1000")
    consumer = longrun("while read -r l; do echo $l >> /run/got; done; sleep 1000")
    with Machine({"producer.ini": producer, "consumer.ini": consumer}) as m:
        m.booted()
        for _ in range(5):
            time.sleep(0.2)
            m.ctl("restart", "--force", "consumer" if _ == 2 else "producer")
        m.until(lambda: m.read("/run/got", "").splitlines()[-1:] == ["2999"], 120, lambda: m.read("/run/got", "")[-100:])
        missing = set(range(3000)) - {int(x) for x in m.read("/run/got").split()}
        # a shell that is killed between echo and mv repeats a number; one killed inside a read may take one line with it
        assert len(missing) <= 1, missing


def stop_during_a_pending_restart_stays_stopped():
    with Machine({"c.ini": longrun("exit 3", restart="delay = 2s\nlimit = 100")}) as m:
        m.wait_state("c", "backoff")
        m.ctl("stop", "c")
        assert m.state("c") == "down"
        time.sleep(2.5)
        assert m.state("c") == "down"


def a_parents_restart_restarts_its_dependents_once_and_no_others():
    count = "echo x >> /run/{0}; exec sleep 1000"
    with Machine({"p.ini": longrun(count.format("p")), "c.ini": longrun(count.format("c"), dependencies="depends = p"),
                  "g.ini": longrun(count.format("g"), dependencies="depends = c"), "o.ini": longrun(count.format("o"))}) as m:
        m.booted()
        m.ctl("restart", "--force", "p")
        m.ctl("wait", "g", "c", "p", "--state", "up")
        time.sleep(1)
        assert [m.read(f"/run/{n}").count("x") for n in "pcgo"] == [2, 2, 2, 1]


def readiness_is_withdrawn_on_a_crash_and_asserted_again():
    svc = longrun("sleep 0.5; /t/notify READY=1; exec sleep 1000", readiness="notify = socket\nnotify-access = all", restart="delay = 100ms")
    with Machine({"s.ini": svc}, files={"/t/notify": NOTIFY}) as m:
        m.booted()
        pid = m.service("s")["pid"]
        m.sh("kill", "-9", str(pid), check=True)
        m.until(lambda: m.state("s") != "up", 5)
        m.wait_state("s", "up")
        assert m.service("s")["pid"] != pid


def a_noop_apply_leaves_every_pid_alone():
    with Machine({"a.ini": SLEEP, "b.ini": SLEEP}) as m:
        m.booted()
        before = {n: s.get("pid") for n, s in m.services().items()}
        m.ctl("apply")
        m.write("/etc/rastos/services/new.ini", SLEEP)
        m.ctl("apply")
        after = m.services()
        assert "new" in after and all(after[n].get("pid") == pid for n, pid in before.items())


def with_a_failing_pre_script_the_main_program_never_starts():
    s = "[service]\ntype = longrun\npre-start = sh -c 'exit 9'\nexec = sh -c 'touch /run/main; sleep 1000'\n[restart]\npolicy = no\n"
    with Machine({"s.ini": off(s)}) as m:
        r = m.ctl("start", "s", check=False)
        assert r.status == 1 and "pre-start" in r.err, r
        assert m.state("s") == "failed" and not m.sh("test -e /run/main").ok


def a_service_that_calls_rastctl_on_itself_does_not_deadlock():
    with Machine({"s.ini": longrun("echo x >> /run/starts; [ -e /run/did ] || { touch /run/did; rastctl restart s; }; rastctl status s; exec sleep 1000")}) as m:
        m.until(lambda: m.read("/run/starts", "").count("x") == 2, 15)
        t = time.monotonic()
        m.ctl("stop", "s")
        assert time.monotonic() - t < 12 and m.state("s") == "down"
        assert m.read("/run/starts").count("x") == 2


def extend_timeout_is_honoured_and_silence_still_times_out():
    kind = longrun("for i in 1 2 3 4; do /t/notify EXTEND_TIMEOUT_USEC=1500000; sleep 0.5; done; /t/notify READY=1; exec sleep 1000",
                   readiness="notify = socket\nnotify-access = all\nstart-timeout = 1s", restart="policy = no")
    mute = longrun("/t/notify EXTEND_TIMEOUT_USEC=1500000; exec sleep 1000", readiness="notify = socket\nnotify-access = all\nstart-timeout = 1s", restart="policy = no")
    with Machine({"kind.ini": off(kind), "mute.ini": off(mute)}, files={"/t/notify": NOTIFY}) as m:
        m.ctl("start", "kind")
        r = m.ctl("start", "mute", check=False)
        assert r.status == 1 and "time" in r.err.lower(), r


def the_supervisor_survives_a_cycle_of_twenty():
    with Machine({"a.ini": SLEEP}) as m:
        m.booted()
        for i in range(20):
            m.write(f"/etc/rastos/services/n{i}.ini", longrun(dependencies=f"depends = n{(i + 1) % 20}"))
        r = m.ctl("apply", check=False)
        assert r.status == 1 and all(f"n{i} " in r.err for i in (*range(6), *range(15, 20))), r
        assert m.state("a") == "up"


def reloading_without_ready_and_then_exit_is_an_ordinary_death():
    s = longrun("/t/notify READY=1; sleep 0.3; /t/notify RELOADING=1; sleep 0.3; exit 4", readiness="notify = socket\nnotify-access = all", restart="policy = no")
    with Machine({"s.ini": off(s)}, files={"/t/notify": NOTIFY}) as m:
        m.ctl("start", "s")
        m.wait_state("s", "failed")
        assert m.service("s")["exit"] == {"code": "exited", "status": 4, "signal": None} or m.service("s")["exit"]["status"] == 4


def mainpid_pointed_at_0_or_1_or_a_stranger_is_ignored():
    s = longrun("/t/notify READY=1 MAINPID=1; /t/notify MAINPID=0; /t/notify MAINPID=$(cat /run/stranger); sleep 1000", readiness="notify = socket\nnotify-access = all")
    with Machine({"stranger.ini": longrun("echo $$ > /run/stranger; exec sleep 1000"), "s.ini": longrun_after(s, "stranger")}, files={"/t/notify": NOTIFY}) as m:
        m.booted()
        time.sleep(0.5)
        pid = m.service("s")["pid"]
        assert pid not in (0, 1, int(m.read("/run/stranger"))) and m.state("s") == "up"
        m.ctl("stop", "s")
        assert m.state("stranger") == "up"


def longrun_after(text, name):
    return text + f"[dependencies]\ndepends = {name}\n"


def the_fd_store_survives_a_restart_and_not_a_stop():
    s = longrun("echo ${LISTEN_FDS:-0} ${LISTEN_FDNAMES:-none} >> /run/fds; FDS=/run/held /t/notify FDSTORE=1 FDNAME=held; /t/notify READY=1; exec sleep 1000",
                readiness="notify = socket\nnotify-access = all")
    with Machine({"s.ini": s}, files={"/t/notify": NOTIFY}) as m:
        m.booted()
        m.ctl("restart", "s")
        m.ctl("stop", "s")
        m.ctl("start", "s")
        lines = m.read("/run/fds").split("\n")
        assert lines[0].startswith("0") and lines[1] == "1 held" and lines[2].startswith("0"), lines


def a_connection_flood_is_limited_and_the_supervisor_still_answers():
    flood = ("import socket,time\nc=[]\nn=0\nfor i in range(2000):\n s=socket.socket(socket.AF_UNIX)\n s.settimeout(1)\n"
             " try:\n  s.connect('/run/rastos/io.rastos.Supervisor'); s.sendall(b'{'); c.append(s)\n except OSError: n+=1\nprint(n)\ntime.sleep(3)\n")
    with Machine({"a.ini": SLEEP}) as m:
        m.booted()
        m.write("/t/flood.py", flood)
        m.sh("/usr/bin/python3 /t/flood.py > /run/flood 2>&1 &", timeout=40)
        m.until(lambda: m.read("/run/flood", "").strip(), 30)
        time.sleep(3.5)
        fds = len(m.sh(f"ls /proc/{m.rastd_pid()}/fd").out.split())
        assert fds < 300, fds
        assert m.state("a") == "up"


def the_restart_limit_is_exact():
    for limit in (1, 3, 7):
        s = longrun("echo x >> /run/count; exit 1", restart=f"limit = {limit}\ninterval = 60s\ndelay = 10ms\ndelay-max = 10ms")
        with Machine({"s.ini": s}) as m:
            m.wait_state("s", "failed")
            time.sleep(0.3)
            assert m.read("/run/count").count("x") == limit, (limit, m.read("/run/count"))
            assert "limit" in m.service("s")["reason"]


def backoff_grows_and_is_reset_by_success():
    s = longrun("date +%s%N >> /run/t; [ -e /run/ok ] && exec sleep 1000; exit 1", restart="limit = 100\ninterval = 1s\ndelay = 100ms\ndelay-max = 2s")
    with Machine({"s.ini": s}) as m:
        m.until(lambda: len(m.read("/run/t", "").split()) >= 5, 15)
        t = [int(x) / 1e9 for x in m.read("/run/t").split()]
        gaps = [b - a for a, b in zip(t, t[1:])][:4]
        assert gaps[1] > gaps[0] * 1.4 and gaps[2] > gaps[1] * 1.4 and gaps[3] > gaps[2] * 1.4, gaps


def a_failed_oneshot_blocks_only_its_dependents():
    with Machine({"bad.ini": oneshot("exit 5"), "dep.ini": longrun(dependencies="depends = bad"), "other.ini": SLEEP}) as m:
        m.wait_state("bad", "failed")
        m.wait_state("other", "up")
        s = m.service("dep")
        assert s["state"] == "failed" and "bad" in s["reason"], s


def conflicts_exclude_each_other():
    with Machine({"a.ini": SLEEP, "b.ini": off(longrun(dependencies="conflicts = a"))}) as m:
        m.booted()
        r = m.ctl("start", "b", check=False)
        assert r.status == 1 and "a" in r.err and m.state("a") == "up", r
        m.ctl("start", "--force", "b")
        assert m.state("b") == "up" and m.state("a") == "down"


def a_virtual_service_is_up_when_a_provider_is_and_falls_over_to_the_next():
    one = longrun("exit 1", dependencies="provides = mail", restart="policy = no", readiness="notify = fd:4")
    with Machine({"mail.ini": "[service]\ntype = virtual\n[dependencies]\nproviders = one two\n", "one.ini": off(one), "two.ini": off(SLEEP),
                  "user.ini": longrun(dependencies="depends = mail")}) as m:
        m.booted()
        assert m.state("mail") == "up" and m.state("two") == "up" and m.state("user") == "up"


def notify_fd_readiness_works_as_in_s6():
    s = longrun("sleep 0.7; touch /run/ready; echo >&5; exec sleep 1000", readiness="notify = fd:5")
    with Machine({"s.ini": s, "after.ini": oneshot("test -e /run/ready && touch /run/good", dependencies="depends = s")}) as m:
        m.booted()
        m.sh("sleep 0.2; test -e /run/ready", check=True)
        assert m.state("after") == "up", m.service("after")


def a_stop_kills_what_ignores_sigterm_and_all_of_its_children():
    s = longrun('trap "" TERM; (trap "" TERM; sleep 777) & sleep 777 & wait; wait; sleep 777', stop="timeout = 1s")
    with Machine({"s.ini": s}) as m:
        m.booted()
        t = time.monotonic()
        m.ctl("stop", "s")
        assert 0.8 < time.monotonic() - t < 6
        assert not m.sh("grep -l 777 /proc/[0-9]*/cmdline 2>/dev/null | grep -v self | grep -q . && cat /proc/[0-9]*/comm | grep -x sleep").ok


def settings_of_a_service_reach_its_process():
    s = ("[service]\ntype = oneshot\nuser = nobody\ngroup = nogroup\nworking-directory = /tmp\nenvironment = A=b c\numask = 027\nnice = 5\noom-score-adj = 300\n"
         "exec = sh -c 'id -un; id -gn; pwd; echo \"$A\"; umask; nice; cat /proc/self/oom_score_adj; ulimit -n; cat /proc/self/cgroup; grep NoNewPrivs /proc/self/status'\n"
         "no-new-privileges = yes\n[limits]\nnofile = 100:200\n")
    with Machine({"s.ini": s}) as m:
        m.booted()
        m.until(lambda: len(m.log("s")) >= 10, 5, lambda: m.log("s"))
        got = m.log("s")
        assert got[:8] == ["nobody", "nogroup", "/tmp", "b c", "0027", "5", "300", "100"], got
        assert any(x.endswith("rastos.service/s") for x in got) and got[-1].split() == ["NoNewPrivs:", "1"], got


def enable_and_disable_take_effect_at_once_and_at_the_next_boot():
    with Machine({"a.ini": off(SLEEP)}) as m:
        m.booted()
        m.ctl("enable", "--now", "a")
        assert m.state("a") == "up" and m.service("a")["enabled"]
        m.ctl("disable", "--now", "a")
        assert m.state("a") == "down" and not m.service("a")["enabled"]


def rescue_stops_all_in_order_and_default_brings_it_back():
    stamp = 'trap "echo {0} >> /run/order; exit 0" TERM; while :; do sleep 0.05; done'
    shell = "[service]\ntype = longrun\nexec = sleep 1000\n"
    quiet = {"rescue-shell.ini": off(shell), "emergency-shell.ini": off(shell + "[dependencies]\nconflicts = rescue-shell\n")}
    with Machine({"a.ini": longrun(stamp.format("a")), "b.ini": longrun(stamp.format("b"), dependencies="depends = a"), "dead.ini": longrun("exit 1", restart="policy = no"),
                  "extra.ini": off(SLEEP), "rescue.d/mine.ini": "[dependencies]\ncontents = extra\n", "lone.ini": off(SLEEP), **quiet}) as m:
        m.booted()
        m.wait_state("dead", "failed")
        dry = m.ctl("rescue", "--dry-run").out
        assert "go over to rescue" in dry and " b" in dry and " rescue-shell" in dry and m.state("b") == "up", dry
        m.ctl("rescue")
        up = {n for n, s in m.services().items() if s["state"] == "up"}
        assert up == {"rescue", "rescue-shell", "extra", "basic", "utmp", "rastlogd"}, up
        assert m.read("/run/order").split() == ["b", "a"] and m.state("dead") == "down"
        m.ctl("emergency")
        up = {n for n, s in m.services().items() if s["state"] == "up"}
        assert up == {"emergency", "emergency-shell", "rastlogd"}, up
        for words in (("isolate", "lone"), ("isolate",), ("isolate", "a", "b"), ("rescue", "now")):
            assert m.ctl(*words, check=False).status == 2, words
        assert m.ctl("isolate", "nobody", check=False).status == 4
        m.ctl("default")
        assert m.state("a") == m.state("b") == m.state("default") == "up" and m.state("emergency-shell") == "down"
        m.ctl("isolate", "--force", "lone")
        assert m.state("lone") == "up" and m.state("a") == "down" and m.state("default") == "down"


def a_boot_that_somebody_leads_elsewhere_is_not_judged_until_it_is_led_back():
    shell = {"rescue-shell.ini": off(SLEEP)}
    slow = longrun("sleep 1000", readiness="notify = fd:5\nstart-timeout = infinity", extra="boot-critical = yes\nsettle-time = 100ms\n")

    def boot(m):
        b = json.loads(m.ctl("version", "--json").out)["boot"]
        return b["target"], b["state"]

    with Machine({"slow.ini": slow, **shell}) as m:
        assert boot(m) == ("default", "starting")
        m.ctl("rescue")
        m.until(lambda: boot(m) == ("rescue", "up"), 10)
        m.sh("kill", "-9", str(m.rastd_pid()))
        m.until(lambda: m.rastd_pid(), 10)
        m.until(lambda: m.sh("rastctl", "version").ok, 10)
        assert boot(m) == ("rescue", "up") and m.state("slow") == "down", "a new rastd goes on with what was chosen"
        m.write("/etc/rastos/services/slow.d/quick.ini", "[readiness]\nnotify = none\nstart-timeout =\n")
        m.ctl("apply")
        m.ctl("default")
        m.until(lambda: boot(m) == ("default", "good"), 20, lambda: boot(m))
        m.ctl("rescue")
        assert boot(m) == ("default", "good"), "what is known stays known"


def an_instance_that_nobody_names_is_started_by_its_name_and_goes_when_it_is_down():
    worker = "[service]\ntype = longrun\nexec = sleep 10%i\n[dependencies]\ndepends = base\n"
    with Machine({"worker@.ini": worker, "base.ini": off(SLEEP), "a.ini": SLEEP}) as m:
        m.booted()
        pid = m.service("a")["pid"]
        assert m.ctl("status", "worker@1", check=False).status == 4
        r = m.ctl("start", "--dry-run", "worker@1")
        assert "worker@1" in r.out and "base" in r.out and m.state("base") == "down", r
        m.ctl("start", "worker@1", "worker@2")
        assert m.state("worker@1") == m.state("worker@2") == m.state("base") == "up" and m.service("a")["pid"] == pid
        assert "101" in m.read(f"/proc/{m.service('worker@1')['pid']}/cmdline")
        pids = [m.service(f"worker@{i}")["pid"] for i in (1, 2)]
        m.ctl("apply")
        m.sh("kill", "-9", str(m.rastd_pid()), check=True)
        m.until(lambda: m.sh("rastctl", "version").ok, 20)
        m.ctl("apply")
        assert [m.service(f"worker@{i}")["pid"] for i in (1, 2)] == pids, "what runs stays in the set"
        for words, status in ((("start", "nobody@1"), 4), (("start", "worker@"), 4), (("start", "worker@a/b"), 4), (("stop", "worker@9"), 4)):
            assert m.ctl(*words, check=False).status == status, words
        m.write("/etc/rastos/services/a.d/x.ini", "[stop]\ntimeout = 3s\n")
        r = m.ctl("start", "worker@3", check=False)
        assert r.status == 1 and "the files of others have changed" in r.err and " a" in r.err and "rastctl apply" in r.err, r
        m.write("/etc/rastos/services/bad.ini", "[service]\n")
        r = m.ctl("restart", "worker@3", check=False)
        assert r.status == 1 and "bad.ini" in r.err, r
        m.sh("rm", "/etc/rastos/services/bad.ini", check=True)
        m.ctl("apply")
        m.ctl("restart", "worker@3")
        m.ctl("stop", "worker@1")
        m.ctl("apply")
        assert {n for n in m.services() if n.startswith("worker")} == {"worker@2", "worker@3"}


def disabling_an_instance_neither_stops_it_nor_leaves_it_in_the_list():
    with Machine({"worker@.ini": SLEEP}) as m:
        m.booted()
        m.ctl("enable", "--now", "worker@1", "worker@2")
        pid = m.service("worker@1")["pid"]
        m.ctl("disable", "worker@1")
        s = m.service("worker@1")
        assert s["pid"] == pid and not s["enabled"]
        m.ctl("disable", "--now", "worker@2")
        assert "worker@2" not in m.services() and not m.sh("test -L /etc/rastos/enabled/worker@2").ok
        m.ctl("stop", "worker@1")
        m.ctl("apply")
        assert "worker@1" not in m.services()


def a_dangling_link_in_enabled_is_a_warning_that_names_it():
    with Machine({"a.ini": SLEEP}, files={"/t/x": ""}, enabled=["a", "gone", "w@1"]) as m:
        m.booted()
        assert m.state("a") == "up"
        r = m.ctl("check")
        assert r.status == 0 and "/etc/rastos/enabled/gone: warning" in r.err and "rastctl disable gone" in r.err and "2 warnings" in r.out, r
        m.until(lambda: "enabled/gone" in "".join(m.log("rastd")) + m.console_text(), 10)
        m.ctl("disable", "gone", "w@1")
        r = m.ctl("check")
        assert "0 warnings" in r.out, r


def poweroff_stops_services_in_reverse_order_and_ends():
    stamp = 'trap "echo {0} >> /var/lib/rastos/order; exit 0" TERM; while :; do sleep 0.05; done'
    with Machine({"a.ini": longrun(stamp.format("a")), "b.ini": longrun(stamp.format("b"), dependencies="depends = a"),
                  "c.ini": longrun(stamp.format("c"), dependencies="after = b")}) as m:
        m.booted()
        reader = m.sh("exec 3>>/var/lib/rastos/order; echo /proc/$$")
        assert reader.ok
        root = f"/proc/{m.init_pid()}/root/var/lib/rastos"
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            m.power_off()
            order = os.read(os.open("order", os.O_RDONLY, dir_fd=fd), 100).decode().split()
        finally:
            os.close(fd)
        assert order == ["c", "b", "a"], order


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name and name != "longrun_after"])
