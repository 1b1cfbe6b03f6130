#!/usr/bin/python3
"""A machine on which nothing happens costs next to nothing: no wakeups, little memory."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import STAGE, Machine, run  # noqa: E402

SERVICES = 200
PSS_MAX = 1700  # KiB, of the three together; more than 3000 while none of it has been given back
LOOK = r"""for p in /proc/[0-9]*; do
    read -r name < $p/comm || continue
    case $name in
    rastinit|rastd|rastlogd)
        pss=$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' $p/smaps_rollup)
        echo $name ${p#/proc/} $pss $(sed -n 's/^voluntary_ctxt_switches:[^0-9]*//p' $p/status);;
    sleep) echo sleep ${p#/proc/} 0 0;;
    esac
done 2>/dev/null"""


def look(m):
    """{name: [(pid, pss, wakeups)]}; without rastctl, which would give rastd something to do."""
    found = {}
    for line in m.sh(LOOK).out.splitlines():
        name, *numbers = line.split()
        if len(numbers) == 3:
            found.setdefault(name, []).append(tuple(int(n) for n in numbers))
    return found


def instrumented():
    """A sanitizer has memory of its own, and keeps it."""
    with open(STAGE + "/usr/lib/rastos/rastd", "rb") as f:
        return b"__asan_init" in f.read()


def memory(found):
    return sum(pss for name, all_of_it in found.items() for _, pss, _ in all_of_it)


def all_up(found):
    return len(found.get("sleep", [])) == SERVICES and all(len(found.get(p, [])) == 1 for p in ("rastinit", "rastd", "rastlogd"))


def when_all_is_up_memory_is_given_back_without_a_timer_and_nobody_wakes_up():
    services = {f"s{i}.ini": "[service]\ntype = longrun\nexec = sleep 1000000\n" for i in range(SERVICES)}
    with Machine(services, wait=False) as m:
        m.until(lambda: all_up(look(m)), 60, "not all services were started")
        if not instrumented():
            m.until(lambda: memory(look(m)) < PSS_MAX, 20, lambda: f"memory is not given back: {[v for k, v in look(m).items() if k != 'sleep']}")
        else:
            m.booted()
            time.sleep(1)
        before = look(m)
        time.sleep(6)
        after = look(m)
        for name in ("rastinit", "rastd", "rastlogd"):
            assert before[name] and [p[2] for p in before[name]] == [p[2] for p in after[name]], f"{name} woke up: {before[name]} {after[name]}"


run([v for v in list(globals().values()) if callable(v) and getattr(v, "__module__", "") == "__main__" and v.__name__.startswith("when_")])
