#!/usr/bin/python3
"""SIGKILL at any moment: rastd, the logger, both, and PID 1's own fault; nothing is restarted, lost or forgotten."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

KILLS = int(os.environ.get("RAST_KILLS", "60"))

# Runs inside: kill the supervisor again and again, and see how long it takes until it answers.
STORM = """#!/usr/bin/python3
import json, os, random, signal, socket, sys, time
kills, what, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
random.seed(seed)
def ping():
    s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('/run/rastos/io.rastos.Supervisor')
    s.sendall(b'{"method":"io.rastos.Supervisor.Ping"}\\0')
    data = b''
    while not data.endswith(b'\\0'):
        more = s.recv(65536)
        if not more: raise OSError('closed')
        data += more
    return json.loads(data[:-1])['parameters']
def by_name(name):
    for d in os.listdir('/proc'):
        try:
            if d.isdigit() and open(f'/proc/{d}/comm').read().strip() == name: return int(d)
        except OSError: pass
worst = []
for i in range(kills):
    time.sleep(random.choice((0, 0.002, 0.01, 0.03, 0.1)) * random.random() * 2)
    if what in ('rastd', 'both'):
        pid = ping()['pid']
        os.kill(pid, signal.SIGKILL)
        t = time.monotonic()
        while True:
            try:
                if ping()['pid'] != pid: break
            except OSError: time.sleep(0.0005)
            if time.monotonic() - t > 20: sys.exit('rastd did not come back')
        worst.append(time.monotonic() - t)
    if what in ('rastlogd', 'both'):
        pid = by_name('rastlogd')
        if pid: os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
