#!/usr/bin/python3
"""Configurations and disks that are broken: the machine says what is wrong and stays in somebody's hands."""
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, Console, has_process, run, writable  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"
FILL = "dd if=/dev/zero of=/var/fill bs=1M 2>/dev/null; dd if=/dev/zero of=/var/fill2 bs=4k 2>/dev/null; sync; df /var"


def a_cycle_boots_to_rescue_with_the_cycle_printed():
    services = {"a": SLEEP + "[dependencies]\ndepends = b\n", "b": SLEEP + "[dependencies]\ndepends = c\n", "c": SLEEP + "[dependencies]\nafter = a\n"}
    with VM(services=services, append="rast.fail-delay=10min") as vm:
        path = vm.expect(r"^.*\b[abc] .*->.*$", timeout=60)[0]
        assert re.search(r"\ba\b.*\bb\b.*\bc\b|\bb\b.*\bc\b.*\ba\b|\bc\b.*\ba\b.*\bb\b", path), path
        Console(vm).quiet_shell()
        status, text = Console(vm).run("cat /proc/1/comm")
        assert status == 0 and "rastinit" in text, text


def a_service_file_with_an_error_does_not_keep_the_machine_from_help():
    with VM(services={"bad": "[service]\ntype = longrun\nexce = sleep 1\n"}, append="rast.fail-delay=10min") as vm:
        vm.expect(r"bad\.ini:3.*exec", timeout=60)
        Console(vm).quiet_shell()


def a_missing_root_device_is_named_and_a_shell_follows():
    with VM(root="/dev/vdz", append="rast.root-timeout=3") as vm:
        vm.expect(r"/dev/vdz", timeout=60)
        vm.expect(r"shell follows", timeout=30)
        console = Console(vm).quiet_shell()
        assert console.run("test -b /dev/vda")[0] == 0


def a_root_by_label_is_found():
    with VM(root="LABEL=rastos") as vm:
        vm.wait_state("guest-agent", "up", timeout=60)


def a_machine_without_a_person_reboots_in_place_of_a_rescue_shell():
    with VM(root="UUID=00000000-0000-0000-0000-000000000000", append="rast.root-timeout=2 rast.rescue-shell=no") as vm:
        assert vm.wait_exit(60).reason == "guest-reset"
        assert "00000000-0000" in vm.log


def a_full_root_disk_boots_runs_services_and_shuts_down():
    with VM(services={"a": SLEEP, "talker": "[service]\ntype = longrun\nexec = sh -c 'while :; do echo hello; sleep 0.2; done'\n"}, deadline=300) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.run(FILL, timeout=120)
        assert not vm.run("dd if=/dev/zero of=/var/more bs=1M count=4").ok
        assert vm.state("talker") == "up"
        assert vm.power_off(90).reason == "guest-shutdown"
        vm.start()
        vm.wait_state("a", "up", timeout=90)
        vm.wait_state("talker", "up")
        vm.check("rm -f /var/fill /var/fill2 && sync && touch /var/again")
        assert vm.power_off(90).reason == "guest-shutdown"
        assert vm.fsck() == ""


def a_snapshot_that_can_not_be_mounted_is_skipped():
    def break_it(top):
        root = f"{top}/.snapshots/rootfs/snapshot-1"
        with writable(root):
            os.rmdir(f"{root}/proc")
            shutil.rmtree(f"{root}/usr/lib/rastos")
    with VM(prepare=break_it) as vm:
        vm.expect("snapshot 1 is skipped", timeout=60)
        vm.expect("booting snapshot 0")
        vm.wait_state("guest-agent", "up", timeout=60)


def a_snapshot_without_its_etc_is_skipped():
    with VM(prepare=lambda top: os.rename(f"{top}/.snapshots/etc/etc-1", f"{top}/.snapshots/etc/gone")) as vm:
        vm.expect("snapshot 1 is skipped", timeout=60)
        vm.expect("booting snapshot 0")
        vm.wait_state("guest-agent", "up", timeout=60)


def with_no_snapshot_left_the_rescue_shell_says_why():
    def break_all(top):
        for n in (0, 1):
            os.rename(f"{top}/.snapshots/rootfs/snapshot-{n}", f"{top}/.snapshots/rootfs/gone-{n}")
    with VM(prepare=break_all) as vm:
        vm.expect("can't boot by itself", timeout=60)
        vm.expect("no snapshot", timeout=10)
        Console(vm).quiet_shell()


def rescue_and_emergency_on_the_command_line_give_a_shell():
    for word in ("rescue", "emergency", "single"):
        with VM(services={"a": SLEEP}, append=word) as vm:
            console = Console(vm).quiet_shell()
            status, text = console.run(f"cat /proc/1/comm; {has_process('sleep 100000')} || echo none")
            assert status == 0 and "rastinit" in text and "none" in text, (word, text)


run(globals())
