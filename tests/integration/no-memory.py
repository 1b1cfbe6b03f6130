#!/usr/bin/python3
"""Allocations of rastd fail again and again: it goes on, or dies and is replaced, and no service notices; when there is memory again all is as it should be.
Needs a rastd with crash points (-Dfaults=true), as crashpoints.py: RASTD_FAULTS names it, else it is looked for beside RASTOS_BUILD."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import machine  # noqa: E402
from machine import Failed, Machine, run  # noqa: E402

PERIODS = (1009, 211, 97, 41, 23, 11, 5)


SAY = "#!/usr/bin/python3\nimport os, socket, time\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\nn = 0\nwhile True:\n    try: s.sendto(b'READY=1\\nSTATUS=%d' % n, os.environ['NOTIFY_SOCKET'])\n    except OSError: pass\n    n += 1\n    time.sleep(0.05)\n"

# What people and services do meanwhile. Whatever fails, fails; it must not hang for ever.
WORK = r"""
for n in 1 2 3; do
	timeout 20 rastctl restart job; timeout 20 rastctl stop other; timeout 20 rastctl start other w@$n; timeout 20 rastctl reload quick
	timeout 20 rastctl list --json; timeout 20 rastctl status; timeout 20 rastctl status talk job; timeout 20 rastctl tree; timeout 20 rastctl enable w@a
	printf '[stop]\ntimeout = %ss\n' $n > /etc/rastos/services/other.d/x.ini; timeout 20 rastctl apply; timeout 20 rastctl disable w@a; timeout 20 rastctl signal -s WINCH quick
done > /run/work 2>&1
"""


def an_allocation_that_fails_costs_no_service_and_nothing_is_left_undone():
    steady = "[service]\ntype = longrun\nexec = sleep 1000\n"
    services = {f"s{i}.ini": steady for i in range(8)}
    services |= {"job.ini": "[service]\ntype = oneshot\nexec = true\n", "other.ini": steady, "w@.ini": steady, "quick.ini": steady + "exec-reload = true\nuser = daemon\n",
                 "talk.ini": "[service]\ntype = longrun\nexec = /t/say\n[readiness]\nnotify = socket\n", "dies.ini": "[service]\ntype = longrun\nexec = sleep 0.2\n[restart]\nlimit = infinity\ndelay = 10ms\n"}
    d = machine.faults_stage()
    old, machine.STAGE = machine.STAGE, d + "/s"
    try:
        with Machine(services, files={"/t/say": SAY, "/etc/rastos/services/other.d/x.ini": ""}) as m:
            m.booted()
            kept = [f"s{i}" for i in range(8)] + ["talk"]
            before = {n: m.service(n)["pid"] for n in kept}
            for period in PERIODS:
                m.sh(f"echo {period} > /run/fail-malloc.new; mv /run/fail-malloc.new /run/fail-malloc", check=True)
                m.sh("sh", stdin=WORK, timeout=200)
                m.sh("rm /run/fail-malloc", check=True)
                m.until(lambda: m.sh("timeout", "5", "rastctl", "version").ok, 60, f"after every {period}th allocation failed rastd does not answer")
                now = m.services()
                assert {n: now[n].get("pid") for n in kept} == before, (period, now)
                assert all(m.sh("test", "-d", f"/proc/{p}").ok for p in before.values())
                m.ctl("start", "job", "other", "dies", timeout=60)
                m.until(lambda: m.state("dies") == "up" and m.state("quick") == "up", 30, lambda: m.services())
                m.ctl("apply", timeout=60)
                m.ctl("check")
            assert "rastctl: " in m.read("/run/work"), "nothing has failed: were there no faults?"
            m.until(lambda: int(m.service("talk")["status_text"]) > 0, 20)
            m.ctl("stop", *kept, "other", "dies", timeout=60)
            left = m.sh("cat /proc/[0-9]*/comm 2>/dev/null").out.split().count("sleep")
            names = [n for n, s in m.services().items() if s.get("pid")]
            assert left == sum(n.startswith("w@") or n == "quick" for n in names), (left, names)
    finally:
        machine.STAGE = old
        shutil.rmtree(d, ignore_errors=True)


if __name__ == "__main__":
    run([an_allocation_that_fails_costs_no_service_and_nothing_is_left_undone])
