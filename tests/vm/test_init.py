#!/usr/bin/python3
"""PID 1 on a machine: what it sets up before the services, what it survives, and the boot gate."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, Console, run  # noqa: E402
from rastvm.vm import Gone  # noqa: E402 (vmtest has set the path)

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"


def boot_file(vm):
    lines = vm.check("cat /run/rastos/boot").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def the_machine_is_set_up_before_services_start():
    see = """[service]
type = oneshot
exec = sh -c '{ hostname; cat /proc/sys/kernel/panic_on_oops /proc/sys/net/ipv4/ip_forward; ip link show lo; cat /srv/data/x; } > /run/seen 2>&1'
"""
    files = {"/etc/hostname": "# a comment\nwonder\n", "/etc/sysctl.d/10-a.conf": "kernel.panic_on_oops = 0\n-net.ipv4.no_such = 1\n",
             "/etc/sysctl.d/20-b.conf": "kernel/panic_on_oops = 1\nnet.ipv4.ip_forward=1\n", "/etc/machine-id": "",
             "/var/source/x": "bound\n",
             "/etc/fstab": "# comment\n/var/source /srv/data none bind,ro 0 0\ntmpfs /home/with\\040space tmpfs size=64k,noexec 0 0\n"
                           "UUID=11111111-2222-3333-4444-555555555555 /mnt/gone ext4 nofail 0 0\n/dev/vdz none swap sw,noauto 0 0\nserver:/x /mnt/net nfs defaults 0 0\n"}
    with VM(services={"see": see}, files=files) as vm:
        vm.wait_state("see", "up")
        seen = vm.check("cat /run/seen")
        assert seen.startswith("wonder\n1\n1\n") and "LOOPBACK,UP" in seen and "bound" in seen, seen
        assert vm.check("cat /proc/sys/kernel/hostname").strip() == "wonder"
        mounts = vm.check("cat /proc/mounts")
        assert re.search(r"^\S+ /srv/data btrfs ro,", mounts, re.M) and re.search(r"with\\040space tmpfs rw,.*noexec.*size=64k", mounts), mounts
        assert not vm.run("touch /srv/data/y").ok
        first = vm.check("cat /etc/machine-id").strip()
        assert re.fullmatch("[0-9a-f]{32}", first)
        seed = vm.copy_out("/var/lib/rastos/random-seed")
        assert len(seed) == 512
        assert vm.power_off().reason == "guest-shutdown"
        assert vm.fsck() == ""
        vm.start()
        assert vm.check("cat /etc/machine-id").strip() == first
        vm.wait_until("test -s /var/lib/rastos/random-seed")
        assert vm.copy_out("/var/lib/rastos/random-seed") != seed


def an_entry_of_fstab_that_is_missing_is_said_and_the_boot_goes_on():
    with VM(services={"a": SLEEP}, files={"/etc/fstab": "LABEL=nowhere /mnt/x ext4 x-systemd.device-timeout=2s 0 0\n"}) as vm:
        vm.expect("LABEL=nowhere can't be mounted at /mnt/x", 60)
        vm.wait_state("a", "up")


def what_the_kernel_says_in_run_rastos_boot_is_true():
    with VM() as vm:
        b = boot_file(vm)
        assert (b["snapshot"], b["default"], b["alternatives"], b["ledger_damaged"]) == ("1", "1", "1", "no"), b
        assert b["reason"] in ("default-tries", "default-proven") and b["text"] in vm.log, b


def pid_one_is_replaced_while_services_run():
    with VM(services={"a": SLEEP}) as vm:
        vm.wait_state("a", "up")
        before = (vm.services()["a"]["pid"], vm.check("cat /proc/1/task/1/children").split()[0])
        vm.check("kill -s 59 1")  # SIGRTMIN+25
        vm.expect("PID 1 is back, with its supervisor", 20)
        assert (vm.services()["a"]["pid"], vm.check("cat /proc/1/task/1/children").split()[0]) == before
        vm.check(f"kill -9 {before[1]}")
        vm.wait_until("rastctl list >/dev/null", timeout=20)
        assert vm.services()["a"]["pid"] == before[0]
        assert vm.power_off().reason == "guest-shutdown"


def a_fault_reboots_the_machine_when_that_is_asked_for():
    with VM(append="rast.crash=reboot") as vm:
        vm.wait_ready()
        vm.check("kill -SEGV 1")
        assert vm.wait_exit(30).reason == "guest-reset"
        assert "PID 1 had a fault: SIGSEGV" in vm.log


def pid_one_is_small_and_sleeps():
    with VM(services={"a": SLEEP}) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        # Two seconds after the last event; what remembers how the boot went may still be at work
        vm.wait_until("grep -E '^(Pss|Private_Dirty):' /proc/1/smaps_rollup; test $(grep ^Pss: /proc/1/smaps_rollup | tr -dc 0-9) -lt 300", timeout=60, every=1)
        switches = "grep ^voluntary /proc/1/status"
        assert vm.check(f"{switches}; sleep 8; {switches}").split()[1::2][0] == vm.check(switches).split()[1]


def emergency_goes_on_with_the_boot_when_its_shell_is_left():
    with VM(services={"a": SLEEP}, append="rast.target=emergency") as vm:
        vm.expect("emergency: a root shell", 60)
        Console(vm).quiet_shell()
        vm.type("mount | grep -c ' /srv/' ; exit\n")
        vm.wait_state("a", "up", timeout=60)


def a_supervisor_that_can_not_be_started_leaves_a_root_shell():
    with VM(append="rast.supervisor=/usr/lib/rastos/no-such-thing") as vm:
        vm.expect("has died 5 times", 60)
        vm.expect("a root shell follows", 10)
        Console(vm).quiet_shell()
        vm.type("echo alive-$((40+2))\n")
        vm.expect("alive-42", 20)
        vm.type("kill -s USR2 1\n")
        assert vm.wait_exit(60).reason == "guest-shutdown"
        assert vm.fsck() == ""


def a_root_named_by_uuid_on_a_file_system_of_two_disks_boots():
    with VM(start=False) as vm:
        # An identity of its own: the host's kernel remembers which devices belong to a file system, and other tests have copies of this one
        subprocess.run(["btrfstune", "-f", "-u", vm.disk], check=True, stdout=subprocess.DEVNULL)
        second = vm.dir / "second.img"
        subprocess.run(["truncate", "-s", "300M", second], check=True)
        loop = subprocess.run(["losetup", "-f", "--show", second], capture_output=True, text=True, check=True).stdout.strip()
        try:
            vm.edit(lambda top: subprocess.run(["btrfs", "device", "add", "-f", loop, top], check=True, stdout=subprocess.DEVNULL))
        finally:
            subprocess.run(["btrfs", "device", "scan", "--forget", loop], check=False, stdout=subprocess.DEVNULL)
            subprocess.run(["losetup", "-d", loop], check=True)
        uuid = subprocess.run(["blkid", "-o", "value", "-s", "UUID", vm.disk], capture_output=True, text=True, check=True).stdout.strip()
        vm.root, vm.drives = f"UUID={uuid.upper()}", [second]
        vm.start()
        assert boot_file(vm)["root"] in ("/dev/vda", "/dev/vdb")
        assert vm.power_off().reason == "guest-shutdown"


def a_root_named_by_its_partition_boots_and_fstab_takes_such_names_too():
    fstab = {"/etc/fstab": "PARTLABEL=spare /mnt vfat defaults 0 0\n"}
    with VM(start=False, cold=True, files=fstab) as vm:
        whole = vm.dir / "gpt.img"
        size, begin, spare = vm.disk.stat().st_size >> 20, 1, 4
        subprocess.run(["truncate", "-s", f"{size + spare + 2}M", whole], check=True)
        table = f"label: gpt\nstart=1MiB, size={spare}MiB, name=spare\nstart={begin + spare}MiB, size={size}MiB, uuid=0A1B2C3D-1111-2222-3333-444455556666, name=\"my root\"\n"
        subprocess.run(["sfdisk", "-q", whole], input=table, text=True, check=True)
        subprocess.run(["dd", f"if={vm.disk}", f"of={whole}", "bs=1M", f"seek={begin + spare}", "conv=notrunc,sparse", "status=none"], check=True)
        vm.disk = whole
        for root in ("PARTUUID=0a1b2c3d-1111-2222-3333-444455556666", '"PARTLABEL=my root"'):
            vm.root = root
            vm.start(append='"rast.root=PARTLABEL=my root"' if "PARTLABEL" in root else None)
            assert boot_file(vm)["root"] == "/dev/vda2"
            assert "PARTLABEL=spare can't be mounted" in vm.log, "there is no file system in it, but it is found"
            assert vm.power_off().reason == "guest-shutdown"


def the_boot_gate_takes_arguments_after_the_modules_and_before_the_root():
    path = f"{tempfile.mkdtemp(prefix='rast-gate-')}/s"
    listen = socket.socket(socket.AF_UNIX)
    listen.bind(path)
    listen.listen(1)
    listen.settimeout(60)
    try:
        with VM(append="rast.test-gate=rast.gate", qemu=["-chardev", f"socket,id=gate,path={path}", "-device", "virtserialport,chardev=gate,name=rast.gate"]) as vm:
            gate = listen.accept()[0]
            gate.settimeout(60)
            assert gate.recv(64) == b"gate\n"
            assert "booting snapshot" not in vm.log
            gate.sendall(b"rast.snapshot=0 rast.mask=nothing\n")
            assert boot_file(vm)["snapshot"] == "0"
            assert vm.check("cat /proc/cmdline").strip().endswith("rast.snapshot=0 rast.mask=nothing")
    finally:
        listen.close()
        shutil.rmtree(os.path.dirname(path))


def kexec_starts_the_kernel_that_is_loaded_and_the_services_of_this_machine_again():
    with VM(services={"a": SLEEP}, memory=512, start=False) as vm:
        vm.put("/var/vmlinuz", vm.image.kernel.vmlinuz)
        vm.put("/var/initramfs", vm.image.initramfs)
        vm.start()
        vm.wait_up()
        vm.check(["/usr/lib/rastos/tests/kexec-load", "/var/vmlinuz", "/var/initramfs", vm.command_line("test.came-by=kexec")], timeout=60)
        before = vm.check("cat /proc/sys/kernel/random/boot_id")
        hellos = vm.agent.hellos
        vm.spawn("rastctl kexec")
        vm.wait_ready(150, after=hellos)
        vm.wait_state("a", "up", timeout=60)
        assert "test.came-by=kexec" in vm.check("cat /proc/cmdline")
        assert vm.check("cat /proc/sys/kernel/random/boot_id") != before
        assert vm.power_off().reason == "guest-shutdown"
        assert vm.fsck() == ""


def kexec_without_a_loaded_kernel_is_refused_and_by_signal_a_reboot_that_says_so():
    with VM() as vm:
        vm.wait_up()
        refused = vm.run("rastctl kexec")
        assert refused.status == 1 and "no kernel is loaded" in refused.err, refused
        assert vm.state("default") == "up"
        vm.spawn("kill -s 40 1")  # SIGRTMIN+6
        vm.expect("kexec: no kernel is loaded", 40)
        assert vm.wait_exit(30).reason == "guest-reset"
        assert vm.fsck() == ""


def telinit_and_init_do_what_sysvinits_did_and_say_to_a_user_why_not():
    with VM(services={"a": SLEEP}, up=True) as vm:
        for command in ("telinit q", "/sbin/init q", "/sbin/init u", "telinit 6", "/sbin/init 0"):
            refused = vm.run(["su", "nobody", "-s", "/bin/sh", "-c", command])
            assert refused.status == 4 and "root" in refused.err, (command, refused)
        vm.copy_in("/etc/rastos/services/late.ini", "[service]\ntype = oneshot\nexec = true\n")
        vm.check("/sbin/init q")
        assert vm.state("late") == "down"
        unknown = vm.run("/sbin/init 9")
        assert unknown.status == 2 and "'9'" in unknown.err, unknown
        vm.spawn("/sbin/init 0")
        assert vm.wait_exit(60).reason == "guest-shutdown"


def a_halted_machine_says_that_it_can_be_switched_off():
    with VM() as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.spawn("kill -s USR1 1")
        vm.expect("halted: the power can be switched off", 40)
        vm.power_cut()
        assert vm.fsck() == ""


def seven_ctrl_alt_dels_end_a_machine_whose_services_do_not():
    stubborn = "[service]\ntype = longrun\nexec = sh -c 'trap : TERM; while :; do sleep 1; done'\n[stop]\ntimeout = 1h\n"
    with VM(services={"stubborn": stubborn}, append="rast.shutdown-timeout=1000") as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        for _ in range(8):  # one more than it takes: the machine may be gone before the last
            try:
                vm.monitor.command("send-key", keys=[{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")], **{"hold-time": 10})
            except Gone:
                break
            time.sleep(0.12)
        vm.expect("reboot at once", 30)
        assert vm.wait_exit(30).reason == "guest-reset"
        assert vm.fsck() == ""


def swap_loop_devices_and_nested_mounts_are_left_clean():
    with VM(files={"/etc/fstab": "/dev/loop7 none swap sw,pri=5,nofail 0 0\n"}) as vm:
        vm.check("""set -e
            modprobe loop 2>/dev/null || true
            dd if=/dev/zero of=/var/swap bs=1M count=8 2>/dev/null
            [ -b /dev/loop7 ] || mknod /dev/loop7 b 7 7
            losetup /dev/loop7 /var/swap
            mkswap /dev/loop7 >/dev/null && swapon /dev/loop7
            mkdir -p /var/a/b /srv/deep && mount -t tmpfs x /var/a && mkdir /var/a/b && mount --bind /home /var/a/b && mount -t tmpfs y /var/a/b/z 2>/dev/null || true
            cd /var/a; nohup setsid sleep 1000 >/dev/null 2>&1 &""")
        assert "loop7" in vm.check("cat /proc/swaps")
        assert vm.power_off().reason == "guest-shutdown"
        assert "takes longer" not in vm.log and "could not be made read-only" not in vm.log, vm.log[-2000:]
        assert vm.fsck() == ""


def a_disk_that_hangs_does_not_keep_the_machine_from_ending():
    with VM(append="rast.shutdown-timeout=5 rast.watchdog=0", deadline=300) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        # A frozen file system blocks whoever writes to it, in the kernel, SIGKILL or not: as a dying disk does
        vm.spawn("(echo 1 > /sys/fs/cgroup/cgroup.procs; sleep 1; kill -s USR2 1) & fsfreeze --freeze /var")
        vm.expect("takes longer than", 90)
        assert vm.wait_exit(200).reason == "guest-shutdown"
        assert "going on without it" in vm.log


def the_clock_is_set_forward_to_what_is_on_the_disk_and_never_back():
    with VM(qemu=["-rtc", "base=2001-01-01"], files={"/var/lib/rastos/random-seed": b"x" * 512}) as vm:
        assert int(vm.check("date +%s")) > 1700000000
        assert "set forward" in vm.check("dmesg")
    with VM(qemu=["-rtc", "base=2060-01-01"]) as vm:
        assert int(vm.check("date +%s")) > 2800000000


run(globals())
