#!/usr/bin/python3
"""From power-on to all services up."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"
STAMP = "[service]\ntype = {type}\nexec = sh -c '{before} echo {name} >> /run/order; {after}'\n"


def stamp(name, kind="oneshot", before="", after="", depends="", order=""):
    text = STAMP.format(type=kind, name=name, before=before, after=after)
    return text + "[dependencies]\n" + (f"depends = {depends}\n" if depends else "") + (f"after = {order}\n" if order else "")


def ledger(vm):
    return json.loads(vm.check("/usr/lib/rastos/rastinit --ledger show --json"))


def a_cold_boot_brings_up_every_service_and_marks_the_snapshot_good():
    names = [f"s{i}" for i in range(10)]
    with VM(services={n: SLEEP for n in names}, cold=True) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        states = vm.services()
        assert all(states[n]["state"] == "up" for n in names), states
        assert states["default"]["state"] == "up", states["default"]
        assert vm.check("cat /proc/1/comm").strip() == "rastinit"
        vm.wait_until("/usr/lib/rastos/rastinit --ledger show --json | grep -q '\"last_good\": *1'", timeout=30)
        assert vm.power_off().reason == "guest-shutdown"
        assert vm.fsck() == ""


def services_start_after_what_they_depend_on_even_when_that_is_slow():
    services = {
        "slow": stamp("slow", before="sleep 2;"),
        "middle": stamp("middle", depends="slow"),
        "late": stamp("late", kind="longrun", after="exec sleep 1000", depends="middle"),
        "later": stamp("later", order="late"),
        "free": stamp("free"),
    }
    with VM(services=services) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        order = vm.check("cat /run/order").split()
        assert sorted(order) == sorted(services), order
        assert order.index("free") < order.index("slow") < order.index("middle") < order.index("late"), order
        assert order.index("middle") < order.index("later"), order


def a_failed_oneshot_blocks_only_its_dependents():
    services = {
        "broken": "[service]\ntype = oneshot\nexec = sh -c 'exit 3'\n",
        "dependent": SLEEP + "[dependencies]\ndepends = broken\n",
        "indirect": SLEEP + "[dependencies]\ndepends = dependent\n",
        "wanting": SLEEP + "[dependencies]\nwants = broken\n",
        "other": SLEEP,
    }
    with VM(services=services) as vm:
        vm.wait_state("broken", "failed")
        vm.wait_state("other", "up")
        vm.wait_state("wanting", "up")
        states = {n: s["state"] for n, s in vm.services().items()}
        assert states["dependent"] in ("down", "failed") and states["indirect"] in ("down", "failed"), states
        assert "3" in vm.run("rastctl status broken").out


def the_root_is_read_only_and_what_is_shared_is_writable():
    with VM() as vm:
        assert not vm.run("touch /usr/x").ok
        for place in ("/etc", "/var", "/var/log", "/home", "/root", "/srv", "/tmp", "/run", "/var/lib/rastos"):
            vm.check(f"touch {place}/.x && rm {place}/.x")
        vm.check("mount | grep -q 'on /sys/fs/cgroup type cgroup2'")
        assert vm.check("cat /sys/fs/cgroup/rastos.service/guest-agent/cgroup.procs").strip() != ""
        assert {"memory", "pids"} <= set(vm.check("cat /sys/fs/cgroup/rastos.service/cgroup.controllers").split())


def a_snapshot_named_on_the_command_line_is_booted():
    with VM(append="rast.snapshot=0") as vm:
        vm.expect("booting snapshot 0")
        assert ".snapshots/rootfs/snapshot-0" in vm.check("mount | grep ' on / '")
        assert "etc-0" in vm.check("mount | grep ' on /etc '")


def a_masked_service_is_not_started():
    with VM(services={"a": SLEEP, "b": SLEEP}, append="rast.mask=a") as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert vm.state("b") == "up"
        assert vm.state("a") in (None, "down"), vm.state("a")


def pid_one_has_one_permanent_child_and_it_is_the_supervisor():
    with VM(services={"a": SLEEP}) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        children = vm.check("for p in $(cat /proc/1/task/1/children); do cat /proc/$p/comm; done").split()
        assert children == ["rastd"], children


run(globals())
