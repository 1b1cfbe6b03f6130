"""A machine for a test.

    with VM("tiny", services={"web": WEB}) as vm:
        assert vm.run("test -e /run/web").ok
        vm.expect(r"service web is up", timeout=20)
        vm.power_cut()
        vm.start()

Each VM has a disk of its own, copied from the image, that stays over start(), power_cut() and reboots. It starts from a machine that was saved at stage 1's
boot gate, which is several times faster than from the beginning (snapshot.py); with up=True from one that has booted. What can't be had from a
saved machine (arguments for the kernel itself, QEMU options) boots from the beginning, by itself or with cold=True. Every wait is bounded,
and QEMU dies with the process that started it. When a test fails, the serial log's end is part of the message and the whole of it is in vm.log_path.
"""
import json
import os
import pathlib
import re
import subprocess
import threading
import time

from . import cache, disk, image, snapshot
from .agent import Gone, Result  # noqa: F401 (tests import them from here)
from .machine import KERNEL_ARGS, MACHINE, Exit, Process, Ram, accelerator, raw_disk  # noqa: F401
from .place import prepare_disk, put_file, writable  # noqa: F401

# Words of the kernel command line that nobody reads before the boot gate.
LATE = re.compile(r"(rast\.(?!test-gate).*|root=.*|init=.*|rescue|emergency|single|[sS1])$")


def build_dir():
    return pathlib.Path(os.environ.get("RASTOS_BUILD") or cache.TOP / "build-tests/release")


