#!/usr/bin/python3
"""Power cuts, during boot and during shutdown: the machine boots again, whatever was lost that had not been flushed."""
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
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.run("sleep 1")
        booted = vm.recording.count()
        assert vm.power_off().reason == "guest-shutdown"
        assert booted > 20 and vm.recording.count() > booted, (booted, vm.recording.count())
        return vm, vm.recording, booted
    except BaseException:
        vm.close()
        raise


def _boots_again(path, what):
    """The file system is sound, and the machine comes up from it."""
    wrong = disk.is_clean(path)
    assert wrong == "", f"{what}: {wrong}"
    with VM(disk_path=path, name="after-power-cut", deadline=120) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert vm.state("writer") == "up", what
        vm.check("/usr/lib/rastos/rastinit --ledger show")


def _cuts(first, last, seed):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="rastos-cut-") as work:
        vm, recording, booted = _recorded(work)
        with vm:
            begin, end = (0, booted) if first == "boot" else (booted, recording.count())
            for i in range(last):
                point = chance.randint(begin + 1, end)
                crashed = pathlib.Path(work) / "crashed.img"
                drop = 0.5 if i % 2 else 0.0
                dropped = recording.crash(crashed, point, drop=drop, seed=seed * 1000 + i)
                _boots_again(crashed, f"power cut number {i} during {first}, after {point} of {recording.count()} writes, {dropped} dropped (seed {seed * 1000 + i})")
                crashed.unlink()


def twenty_power_cuts_during_boot_never_make_it_unbootable():
    _cuts("boot", POINTS, seed=1)


def twenty_power_cuts_during_shutdown_never_make_it_unbootable():
    _cuts("shutdown", POINTS, seed=2)


def a_machine_that_is_switched_off_again_and_again_keeps_booting():
    chance = random.Random(3)
    with VM(services=SERVICES, deadline=120) as vm:
        for _ in range(8):
            time.sleep(chance.uniform(0.5, 5))
            vm.power_cut()
            vm.start()
        vm.check("rastctl wait --timeout 60", timeout=70)
        assert vm.state("writer") == "up"


run(globals())
