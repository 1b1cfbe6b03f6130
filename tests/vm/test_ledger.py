#!/usr/bin/python3
"""The boot ledger: what happens when it is damaged, and when boots fail."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, run  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"
SLOT = 4096


def damage(*slots):
    def change(top):
        with open(f"{top}/@rastos/ledger", "r+b") as f:
            for slot in slots:
                f.seek(slot * SLOT + 64)
                f.write(b"\xde\xad\xbe\xef" * 64)
    return change


def ledger(vm):
    return json.loads(vm.check("/usr/lib/rastos/rastinit --ledger show --json"))


def _only_in(snapshot, name, text):
    """A service that exists, enabled, in one snapshot's /etc alone."""
    import os

    def change(top):
        etc = f"{top}/.snapshots/etc/etc-{snapshot}/rastos"
        os.makedirs(f"{etc}/enabled", exist_ok=True)
        with open(f"{etc}/services/{name}.ini", "w") as f:
            f.write(text)
        os.symlink(f"../services/{name}.ini", f"{etc}/enabled/{name}")
    return change


def boots(vm, snapshot, timeout=60):
    vm.expect(f"booting snapshot {snapshot}", timeout)


def a_ledger_with_one_damaged_slot_costs_nothing_but_the_newest_change():
    for slot in (0, 1):
        with VM(prepare=damage(slot)) as vm:
            vm.check("rastctl wait --timeout 60", timeout=70)
            vm.wait_until("/usr/lib/rastos/rastinit --ledger show", timeout=10)
            assert vm.power_off().reason == "guest-shutdown"
            vm.start()
            vm.check("rastctl wait --timeout 60", timeout=70)
            assert "damaged" not in vm.log and "checksum" not in vm.log, "the damaged slot has been written anew: " + vm.log[-1500:]


def a_ledger_with_both_slots_damaged_boots_the_newest_snapshot_and_starts_anew():
    with VM(prepare=damage(0, 1)) as vm:
        boots(vm, 1)
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert "starting a new one" in vm.log
        vm.wait_until("/usr/lib/rastos/rastinit --ledger show --json | grep -q '\"last_good\": *1'", timeout=30)


def a_ledger_that_is_missing_or_cut_short_does_not_matter():
    import os
    for change in (lambda top: os.unlink(f"{top}/@rastos/ledger"), lambda top: os.truncate(f"{top}/@rastos/ledger", 10)):
        with VM(prepare=change) as vm:
            boots(vm, 1)
            vm.check("rastctl wait --timeout 60", timeout=70)


def a_panic_counts_as_a_failed_try_and_the_last_good_snapshot_boots():
    crash = "[service]\ntype = oneshot\nexec = sh -c 'sleep 1; echo c > /proc/sysrq-trigger'\n"
    with VM(prepare=_only_in(1, "crash", crash), append="panic=1", deadline=120) as vm:
        for attempt in range(3):
            boots(vm, 1)
            end = vm.wait_exit(60)
            assert end.reason in ("guest-reset", "guest-panic"), (attempt, end)
            vm.start()
        boots(vm, 0)
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert ".snapshots/rootfs/snapshot-0" in vm.check("mount | grep ' on / '")
        entries = ledger(vm)
        assert entries["last_good"] == 0, entries


def a_boot_that_fails_to_come_up_goes_back_by_itself():
    broken = "[service]\ntype = oneshot\nboot-critical = yes\nexec = false\n"
    with VM(prepare=_only_in(1, "broken", broken), append="rast.fail-delay=1", deadline=120) as vm:
        for _ in range(3):
            boots(vm, 1)
            assert vm.wait_exit(60).reason == "guest-reset"
            vm.start()
        boots(vm, 0)
        vm.check("rastctl wait --timeout 60", timeout=70)


def service_files_with_errors_count_as_a_failed_try_and_the_rescue_shell_does_not_make_them_good():
    with VM(prepare=_only_in(1, "broken", "[service]\ntype = nonsense\n"), append="rast.fail-delay=2", deadline=120) as vm:
        for _ in range(3):
            boots(vm, 1)
            vm.expect("starting the rescue target", 60)
            assert vm.wait_exit(60).reason == "guest-reset"
            vm.start()
        boots(vm, 0)
        vm.check("rastctl wait --timeout 60", timeout=70)


def a_watchdog_reset_counts_as_a_failed_try_and_the_last_good_snapshot_boots():
    hang = "[service]\ntype = oneshot\nexec = sh -c 'sleep 2; exec /usr/lib/rastos/tests/hog'\n[readiness]\nstart-timeout = 1h\n"

    def prepare(top):
        _only_in(1, "hang", hang)(top)
        for n in (0, 1):
            folder = pathlib.Path(f"{top}/.snapshots/etc/etc-{n}/modules-load.d")
            folder.mkdir(exist_ok=True)
            (folder / "softdog.conf").write_text("softdog\n")
    with VM(prepare=prepare, append="rast.watchdog=5 softdog.soft_margin=5", deadline=120) as vm:
        for attempt in range(3):
            boots(vm, 1)
            assert vm.wait_exit(90).reason == "guest-reset", attempt
            vm.start()
        boots(vm, 0)
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.run("sleep 12", timeout=30)
        assert vm.running, "the watchdog is fed: nothing resets a healthy machine"


def an_orderly_power_off_before_the_boot_is_judged_gives_the_try_back():
    slow = SLEEP + "boot-critical = yes\nsettle-time = 10min\n"
    with VM(services={"critical": slow}) as vm:
        for _ in range(5):
            boots(vm, 1)
            vm.wait_state("critical", "up", timeout=60)
            assert vm.power_off().reason == "guest-shutdown"
            vm.start()
        boots(vm, 1)


run(globals())