class VM:
    def __init__(self, kind="tiny", *, append="", services=None, available=None, files=None, programs=(), memory=256, drives=(), net=False, qemu=(), deadline=180,
                 disk_path=None, prepare=None, name=None, start=True, args=KERNEL_ARGS, accel="tcg", root="/dev/vda", up=False, cold=False):
        """services: NAME -> text of NAME.ini, enabled; available: the same, not enabled; files: path in the guest -> text, bytes, a pathlib.Path to copy, or (one
        of these, mode). programs: programs of this machine, which go into the guest's /usr/bin with the libraries that they need.
        prepare(top): changes the mounted top level of the disk. drives: more raw images, or options as for QEMU's -drive: /dev/vdb and on. net: a network card
        behind QEMU's user-mode network. qemu: more QEMU options. deadline: seconds after which the machine is killed, counted from each start().
        disk_path: use this disk, and keep it. root: rast.root=, None for none. up: the first start() gives a machine that has booted already. cold: every boot
        begins with the kernel. self.recording: set it to a replay.Recording between boots to have the disk's writes recorded."""
        self.append, self.args, self.memory, self.drives, self.net, self.qemu, self.accel = append, args, memory, list(drives), net, list(qemu), accel
        self.deadline, self.autostart, self.root, self.recording, self.cold = deadline, start, root, None, cold
        self.image = image.get(kind, build_dir())
        self.dir = cache.scratch("rastos-vm-", os.environ.get("RASTOS_VM_DIR"))
        self.log_path = self.dir / "serial.log"
        if os.environ.get("RASTOS_LOG_DIR"):
            self.log_path = pathlib.Path(os.environ["RASTOS_LOG_DIR"]) / f"{name or self.dir.name}.serial.log"
        self.process = self.saved_up = None
        self.disk = pathlib.Path(disk_path) if disk_path else self.dir / "disk.img"
        content = {"services": services or {}, "available": available or {}, "files": files or {}, "programs": list(programs)}
        if up:
            assert not (prepare or disk_path or qemu or cold or self._early(append)), "a machine that is up is made from services, files and programs only"
            self.saved_up = self._get_up(kind, content)
            cache.run("cp", "--sparse=always", self.saved_up.disk, self.disk)
            return
        if not self.disk.exists():
            cache.run("cp", "--sparse=always", self.image.disk, self.disk)
        if prepare or any(content.values()):
            self.edit(lambda top: prepare_disk(top, **content, prepare=prepare))

    # --- the disk, while the machine is off ---
    def edit(self, change):
        """Change the disk: change(path of its top level). Only while the machine is off."""
        assert not self.running and not self.saved_up, "the disk belongs to the running machine"
        return disk.edit(self.disk, change)

    def put(self, path, content):
        """Write a file that the next boot will see at this path."""
        self.edit(lambda top: put_file(top, path, content))

    def fsck(self):
        """What is wrong with the file system, as text; empty when it is clean."""
        return disk.is_clean(self.disk)

    # --- life ---
    def __enter__(self):
        if self.autostart:
            try:
                self.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, kind, *_):
        self.close()

    @property
    def running(self):
        return self.process is not None and self.process.running

    def start(self, append=None, cold=None):
        """Switch the machine on. append: kernel arguments for this boot in place of the usual ones of this VM; cold likewise."""
        assert not self.running, "the machine runs already"
        extra = self.append if append is None else append
        saved, self.saved_up, was_up = self.saved_up, None, self.saved_up is not None
        if not saved and not (self.cold if cold is None else cold):
            saved = self._gate(extra)
        if saved:
            try:
                self._resume(saved, "" if was_up else self._late(extra), was_up)
                return self
            except Gone as e:
                self.process.kill()
                if was_up:
                    raise self.failure(f"{e} (remove {saved.path} if this happens again)") from None
                cache.say(f"{e}; booting from the beginning, and throwing {saved.path} away")
                self._ended()
                cache.remove(saved.path)
        self._launch(self.command_line(extra), [*self._drive_args(), *(["-nic", "user,model=virtio-net-pci"] if self.net else []), *self.qemu])
        return self

    def command_line(self, extra):
        return " ".join(filter(None, [self.args, self._late(extra)]))

    def _late(self, extra):
        return " ".join(filter(None, [f"rast.root={self.root}" if self.root else "", extra]))

    @staticmethod
    def _early(extra):
        """Arguments that have to be there when the kernel starts."""
        return [w for w in extra.split() if not LATE.match(w)]

    def _gate(self, extra):
        """The saved machine that this boot can begin with; None if it can't."""
        if self.qemu or self._early(extra) or self.args != KERNEL_ARGS or self.accel != "tcg" or os.environ.get("RASTOS_VM_COLD"):
            return None
        try:
            return snapshot.gate(self.image, self.memory, self.disk.stat().st_size)
        except cache.Failed as e:
            cache.say(f"no machine could be saved at the boot gate, booting from the beginning: {e}")
            return None

    def _launch(self, cmdline, more=(), **kwargs):
        root_disk = self.recording.qemu_args() if self.recording else raw_disk(self.disk)
        self.process = Process(self.dir, self.image, cmdline, memory=self.memory, disk=root_disk, log_path=self.log_path, qemu=more, accel=self.accel, **kwargs)
        self.proc, self.serial, self.monitor, self.agent = self.process.proc, self.process.serial, self.process.monitor, self.process.agent
        self.overdue = False
        self.timer = threading.Timer(self.deadline, self._too_late)
        self.timer.daemon = True
        self.timer.start()

    def _resume(self, saved, arguments, was_up, ram=None):
        self._launch(snapshot.CMDLINE, ram=ram or Ram(saved.ram, False), incoming=True)
        snapshot.restore(self.process, saved)
        for i, options in enumerate(self.drives):
            self.process.plug_drive(options, f"drive{i}")
        if self.net:
            self.process.plug_network()
        if was_up:
            self.agent.resume()
        else:
            self.process.gate.sendall(f"{arguments}\n".encode())

    def _get_up(self, kind, content):
        """A machine of this content that has booted: the one that is saved, or a new one."""
        gate = snapshot.gate(self.image, self.memory, self.disk_size)
        parts = [repr(sorted((k, _identity(v)) for k, v in part.items())) if isinstance(part, dict) else [_identity(pathlib.Path(p)) for p in part] for part in content.values()]
        recipe = cache.digest(gate.path.name, self.image.disk.parent.name, self.append, self.root, cache.HERE / "vm.py", cache.HERE / "place.py", *parts)

        def make(tmp):
            tmp.mkdir()
            with VM(kind, append=self.append, root=self.root, memory=self.memory, start=False, disk_path=tmp / "disk.img", **content) as vm:
                cache.run("cp", "--sparse=always", gate.ram, tmp / "ram.img")
                try:
                    vm._resume(gate, vm._late(self.append), False, Ram(tmp / "ram.img", True))
                    vm.check("rastctl wait --timeout 60 && sync", timeout=70)
                    snapshot.save(vm.process, tmp)
                except (Gone, AssertionError) as e:
                    raise cache.Failed(str(e)) from e
        return snapshot.Saved(cache.artefact("up", recipe, "0", make, "a saved machine that is up", keep=16))

    @property
    def disk_size(self):
        return self.image.disk.stat().st_size

    def _drive_args(self):
        args = []
        for extra in self.drives:
            args += ["-drive", extra if "=" in str(extra) else f"file={extra},format=raw,if=virtio"]
        return args

    def _too_late(self):
        self.overdue = True
        self.power_cut()

    def power_cut(self):
        """The machine is off, now. What it had handed to its disk is on the disk; replay.py has the harsher kind."""
        self.process.kill()
        return self._ended()

    def wait_exit(self, timeout=60):
        """Wait until the machine switches itself off or resets."""
        try:
            self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure(f"the machine still ran after {timeout} s") from None
        if self.overdue:
            raise self.failure(f"the machine was stopped after {self.deadline} s, the test's deadline")
        return self._ended()

    def _ended(self):
        self.timer.cancel()
        return self.process.ended()

    def close(self):
        if self.process:
            self.power_cut()
        if not os.environ.get("RASTOS_KEEP_VM"):
            cache.remove(self.dir)

    # --- talking to it ---
    @property
    def log(self):
        """All that this boot has printed on the serial console."""
        return self.serial.text

    def failure(self, text):
        errors = self.process.complaints() if self.process else ""
        tail = "\n".join((self.serial.text if self.process else "").splitlines()[-40:])
        return AssertionError(f"{text}\n--- the serial console's last lines ({self.log_path})\n{tail}" + (f"\n--- QEMU said\n{errors}" if errors else ""))

    def expect(self, pattern, timeout=30):
        """Wait for a line on the serial console that matches, after those that earlier calls have matched."""
        found = self.serial.expect(pattern, timeout)
        if not found:
            raise self.failure(f"/{pattern}/ did not appear on the console " + ("before the machine stopped" if self.serial.closed else f"within {timeout} s"))
        return found

    def type(self, text):
        self.serial.type(text)

    def wait_ready(self, timeout=60, **kwargs):
        """Wait until commands can be run; with after=N, until the guest's agent has said hello more than N times."""
        try:
            self.agent.wait_ready(timeout, **kwargs)
        except Gone as e:
            raise self.failure(str(e)) from None

    def run(self, command, *, stdin=b"", timeout=30):
        """Run a shell command (or an argv list) in the guest; returns its Result."""
        return self.wait_job(self.spawn(command, stdin=stdin), timeout=timeout)

    def spawn(self, command, *, stdin=b""):
        """Start a command and go on; wait_job() has its Result."""
        self.wait_ready()
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        return self.agent.start(argv, stdin.encode() if isinstance(stdin, str) else stdin), command

    def wait_job(self, job, *, timeout=30):
        try:
            return self.agent.wait(job[0], job[1], timeout)
        except Gone as e:
            raise self.failure(str(e)) from None

    def kill_job(self, job):
        self.agent.kill(job[0])

    def check(self, command, **kwargs):
        """Run a command that has to succeed; returns its standard output."""
        result = self.run(command, **kwargs)
        assert result.ok, repr(result)
        return result.out

    def copy_out(self, path):
        result = self.run(["cat", path])
        assert result.ok, repr(result)
        return result.out_bytes

    def copy_in(self, path, content, mode=None):
        """Write a file into the running guest; content: text, bytes, or a pathlib.Path of this machine."""
        data = content.read_bytes() if isinstance(content, pathlib.Path) else content.encode() if isinstance(content, str) else content
        mode = mode if mode is not None else content.stat().st_mode & 0o777 if isinstance(content, pathlib.Path) else 0o644
        result = self.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0" && chmod "$1" "$0"', path, f"{mode:o}"], stdin=data)
        assert result.ok, repr(result)

    def wait_until(self, command, timeout=30, every=0.2):
        """Run a command until it succeeds; returns that Result."""
        end = time.monotonic() + timeout
        while True:
            result = self.run(command, timeout=timeout)
            if result.ok:
                return result
            if time.monotonic() > end:
                raise self.failure(f"not true within {timeout} s: {result!r}")
            time.sleep(every)

    # --- rastOS ---
    def services(self):
        """NAME -> what `rastctl list --json` says of it."""
        listed = json.loads(self.check("rastctl list --json"))
        return {s["name"]: s for s in (listed["services"] if isinstance(listed, dict) else listed)}

    def state(self, name):
        found = self.services().get(name)
        return found["state"] if found else None

    def wait_state(self, name, state, timeout=30):
        end = time.monotonic() + timeout
        while (now := self.state(name)) != state:
            if time.monotonic() > end:
                raise self.failure(f"service {name} is {now}, not {state}, after {timeout} s")
            time.sleep(0.1)

    def wait_up(self, timeout=60):
        """Wait until the boot target is up."""
        self.check(f"rastctl wait --timeout {timeout}", timeout=timeout + 10)

    def power_off(self, timeout=60):
        """Ask for an orderly power-off and wait for it."""
        self.spawn("rastctl poweroff")
        return self.wait_exit(timeout)


def _identity(content):
    """What a file's content is, as text: for the names of saved machines."""
    if isinstance(content, tuple):
        return repr((_identity(content[0]), content[1]))
    return f"{content} {cache.digest(content)}" if isinstance(content, pathlib.Path) else repr(content)
