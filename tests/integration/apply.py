#!/usr/bin/python3
"""Changes of the set of services when everything goes wrong at the same time: rastd killed in the middle, no room in /run."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 1000\n"

CHURN = r"""
n=0
while [ ! -e /run/enough ]; do
	n=$((n+1))
	case $((n % 6)) in
	0) printf '[service]\ntype = longrun\nexec = sleep 1000\n' > /etc/rastos/services/extra$((n % 5)).ini; rastctl apply;;
	1) rm -f /etc/rastos/services/extra$(((n + 2) % 5)).ini; rastctl apply;;
	2) rastctl enable --now w@$((n % 4));;
	3) rastctl disable --now w@$(((n + 1) % 4));;
	4) rastctl start w@x$((n % 3));;
	5) rastctl stop w@x$(((n + 1) % 3)); rastctl apply;;
	esac
done > /run/churn 2>&1
touch /run/over
"""


def killing_rastd_while_the_set_changes_disturbs_no_service_and_leaves_nothing_behind():
    random.seed(5)
    services = {f"s{i}.ini": SLEEP + (f"[dependencies]\ndepends = s{i - 1}\n" if i % 3 else "") for i in range(12)}
    with Machine({**services, "w@.ini": SLEEP}) as m:
        m.booted()
        before = {n: s["pid"] for n, s in m.services().items() if n[0] == "s" and n + ".ini" in services}
        m.write("/t/churn.sh", CHURN)
        m.sh("sh /t/churn.sh > /dev/null 2>&1 & :")
        kills, end = 0, time.monotonic() + 6
        while time.monotonic() < end:
            time.sleep(random.random() * 0.1)
            pid = m.rastd_pid()
            kills += bool(pid) and m.sh("kill", "-9", str(pid)).ok
        m.sh("touch /run/enough", check=True)
        m.until(lambda: m.sh("test -e /run/over").ok, 60)
        m.until(lambda: m.sh("rastctl", "version").ok, 20)
        assert kills > 10, kills
        now = m.services()
        assert {n: now[n].get("pid") for n in before} == before
        links = m.sh("ls -A /etc/rastos/enabled").out.split()
        assert not [n for n in links if n.startswith(".")], links
        m.ctl("apply")
        m.sh("kill", "-9", str(m.rastd_pid()))
        m.until(lambda: m.sh("rastctl", "version").ok, 20)
        left = m.sh("cd /run/rastos/graph; ls -A; readlink current").out.split()
        assert len(left) == 3 and left[0] == left[2], left
        now = m.services()
        assert {n for n, s in now.items() if s["enabled"] and n.startswith("w@")} == {n for n in links if n.startswith("w@")}
        assert all(s["state"] == "up" for n, s in now.items() if s["wanted"] and n in before), now


def without_room_in_run_nothing_new_is_taken_over_and_what_runs_goes_on():
    with Machine({"a.ini": SLEEP, "b.ini": SLEEP + "[dependencies]\ndepends = a\n", "gone.ini": SLEEP, "d.ini": SLEEP + "[dependencies]\nwants = gone\n"}) as m:
        m.booted()
        m.sh("mount -t tmpfs -o size=1m none /mnt && mkdir /mnt/run && cp -a /run/rastos/graph/. /mnt/run && mount --bind /mnt/run /run/rastos/graph && dd if=/dev/zero of=/mnt/fill bs=4k 2>/dev/null; :", check=True)
        m.sh("kill", "-9", str(m.rastd_pid()))  # the new one has the folder that is full
        m.until(lambda: m.sh("rastctl", "version").ok, 20)
        pids = {n: m.service(n)["pid"] for n in ("a", "b", "gone", "d")}
        m.write("/etc/rastos/services/c.ini", SLEEP)
        m.sh("rm /etc/rastos/services/gone.ini /etc/rastos/enabled/gone", check=True)
        for _ in range(3):
            r = m.ctl("apply", check=False)
            assert r.status == 1 and "can't be written to /run/rastos/graph: No space left on device" in r.err and "goes on" in r.err, r
        assert {n: m.service(n)["pid"] for n in pids} == pids
        m.ctl("restart", "--force", "a")
        assert m.state("b") == "up"
        m.sh("rm /mnt/fill", check=True)
        m.ctl("apply")
        m.ctl("start", "c")
        assert "gone" not in m.services() and m.state("c") == m.state("d") == "up"


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name])