worst.sort()
print(json.dumps({'kills': kills, 'median_ms': worst[len(worst)//2]*1000 if worst else 0, 'max_ms': worst[-1]*1000 if worst else 0}))
"""

STEADY = 'echo start >> /run/starts/{0}; i=0; while :; do echo "n $i"; i=$((i+1)); echo $i > /run/sent/{0}; sleep 0.0{1}; done'
CRASHER = 'echo s >> /run/starts/{0}; sleep 0.{1}; echo e >> /run/exits/{0}; exit {2}'


def services():
    out = {"dirs.ini": "[service]\ntype = oneshot\nexec = mkdir -p /run/starts /run/exits /run/sent\n"}
    need = "[dependencies]\ndepends = dirs\n"
    for i in range(60):
        out[f"steady{i}.ini"] = f"[service]\ntype = longrun\nexec = sh -c '{STEADY.format(f'steady{i}', 50 + i % 40)}'\n{need}"
    for i in range(20):
        out[f"crash{i}.ini"] = (f"[service]\ntype = longrun\nexec = sh -c '{CRASHER.format(f'crash{i}', 10 + i * 2, i + 1)}'\n{need}"
                                "[restart]\nlimit = infinity\ndelay = 50ms\ndelay-max = 50ms\n")
    for i in range(20):
        out[f"job{i}.ini"] = f"[service]\ntype = oneshot\nexec = sh -c 'echo s >> /run/starts/job{i}; sleep 0.0{i + 10}; echo e >> /run/exits/job{i}'\n{need}# off\n"
    return out


def storm(m, what, kills=KILLS):
    m.write("/t/storm.py", STORM)
    m.write("/t/churn.sh", "#!/bin/sh\nwhile [ ! -e /run/enough ]; do for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do rastctl start job$i; rastctl stop job$i; done; done > /run/churn 2>&1\n")
    m.sh("sh /t/churn.sh > /dev/null 2>&1 & :", timeout=10)
    r = m.sh("/usr/bin/python3", "/t/storm.py", str(kills), what, "7", timeout=60 + kills)
    m.sh("touch /run/enough", check=True)
    assert r.ok, r
    return json.loads(r.out)


def count(m, kind, name):
    return len(m.read(f"/run/{kind}/{name}", "").split())


def check_nothing_lost(m):
    m.until(lambda: not m.sh("pgrep -f '[c]hurn.sh'").ok, 30)
    states = m.services()
    for i in range(60):
        s = states[f"steady{i}"]
        assert count(m, "starts", f"steady{i}") == 1, f"steady{i} was started {count(m, 'starts', f'steady{i}')} times"
        assert s["state"] == "up" and os.path.exists(f"/proc/{m.init_pid()}/root/proc/{s['pid']}"), s
    for i in range(20):
        name = f"crash{i}"
        m.until(lambda: m.state(name) in ("up", "starting", "backoff"), 5, lambda: m.service(name))
        before = count(m, "starts", name)
        m.until(lambda: count(m, "starts", name) > before + 1, 10, lambda: f"{name} is not restarted any more: {m.service(name)}")
    m.ctl("stop", *[f"crash{i}" for i in range(20)])
    for i in range(20):
        starts, exits = count(m, "starts", f"crash{i}"), count(m, "exits", f"crash{i}")
        s = m.service(f"crash{i}")
        assert exits <= starts <= exits + 1, (starts, exits)
        # one may have been stopped before its shell came to write the line
        assert starts - 1 <= s["restarts"] <= starts, f"crash{i}: {starts} starts, but {s['restarts']} restarts counted"
    m.ctl("stop", *[f"steady{i}" for i in range(60)])
    m.sh("sleep 0.5")
    unknown = 0
    for i in range(60):
        text = m.read(f"/run/sent/steady{i}").strip()
        unknown += not text  # stopped between emptying the file and writing it
        sent = int(text or 0)
        got = [line for line in m.log(f"steady{i}")]
        assert got[:sent] == [f"n {k}" for k in range(sent)], f"steady{i}: {sent} lines sent, {len(got)} logged, first difference at {first_difference(got, sent)}"
    assert unknown < 10, f"{unknown} services were stopped without leaving their count"


def first_difference(got, sent):
    for k in range(sent):
        if k >= len(got) or got[k] != f"n {k}":
            return k, got[max(0, k - 2):k + 3]
    return None


def killing_rastd_again_and_again_loses_no_service_no_exit_and_no_line():
    with Machine(services()) as m:
        m.booted()
        r = storm(m, "rastd")
        check_nothing_lost(m)
        print(f"# rastd killed {r['kills']} times; answers after {r['median_ms']:.1f} ms (median), {r['max_ms']:.1f} ms (worst)")


def killing_the_logger_again_and_again_loses_and_doubles_no_line():
    with Machine(services()) as m:
        m.booted()
        storm(m, "rastlogd")
        check_nothing_lost(m)


def killing_both_at_once_loses_nothing():
    with Machine(services()) as m:
        m.booted()
        storm(m, "both", KILLS // 2)
        check_nothing_lost(m)


def reexec_upgrades_rastd_in_place_with_no_service_noticing():
    with Machine(services()) as m:
        m.booted()
        pid = m.rastd_pid()
        for _ in range(5):
            m.ctl("reexec")
            m.until(lambda: m.sh("rastctl", "version").ok, 5)
        assert m.rastd_pid() == pid, "re-exec keeps the pid"
        check_nothing_lost(m)


def a_service_that_dies_while_rastd_is_away_is_noticed_with_its_status():
    s = "[service]\ntype = longrun\nexec = sh -c 'while [ ! -e /run/die ]; do sleep 0.01; done; exit 42'\n[restart]\npolicy = no\n"
    with Machine({f"s{i}.ini": s for i in range(20)}) as m:
        m.booted()
        pid = m.rastd_pid()
        m.sh(f"kill -STOP {pid}; touch /run/die; sleep 0.5; kill -KILL {pid}", check=True)
        for i in range(20):
            m.wait_state(f"s{i}", "failed")
            assert m.service(f"s{i}")["exit"]["status"] == 42


def pid_1_survives_ten_thousand_orphans():
    with Machine({"a.ini": "[service]\ntype = longrun\nexec = sleep 1000\n"}) as m:
        m.booted()
        m.write("/t/orphans.py", "import os\nfor i in range(10000):\n if os.fork()==0:\n  if os.fork()==0: os._exit(0)\n  os._exit(0)\n os.wait()\n")
        m.sh("/usr/bin/python3", "/t/orphans.py", timeout=120, check=True)
        m.until(lambda: not m.sh("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | grep -q .").ok, 20, "zombies stay")
        assert m.state("a") == "up"


def pid_1_keeps_the_machine_alive_after_a_fault_of_its_own():
    with Machine({"a.ini": "[service]\ntype = longrun\nexec = sleep 1000\n"}) as m:
        m.booted()
        pid = m.service("a")["pid"]
        m.sh("kill -SEGV 1", check=True)
        time.sleep(1)
        assert m.init.poll() is None, "PID 1 is gone"
        assert "SIGSEGV" in m.console_text() or "signal 11" in m.console_text(), m.console_text()[-2000:]
        assert m.service("a")["pid"] == pid
        m.ctl("restart", "a")
        assert m.state("a") == "up"


def a_cgroup_that_was_killed_by_somebody_else_takes_processes_again():
    with Machine({"a.ini": "[service]\ntype = longrun\nexec = sleep 1000\n# off\n"}) as m:
        m.booted()
        m.sh("mkdir /sys/fs/cgroup/rastos.service/a && echo 1 > /sys/fs/cgroup/rastos.service/a/cgroup.kill", check=True)
        m.ctl("start", "a")
        time.sleep(0.3)
        s = m.service("a")
        assert s["state"] == "up" and s["restarts"] == 0, s


def shutdown_ends_and_names_the_service_that_held_it_up():
    s = "[service]\ntype = longrun\nexec = sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n[stop]\ntimeout = 2s\n"
    with Machine({"stubborn.ini": s}) as m:
        m.booted()
        started = time.monotonic()
        m.power_off(30)
        assert time.monotonic() - started < 15
        assert "stubborn" in m.console_text(), m.console_text()[-2000:]


if __name__ == "__main__":
    run([killing_rastd_again_and_again_loses_no_service_no_exit_and_no_line, killing_the_logger_again_and_again_loses_and_doubles_no_line, killing_both_at_once_loses_nothing,
         reexec_upgrades_rastd_in_place_with_no_service_noticing, a_service_that_dies_while_rastd_is_away_is_noticed_with_its_status, pid_1_survives_ten_thousand_orphans,
         pid_1_keeps_the_machine_alive_after_a_fault_of_its_own, a_cgroup_that_was_killed_by_somebody_else_takes_processes_again, shutdown_ends_and_names_the_service_that_held_it_up])
