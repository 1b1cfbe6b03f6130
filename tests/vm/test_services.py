#!/usr/bin/python3
"""The service files that rastOS ships, in a machine of busybox."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, Console, run, writable  # noqa: E402
from rastvm import userland  # noqa: E402 (vmtest has set the path)

SLEEP = "[service]\ntype = longrun\nexec = sleep 100000\n"


def leaving_the_rescue_shell_goes_on_to_the_usual_services():
    with VM(services={"a": SLEEP}, append="rescue") as vm:
        vm.expect(r"rescue: a root shell", 60)
        Console(vm).quiet_shell()
        vm.type("exit\n")
        vm.wait_state("a", "up", timeout=60)
        vm.wait_state("rescue-shell", "down", timeout=30)


def service_files_mended_in_the_rescue_shell_are_used_when_it_is_left():
    with VM(services={"a": SLEEP.replace("exec", "exce")}, append="rast.fail-delay=10min") as vm:
        vm.expect(r"a\.ini:3: .*'exce'.*did you mean 'exec'", timeout=60)
        console = Console(vm).quiet_shell()
        vm.type("exit\n")
        vm.expect(r"rescue: a root shell", 60)  # nothing was mended: here we are again
        Console(vm).quiet_shell()
        status, text = console.run("sed -i s/exce/exec/ /etc/rastos/services/a.ini")
        assert status == 0, text
        vm.type("exit\n")
        vm.wait_state("a", "up", timeout=60)


def busybox_gettys_system_log_and_dhcp_client_work_as_shipped():
    with VM(net=True) as vm:
        vm.check("rastctl wait --timeout 60", timeout=70)
        vm.check("rastctl enable network-dhcp busybox-syslogd busybox-getty@ttyS0")
        vm.check("rastctl start network syslog", timeout=60)
        names = vm.services()
        assert all(names[n]["state"] == "up" for n in ("network", "network-dhcp", "syslog", "busybox-syslogd")), names
        # No /etc/network/interfaces: it failed, and the next provider, which excludes it, had its turn.
        assert names["network-ifupdown"]["state"] == "down", names["network-ifupdown"]
        assert "exited with status 1" in vm.check("rastctl status network-ifupdown; true")
        assert "10.0.2.15" in vm.check("ip -4 addr show")
        assert "default via 10.0.2.2" in vm.check("ip route")
        assert "10.0.2.3" in vm.check("cat /etc/resolv.conf")
        vm.check("logger -t test one line for the log")
        vm.wait_until("rastctl logs busybox-syslogd | grep -q 'test: one line for the log'", timeout=20)
        vm.check("rastctl start busybox-getty@ttyS0", timeout=30)
        vm.expect(r"login: *$", 30)
        assert vm.power_off().reason == "guest-shutdown"


def debians_device_manager_works_with_the_service_files_for_it():
    package = userland.debian_package("udev")

    def prepare(top):
        for n in (0, 1):
            root = f"{top}/.snapshots/rootfs/snapshot-{n}"
            with writable(root):
                for folder in ("lib/udev/rules.d", "lib/systemd"):
                    shutil.copytree(package / folder, f"{root}/usr/{folder}", symlinks=True)
                os.symlink("../usr/bin/udevadm", f"{root}/bin/udevadm")
    with VM(programs=[package / "bin/udevadm"], prepare=prepare, net=True) as vm:
        vm.wait_up()
        vm.check("rastctl enable udevd udev-trigger")
        vm.check("rastctl start udev-trigger", timeout=90)
        assert vm.state("udevd") == "up" and vm.state("udev-trigger") == "up", vm.services()
        assert vm.check("readlink -f /dev/disk/by-label/rastos").strip() == "/dev/vda"
        vm.wait_until("test -d /sys/class/net/eth0 -o -d /sys/class/net/ens5 -o -d /sys/class/net/enp0s5")  # it loads modules of what is there
        before = vm.services()["udevd"]["pid"]
        vm.check(f"kill -9 {before}")
        vm.wait_until("udevadm settle --timeout=1 && udevadm control --ping", timeout=30)
        assert vm.services()["udevd"]["pid"] not in (0, before)
        assert vm.power_off().reason == "guest-shutdown"
        assert vm.fsck() == ""
        vm.start()
        vm.wait_up(90)
        assert vm.check("readlink -f /dev/disk/by-label/rastos").strip() == "/dev/vda"


run(globals())
