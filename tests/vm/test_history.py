#!/usr/bin/python3
"""The history decides: back from a deployment that fails, to the snapshot that is right; and never anything but the last known good one when its store is damaged."""
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, run  # noqa: E402
from rastvm import cache  # noqa: E402

SSHD = "[service]\ntype = longrun\nexec = sleep 100000\nboot-critical = yes\nsettle-time = 1s\n[restart]\npolicy = no\n"
BROKEN = SSHD.replace("sleep 100000", "sh -c 'echo bad configuration option: PermitRotLogin; exit 255'")
A, B = "net.core.somaxconn = 1000\n", "vm.swappiness = 10\n"
LIVE = "rast.fail-delay=1"


def _snapshot(top, number, sshd, sysctl):
    """One more snapshot, of the newest: its /etc has this sshd.ini and these sysctls."""
    old = f"{top}/.snapshots"
    if not os.path.exists(f"{old}/etc/etc-{number}"):
        cache.run("btrfs", "subvolume", "snapshot", "-r", f"{old}/rootfs/snapshot-1", f"{old}/rootfs/snapshot-{number}")
        cache.run("btrfs", "subvolume", "snapshot", f"{old}/etc/etc-1", f"{old}/etc/etc-{number}")
    etc = pathlib.Path(f"{old}/etc/etc-{number}")
    (etc / "rastos/services").mkdir(parents=True, exist_ok=True)
    (etc / "rastos/enabled").mkdir(exist_ok=True)
    (etc / "rastos/services/sshd.ini").write_text(sshd)
    if not (etc / "rastos/enabled/sshd").is_symlink():
        (etc / "rastos/enabled/sshd").symlink_to("../services/sshd.ini")
    (etc / "sysctl.conf").write_text(sysctl)


def _five(top):
    """1 works; 2 has A; 3 has A and a broken sshd; 4 has A and B; 5 has A, B and the broken sshd again."""
    for number, sshd, sysctl in ((1, SSHD, ""), (2, SSHD, A), (3, BROKEN, A), (4, SSHD, A + B), (5, BROKEN, A + B)):
        _snapshot(top, number, sshd, sysctl)


def _is_good(vm, snapshot, line="booting snapshot {}:"):
    vm.expect(line.format(snapshot), 90)
    vm.check("rastctl wait --timeout 90", timeout=100)
    vm.wait_until(f"/usr/lib/rastos/rastinit --ledger show --json | grep -q '\"last_good\": *{snapshot},'", timeout=60)
    vm.wait_until(f"rast history list --json | grep -q '\"snapshot\": {snapshot},'", timeout=60)


def _fails(vm, snapshot, tries=3):
    for _ in range(tries):
        vm.expect(f"booting snapshot {snapshot}:", 90)
        assert vm.wait_exit(120).reason == "guest-reset"
        vm.start()


def _reboot(vm):
    assert vm.power_off().reason == "guest-shutdown"
    vm.start()


def _up_to_the_last_failure(vm):
    """3 fails and 1 comes back, for nothing is known yet; 2 is healthy; 4 is made and not booted; 5 has the fault of 3. Returns what deploying 5 said."""
    _is_good(vm, 1)
    vm.check("rast deploy 3", timeout=60)
    _reboot(vm)
    _fails(vm, 3)
    _is_good(vm, 1)
    vm.check("rast deploy 2", timeout=60)
    _reboot(vm)
    _is_good(vm, 2)
    vm.check("rast history record --kind=deploy --snapshot=4", timeout=60)
    said = vm.run("rast deploy 5", timeout=60)
    assert said.ok, said
    _reboot(vm)
    _fails(vm, 5)
    return said.err


def _damage(kind, folder):
    data = folder / "data.mdb"
    size = data.stat().st_size
    if kind == "empty":
        data.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(data, size // 2)
    elif kind == "newer version":
        raw = bytearray(data.read_bytes())
        for page in (0, 1):
            raw[page * 4096 + 20] = 99  # mm_version of LMDB's meta pages
        data.write_bytes(raw)
    elif kind == "every page":
        raw = bytearray(data.read_bytes())
        for page in range(2, size // 4096):
            raw[page * 4096 + 16:(page + 1) * 4096] = b"\xa5" * 4080
        data.write_bytes(raw)
    elif kind == "a pipe, which hangs":
        data.unlink()
        os.mkfifo(data)
    elif kind == "gone":
        shutil.rmtree(folder)


def a_deploy_that_breaks_sshd_comes_back_on_the_right_snapshot_and_on_the_last_good_one_whatever_is_wrong_with_the_store():
    with VM(prepare=_five, append=LIVE, deadline=600) as vm, tempfile.TemporaryDirectory(prefix="rastos-history-") as kept:
        warning = _up_to_the_last_failure(vm)
        assert "resembles" in warning and "sshd" in warning, warning
        vm.power_cut()
        saved = pathlib.Path(kept)

        def save(top):
            shutil.copytree(f"{top}/@rastos/store", saved / "store")
            shutil.copy(f"{top}/@rastos/ledger", saved / "ledger")

        def put(kind):
            def change(top):
                shutil.rmtree(f"{top}/@rastos/store", ignore_errors=True)
                shutil.copytree(saved / "store", f"{top}/@rastos/store")
                shutil.copy(saved / "ledger", f"{top}/@rastos/ledger")
                _damage(kind, pathlib.Path(f"{top}/@rastos/store"))
            return change
        vm.edit(save)
        for kind in ("empty", "truncated", "newer version", "every page", "a pipe, which hangs", "gone"):
            vm.edit(put(kind))
            vm.start()
            vm.expect("booting snapshot 2:", 90)
            assert "history prefers" not in vm.log, kind
            vm.power_cut()
        vm.edit(put("nothing"))
        vm.start()
        _is_good(vm, 4, "the history prefers snapshot {} to 2")
        why = vm.check("rast why", timeout=60)
        suspects = why.split("which change it was:\n")[1].splitlines()
        assert "service/sshd" in suspects[0] and "preferred snapshot 4 to 2" in why, why
        assert "that failed" in vm.run("rast deploy 5", timeout=60).err
        assert "ranked" in vm.check("cat /run/rastos/boot")
        vm.check("test -s /var/lib/rastos/decision.json")
        listed = vm.check("rast history list", timeout=60)
        assert "sshd" in listed and "failed" in listed, listed


run(globals())
