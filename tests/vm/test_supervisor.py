#!/usr/bin/python3
"""The supervisor under fire: crash loops, its own death, a crowd of zombies."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, has_process, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"
COUNTER = "[service]\ntype = longrun\nexec = sh -c 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done'\n"


RASTD = "for p in $(cat /proc/1/task/1/children); do [ \"$(cat /proc/$p/comm 2>/dev/null)\" = rastd ] && break; p=; done"


def _rastd_pid(vm):
    return int(vm.check(f"{RASTD}; echo $p"))


def a_crash_loop_is_limited_exactly():
    crashing = "[service]\ntype = longrun\nexec = sh -c 'echo x >> /run/starts; exit 1'\n[restart]\ndelay = 50ms\ndelay-max = 100ms\nlimit = {}\ninterval = 60s\n"
    with VM(services={"five": crashing.format(5), "three": crashing.format(3).replace("/run/starts", "/run/starts3")}) as vm:
        vm.wait_state("five", "failed")
        vm.wait_state("three", "failed")
        time.sleep(2)
        assert vm.check("wc -l < /run/starts").strip() == "5"
        assert vm.check("wc -l < /run/starts3").strip() == "3"


def a_storm_of_sigkill_on_the_supervisor_costs_no_service_and_no_line():
    services = {f"s{i:02}": SLEEP for i in range(20)}
    services["counter"] = COUNTER
    with VM(services=services, deadline=300) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        before = {n: s["pid"] for n, s in vm.services().items() if n in services}
        assert all(before.values()), before
        killed = vm.check(f"n=0; while [ $n -lt 40 ]; do {RASTD}; [ -n \"$p\" ] && kill -9 $p && n=$((n+1)); usleep 100000; done; echo $n", timeout=120)
        assert killed.strip() == "40"
        vm.check("rastctl wait --timeout 30", timeout=40)
        after = {n: s["pid"] for n, s in vm.services().items() if n in services}
        assert after == before, (before, after)
        vm.check("rastctl stop counter")
        lines = vm.check("rastctl logs counter --lines 100000 2>/dev/null || cat /var/log/rastos/counter.log").splitlines()
        numbers = [int(line.rsplit(" ", 1)[1]) for line in lines if " line " in line or line.startswith("line ")]
        assert len(numbers) > 20 and numbers == list(range(len(numbers))), numbers[:50]


def a_service_that_dies_while_the_supervisor_is_dead_is_restarted():
    with VM(services={"a": SLEEP}) as vm:
        vm.wait_state("a", "up")
        pid = vm.services()["a"]["pid"]
        vm.check(f"kill -9 {_rastd_pid(vm)} {pid}")
        vm.wait_until(f"p=$(rastctl list --json | grep -c . ); ! test -d /proc/{pid}", timeout=10)
        vm.wait_state("a", "up", timeout=10)
        assert vm.services()["a"]["pid"] not in (0, pid)


def pid_one_reaps_ten_thousand_zombies_and_goes_on():
    with VM(services={"a": SLEEP}, memory=2048, deadline=300) as vm:
        vm.wait_state("a", "up")
        before = int(vm.check("grep ^Private_Dirty /proc/1/smaps_rollup").split()[1])
        vm.check("ulimit -u unlimited; echo 65000 > /proc/sys/kernel/pid_max; echo 65000 > /proc/sys/kernel/threads-max; /usr/lib/rastos/tests/orphans 10000", timeout=200)
        vm.wait_until("! grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null", timeout=60)
        after = int(vm.check("grep ^Private_Dirty /proc/1/smaps_rollup").split()[1])
        assert after <= before + 32, (before, after)
        pid = vm.services()["a"]["pid"]
        vm.check(f"kill -9 {pid}")
        vm.wait_until(f"! test -d /proc/{pid}", timeout=10)
        vm.wait_state("a", "up", timeout=10)


def a_fault_in_pid_one_is_said_on_the_console_and_the_machine_stays():
    with VM(services={"a": SLEEP}) as vm:
        vm.wait_state("a", "up")
        vm.check("kill -SEGV 1")
        vm.expect("SIGSEGV|[Ss]egmentation", timeout=15)
        vm.wait_until("rastctl list >/dev/null", timeout=20)
        assert vm.state("a") == "up"


def a_memory_limit_of_the_cgroup_holds():
    hungry = "[service]\ntype = longrun\nexec = sh -c 'exec tail -c 100000000 /dev/zero'\n[cgroup]\nmemory.max = 8M\n[restart]\npolicy = no\n"
    with VM(services={"hungry": hungry, "a": SLEEP}) as vm:
        vm.wait_state("hungry", "failed", timeout=60)
        assert "KILL" in vm.check("rastctl status hungry; true").upper()
        assert vm.state("a") == "up"


def stopping_a_service_kills_all_that_it_has_left_behind():
    daemon = "[service]\ntype = longrun\nexec = sh -c 'setsid sleep 4242 & setsid sh -c \"trap : TERM; while :; do sleep 4243; done\" & exec sleep 4244'\n[stop]\ntimeout = 1s\n"
    with VM(services={"messy": daemon}) as vm:
        vm.wait_state("messy", "up")
        vm.wait_until(has_process("sleep 4243"), timeout=10)
        vm.check("rastctl stop messy", timeout=30)
        assert not vm.run(has_process("sleep 424")).ok


run(globals())
