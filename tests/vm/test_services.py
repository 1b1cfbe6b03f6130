#!/usr/bin/python3
"""The service files that rastOS ships, in a machine of busybox."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, Console, run  # noqa: E402

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


run(globals())
