#!/usr/bin/python3
"""The way down: in order, bounded, and clean."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"
DEAF = "[service]\ntype = longrun\nexec = sh -c 'trap : TERM INT; while :; do sleep 1; done'\n[stop]\ntimeout = {}\n"


def a_service_that_ignores_sigterm_is_named_and_does_not_stop_the_shutdown():
    with VM(services={"deaf": DEAF.format("3s"), "a": SLEEP}) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        began = time.monotonic()
        assert vm.power_off(timeout=40).reason == "guest-shutdown"
        assert 2.5 < time.monotonic() - began < 30
        assert "deaf" in vm.log, vm.log[-2000:]
        assert vm.fsck() == ""


def a_service_that_may_take_for_ever_is_ended_by_pid_ones_limit():
    with VM(services={"endless": DEAF.format("infinity")}, append="rast.shutdown-timeout=5") as vm:
        vm.wait_state("endless", "up")
        began = time.monotonic()
        assert vm.power_off(timeout=60).reason == "guest-shutdown"
        assert time.monotonic() - began < 45
        assert "endless" in vm.log, vm.log[-2000:]
        assert vm.fsck() == ""


def services_stop_before_what_they_depend_on():
    stamp = "[service]\ntype = longrun\nexec = sh -c 'trap \"echo {0} >> /var/order; exit 0\" TERM; while :; do sleep 0.1; done'\n"
    services = {"a": stamp.format("a"), "b": stamp.format("b") + "[dependencies]\ndepends = a\n", "c": stamp.format("c") + "[dependencies]\nafter = b\n"}
    with VM(services=services) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.power_off()
        assert vm.edit(lambda top: open(f"{top}/@var/order").read()).split() == ["c", "b", "a"]


def reboot_resets_the_machine_and_the_next_boot_is_fine():
    with VM(services={"a": SLEEP}) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.spawn("reboot")
        assert vm.wait_exit(60).reason == "guest-reset"
        vm.start()
        vm.wait_state("a", "up", timeout=60)


def sigint_to_pid_one_as_ctrl_alt_del_sends_it_reboots():
    with VM() as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.spawn("kill -INT 1")  # no answer is waited for: the machine may be down before it comes
        assert vm.wait_exit(60).reason == "guest-reset"
        assert vm.fsck() == ""


def shutdown_works_when_the_supervisor_keeps_dying():
    with VM(services={"a": SLEEP}) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.spawn("rastctl poweroff & sleep 0.1; kill -9 $(cat /proc/1/task/1/children)")
        assert vm.wait_exit(90).reason == "guest-shutdown"
        assert vm.fsck() == ""


def what_was_written_last_is_on_the_disk():
    with VM() as vm:
        vm.check("dd if=/dev/urandom of=/var/big bs=64k count=64 2>/dev/null; md5sum /var/big > /var/big.md5")
        vm.power_off()
        assert vm.fsck() == ""
        vm.start()
        vm.check("md5sum -c /var/big.md5")


run(globals())
