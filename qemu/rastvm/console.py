"""A person at the serial console, played by a program: logs in, types commands, reads what they print."""
import re
import time


class Console:
    def __init__(self, vm):
        self.vm, self.count = vm, 0

    def login(self, user="root", password="rastos", timeout=120):
        """From the login prompt to a shell that prints nothing of its own."""
        self.vm.expect(r"login: *$", timeout)
        self.vm.type(f"{user}\n")
        if self.vm.expect(r"Password: *$|[#$] *$", 60)[0].startswith("Password"):
            self.vm.type(f"{password}\n")
            self.vm.expect(r"[#$] *$", 60)
        return self.quiet_shell()

    def quiet_shell(self, timeout=60):
        """Wait for a shell, and make it fit for run(): no echo, no prompt, no kernel messages in between. Its prompt is not looked for: other
        output may stand behind it."""
        end = time.monotonic() + timeout
        while True:
            self.vm.type("stty -echo; PS1=; PS2=; dmesg -n 1; echo shell-is-' 'quiet\n")  # typed before there is a shell, it may be thrown away
            try:
                self.vm.expect(r"^shell-is- quiet$", min(10, timeout))
                return self
            except AssertionError:
                if time.monotonic() > end or not self.vm.running:
                    raise

    def run(self, command, timeout=60):
        """(status, output) of a shell command."""
        self.count += 1
        mark = f"@{self.count}@"
        self.vm.type(f"echo '{mark}'begin; {command}\necho '{mark}'end $?\n")
        self.vm.expect(f"^{mark}begin\n", timeout)
        start = self.vm.serial.mark
        found = self.vm.expect(f"{mark}end (\\d+)$", timeout)
        text = self.vm.log[start:self.vm.serial.mark]
        return int(found[1]), re.sub(f"{mark}end \\d+$", "", text)
