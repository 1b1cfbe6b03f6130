#!/usr/bin/python3
"""rastd dies at a chosen place in its own code, again and again, each new one too: whatever it was doing is brought to its end by those that follow,
once and only once. Needs a rastd with crash points (-Dfaults=true): RASTD_FAULTS names it, else it is looked for beside RASTOS_BUILD."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import machine  # noqa: E402
from machine import Failed, Machine, run  # noqa: E402

# The place, and every how many passes. With 1 a rastd that dies before it has done anything could never get anywhere; a request is marked with one commit
# per service, so those come in greater numbers.
POINTS = [(p, k) for p in ("intent", "cloned", "started", "prepared", "exit-seen", "exit-recorded", "signalling", "killing") for k in (2, 7)] + [
    (p, k) for p in ("committed", "half-written") for k in (61, 97)]


def services():
    out = {"dirs.ini": "[service]\ntype = oneshot\nexec = mkdir -p /run/n\n"}
    need = "[dependencies]\ndepends = dirs\n"
    for i in range(12):  # a chain of oneshots: each must run exactly once
        out[f"job{i:02}.ini"] = f"[service]\ntype = oneshot\nexec = sh -c 'echo x >> /run/n/job{i:02}'\n[dependencies]\ndepends = {f'job{i - 1:02}' if i else 'dirs'}\n"
    for i in range(6):
        out[f"stay{i}.ini"] = f"[service]\ntype = longrun\nexec = sh -c 'echo x >> /run/n/stay{i}; exec sleep 1000'\npre-start = sh -c 'echo x >> /run/n/pre{i}'\npost-stop = sh -c 'echo x >> /run/n/post{i}'\n{need}"
    for i in range(4):  # dies by itself four times, then has failed
        out[f"dies{i}.ini"] = f"[service]\ntype = longrun\nexec = sh -c 'echo x >> /run/n/dies{i}; exit 3'\n{need}[restart]\nlimit = 4\ninterval = 100s\ndelay = 5ms\ndelay-max = 5ms\n"
    out["deaf.ini"] = f"[service]\ntype = longrun\nexec = sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n{need}[stop]\ntimeout = 300ms\n"
    return out


def states(m, names):
    """As they are, asking again when rastd dies in the middle of its answer."""
    while True:
        try:
            return {n: s for n, s in m.services().items() if n in names}
        except Failed:
            time.sleep(0.05)


def wait_for(m, names, wanted):
    def there():
        now.update({n: s["state"] for n, s in states(m, names).items()})
        return all(s in wanted for s in now.values())
    now = {}
    m.until(there, 30, lambda: now)


def lines(m):
    text = m.sh("cd /run/n && wc -l * | grep -v total", check=True).out
    return {name: int(n) for n, name in (line.split() for line in text.splitlines())}


def check_started(m):
    mine = [n[:-4] for n in services()]
    wait_for(m, mine, ("up", "failed"))
    wait_for(m, [f"dies{i}" for i in range(4)], ("failed",))  # it is up for a moment in each of its runs
    n, s = lines(m), states(m, mine)
    for i in range(12):
        assert n[f"job{i:02}"] == 1, (f"job{i:02}", n)
    for i in range(6):
        assert n[f"stay{i}"] == n[f"pre{i}"] == 1, (i, n)
    for i in range(4):
        d = s[f"dies{i}"]
        assert d["state"] == "failed" and n[f"dies{i}"] == 4 and d["restarts"] == 3 and d["exit"]["status"] == 3, (d, n)


def check_stopped(m):
    mine = [f"stay{i}" for i in range(6)] + ["deaf"]
    while not all(not s["wanted"] for s in states(m, mine).values()):
        m.ctl("stop", "--no-wait", *mine, check=False)
    wait_for(m, mine, ("down",))
    n = lines(m)
    for i in range(6):
        assert n[f"post{i}"] == 1, (i, n)
    assert not m.sh("pgrep -f 'trap.*[T]ERM'").ok, "a process of deaf is left"


def dies_at(point, every):
    def case():
        with Machine(services(), env={"RAST_CRASH_AT": f"{point}:{every}"}, boot_timeout=60) as m:
            check_started(m)
            check_stopped(m)
    case.__name__ = f"rastd_dies_at_every_{every}_{point}_and_everything_happens_once"
    return case


if __name__ == "__main__":
    d = machine.faults_stage()
    machine.STAGE = d + "/s"
    try:
        run([dies_at(p, k) for p, k in POINTS])
    finally:
        shutil.rmtree(d, ignore_errors=True)
