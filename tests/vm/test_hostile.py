#!/usr/bin/python3
"""Surroundings that nobody wishes for: nonsense on the kernel command line, disks that come late or never, no memory, no room, no modules."""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, Console, run, writable  # noqa: E402
from rastvm import image  # noqa: E402 (vmtest has set the path)
from rastvm.vm import build_dir  # noqa: E402

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"


def nonsense_on_the_kernel_command_line_is_named_and_the_machine_boots():
    nonsense = {"rast.rot=/dev/vdq": "did you mean rast.root", "rast.root-timeout=-5": "a number of seconds", "rast.watchdog=abc": "a number of seconds", "rast.crash=boom": "stay or reboot",
                "rast.show=maybe": "yes or no", "rast.log=loud": "a level", "rast.mask=,,,nosuch,": None, "rast.target=nope": "there is no service 'nope'", "rast.x=" + "y" * 1500: "is not known",
                "rast.snapshot=99": "snapshot 99 of the kernel command line is not bootable", "init=/etc/passwd": "/etc/passwd"}
    with VM(services={"a": SLEEP}, append=" ".join(nonsense)) as vm:
        vm.wait_state("a", "up", timeout=60)
        for word, said in nonsense.items():
            assert not said or said in vm.log, (word, said, vm.log[-3000:])


def root_devices_that_can_not_be_are_refused_with_what_could_be():
    for root in (None, "", "bogus", "UUID=", "PARTLABEL="):
        with VM(root=root, append="rast.root=" if root == "" else "") as vm:
            vm.expect("PARTUUID=.*PARTLABEL=", 30)
            Console(vm).quiet_shell()
    with VM(root="/dev/vda", append="rast.rootflags=nonsense") as vm:
        vm.expect("options subvolid=5,nonsense", 30)
        Console(vm).quiet_shell()


def a_root_disk_that_appears_late_is_waited_for():
    with VM(start=False, root="/dev/vdb") as vm:
        late = vm.dir / "late.img"
        shutil.move(vm.disk, late)
        with open(vm.disk, "wb") as f:
            f.truncate(late.stat().st_size)
        vm.start()
        vm.expect("waiting up to 30 s for root device /dev/vdb", 30)
        vm.process.plug_drive(late, "late")
        vm.wait_up()
        assert vm.power_off().reason == "guest-shutdown"


def ninety_six_megabytes_are_enough():
    with VM(services={"a": SLEEP}, memory=96) as vm:
        vm.wait_state("a", "up", timeout=90)
        assert vm.power_off().reason == "guest-shutdown"
        assert vm.fsck() == ""


def a_full_run_keeps_neither_services_nor_the_shutdown_from_working():
    with VM(services={"a": SLEEP}, available={"b": SLEEP}) as vm:
        vm.wait_state("a", "up")
        vm.check("mount -o remount,size=4M /run; dd if=/dev/zero of=/run/fill bs=4k 2>/dev/null; ! touch /run/x || ! echo full > /run/x", timeout=60)
        assert vm.run("rastctl list").ok
        vm.check("rastctl start b", timeout=40)
        pid = vm.services()["a"]["pid"]
        vm.check(f"kill -9 {pid}")
        vm.wait_until(f"! test -d /proc/{pid}", timeout=20)
        vm.wait_state("a", "up")
        assert vm.power_off(90).reason == "guest-shutdown"
        assert vm.fsck() == ""


def a_snapshot_without_its_kernels_modules_boots_all_the_same():
    def remove(top):
        for n in (0, 1):
            root = f"{top}/.snapshots/rootfs/snapshot-{n}"
            with writable(root):
                shutil.rmtree(f"{root}/usr/lib/modules")
    with VM(services={"a": SLEEP}, prepare=remove, files={"/etc/modules-load.d/x.conf": "loop\nno-such-module\n"}) as vm:
        vm.wait_state("a", "up", timeout=60)
        assert vm.power_off().reason == "guest-shutdown"


def an_initramfs_without_the_drivers_says_what_it_lacks():
    for modules, said in ((["virtio_pci", "virtio_blk"], "btrfs"), (["btrfs"], "/dev/vda did not appear")):
        with VM(cold=True, start=False, append="rast.root-timeout=2") as vm:
            poor = vm.dir / "initramfs"
            (vm.dir / "dest").mkdir()
            image.installed(build_dir(), vm.dir / "dest")
            vm.image.kernel.write_initramfs(poor, vm.dir / "dest/usr/lib/rastos/rastinit", image.BUSYBOX, modules)
            vm.image.initramfs = poor
            vm.start()
            vm.expect(said, 60)
            vm.expect("a shell follows", 30)
            Console(vm).quiet_shell()


def a_service_that_eats_all_memory_costs_neither_the_supervisor_nor_pid_one():
    eater = "[service]\ntype = longrun\nexec = sh -c 'exec tail -c 1000000000 /dev/zero'\n[restart]\nlimit = 2\ndelay = 100ms\n"
    with VM(services={"a": SLEEP}, available={"eater": eater}, memory=128) as vm:
        vm.wait_state("a", "up", timeout=90)
        rastd = vm.check("cat /proc/1/task/1/children")
        vm.run("rastctl start eater --no-wait", timeout=60)
        vm.wait_state("eater", "failed", timeout=90)
        assert vm.check("cat /proc/1/task/1/children") == rastd
        assert vm.state("a") == "up"
        assert vm.power_off().reason == "guest-shutdown"


run(globals())
