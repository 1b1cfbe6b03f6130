#!/usr/bin/python3
"""Power cuts, during boot and during shutdown: the machine boots again, whatever was lost that had not been flushed."""
import os
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, disk, replay, run  # noqa: E402

SERVICES = {
    "writer": "[service]\ntype = longrun\nexec = sh -c 'i=0; while :; do i=$((i+1)); echo $i > /var/counter.new; sync; mv /var/counter.new /var/counter; sync; sleep 0.2; done'\n",
    "talker": "[service]\ntype = longrun\nexec = sh -c 'while :; do echo hello; sleep 0.1; done'\n",
}
POINTS = 20


def _recorded(work):
    """A boot and a shutdown whose writes are recorded: (machine, recording, writes at the end of the boot)."""
    vm = VM(services=SERVICES, start=False)
    try:
        vm.recording = replay.Recording(pathlib.Path(work), vm.disk)
        vm.start()
        vm.wait_up()
        vm.wait_until("test -s /var/counter")
        booted = vm.recording.count()
        assert vm.power_off().reason == "guest-shutdown"
        assert booted > 20 and vm.recording.count() > booted, (booted, vm.recording.count())
        return vm, vm.recording, booted
    except BaseException:
        vm.close()
        raise


def _boots_again(path, what):
    """The file system is sound, the machine comes up from it, and a file that is replaced all the time is an old or a new one."""
    wrong = disk.is_clean(path)
    assert wrong == "", f"{what}: {wrong}"
    counter = disk.edit(path, lambda top: _content(f"{top}/@var/counter"))
    assert counter is None or counter.strip().isdigit(), f"{what}: /var/counter is {counter!r}"
    with VM(disk_path=path, name="after-power-cut", deadline=120) as vm:
        try:
            vm.wait_up()
            assert vm.state("writer") == "up"
            vm.check("/usr/lib/rastos/rastinit --ledger show")
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from e


def _content(path):
    return pathlib.Path(path).read_text() if os.path.exists(path) else None


# What of the writes that no flush had followed is lost: none (QEMU was killed), half, all, half and the last one torn.
KINDS = ({}, {"drop": 0.5}, {"drop": 1.0}, {"drop": 0.5, "torn": True})


def _cuts(during):
    seed = int(os.environ.get("RASTOS_SEED") or int.from_bytes(os.urandom(4)))
    chance = random.Random(seed)
    print(f"# RASTOS_SEED={seed} makes the same cuts of the same writes", flush=True)
    with tempfile.TemporaryDirectory(prefix="rastos-cut-") as work:
        vm, recording, booted = _recorded(work)
        with vm:
            first, last = (1, booted) if during == "boot" else (booted + 1, recording.count())
            points = sorted(chance.sample(range(first, last + 1), min(POINTS, last - first + 1)))
            print(f"# during {during}, after these of the writes {first} to {last}: {points}", flush=True)
            for i, point in enumerate(points):
                crashed = pathlib.Path(work) / "crashed.img"
                lost = recording.crash(crashed, point, seed=seed + i, **KINDS[i % len(KINDS)])
                _boots_again(crashed, f"RASTOS_SEED={seed}: power cut number {i} during {during}, after {point} of {recording.count()} writes, {lost} lost")
                crashed.unlink()
            assert len(points) == POINTS, f"only {len(points)} writes during {during}"


def twenty_power_cuts_during_boot_never_make_it_unbootable():
    _cuts("boot")


def twenty_power_cuts_during_shutdown_never_make_it_unbootable():
    _cuts("shutdown")


def a_machine_that_is_switched_off_again_and_again_keeps_booting():
    seed = int(os.environ.get("RASTOS_SEED") or int.from_bytes(os.urandom(4)))
    chance = random.Random(seed)
    print(f"# RASTOS_SEED={seed}")
    with VM(services=SERVICES, deadline=120) as vm:
        for _ in range(20):
            time.sleep(chance.uniform(0.05, 1.5))
            vm.power_cut()
            vm.start()
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert vm.state("writer") == "up"


run(globals())
