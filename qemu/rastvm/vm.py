"""A machine for a test.

    with VM("tiny", services={"web": WEB}) as vm:
        assert vm.run("test -e /run/web").ok
        vm.expect(r"service web is up", timeout=20)
        vm.power_cut()
        vm.start()

Each VM has a disk of its own, copied from the image, that stays over start(), power_cut() and reboots. Every wait is bounded, and QEMU dies with the
process that started it. When a test fails, the serial log's end is part of the message and the whole of it is in vm.log_path.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import cache, disk, image
from .agent import Agent, Gone, Result  # noqa: F401 (tests import them from here)

# norandmaps, cryptomgr.notests and the like take half of the time that a boot needs under TCG.
KERNEL_ARGS = "console=ttyS0 quiet panic=-1 nokaslr norandmaps cryptomgr.notests mitigations=off random.trust_cpu=on rast.show=yes"
MACHINE = ["-machine", "pc", "-cpu", "max", "-nodefaults", "-no-user-config", "-display", "none"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")

UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*|[()])?$")


def accelerator(kind="tcg"):
    return ["-accel", "tcg,tb-size=256" if kind == "tcg" else kind]


def build_dir():
    return pathlib.Path(os.environ.get("RASTOS_BUILD") or cache.TOP / "build-tests/release")


class Exit:
    """How a machine stopped: reason is QEMU's (guest-shutdown, guest-reset, guest-panic, host-signal), code QEMU's exit status."""

    def __init__(self, reason, code):
        self.reason, self.code = reason, code

    def __repr__(self):
        return f"{self.reason or 'no reason given'} (QEMU's status {self.code})"


class Serial:
    """The serial console: what was printed, cleaned of escapes, and a place to type."""

    def __init__(self, proc, log_path):
        self.proc, self.text, self.mark = proc, "", 0
        self.changed = threading.Condition()
        self.closed = False
        self.log = open(log_path, "ab", buffering=0)
        self.thread = threading.Thread(target=self._reader, daemon=True)
        self.thread.start()

    def _reader(self):
        rest = ""
        with self.log:
            while piece := os.read(self.proc.stdout.fileno(), 65536):
                self.log.write(piece)
                whole = rest + piece.decode(errors="replace")
                # An escape sequence may come in two pieces: the begun one waits for its end.
                cut = UNFINISHED.search(whole)
                rest = cut[0] if cut else ""
                with self.changed:
                    self.text += ANSI.sub("", whole[:len(whole) - len(rest)])
                    self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def expect(self, pattern, timeout):
        """Wait for the pattern after what earlier calls have matched."""
        found = None

        def there():
            nonlocal found
            found = re.search(pattern, self.text[self.mark:], re.M)
            return found or self.closed
        with self.changed:
            self.changed.wait_for(there, timeout)
            if found:
                self.mark += found.end()
        return found

    def type(self, text):
        self.proc.stdin.write(text.encode())
        self.proc.stdin.flush()


class Monitor:
    """QEMU's monitor (QMP): commands, and the events that tell why a machine stopped."""

    def __init__(self, sock):
        self.sock, self.events, self.replies, self.closed = sock, [], [], False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._reader, daemon=True)
        self.thread.start()
        self._send({"execute": "qmp_capabilities"})

    def _send(self, message):
        with contextlib.suppress(OSError):
            self.sock.sendall(json.dumps(message).encode() + b"\n")

    def _reader(self):
        with contextlib.suppress(OSError), self.sock.makefile("r") as lines:
            for line in lines:
                message = json.loads(line)
                with self.changed:
                    (self.events if "event" in message else self.replies).append(message)
                    self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def command(self, name, timeout=30, **arguments):
        ident = f"{name}-{time.monotonic_ns()}"
        self._send({"execute": name, "arguments": arguments, "id": ident})

        def mine():
            return next((r for r in self.replies if r.get("id") == ident), None)
        with self.changed:
            self.changed.wait_for(lambda: mine() or self.closed, timeout)
            reply = mine()
        if not reply or "error" in reply:
            raise Gone(f"QEMU did not do {name}: {reply.get('error', {}).get('desc') if reply else 'no answer'}")
        return reply["return"]

    def reason(self):
        """The last SHUTDOWN event's reason."""
        return next((e["data"].get("reason") for e in reversed(self.events) if e["event"] == "SHUTDOWN"), None)


class VM:
    def __init__(self, kind="tiny", *, append="", services=None, available=None, files=None, memory=256, drives=(), qemu=(), deadline=180,
                 disk_path=None, prepare=None, name=None, start=True, args=KERNEL_ARGS, accel="tcg", root="/dev/vda"):
        """services: NAME -> text of NAME.ini, enabled; available: the same, not enabled; files: path in the guest -> text or bytes.
        prepare(top): changes the mounted top level of the disk. drives: more images, /dev/vdb and on. qemu: more QEMU options.
        deadline: seconds after which the machine is killed, counted from each start(). disk_path: use this disk, and keep it.
        root: rast.root=, None for none. self.recording: set it to a replay.Recording between boots to have the disk's writes recorded."""
        self.append, self.args, self.memory, self.drives, self.qemu, self.accel = append, args, memory, list(drives), list(qemu), accel
        self.deadline, self.autostart, self.root, self.recording = deadline, start, root, None
        self.image = image.get(kind, build_dir())
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="rastos-vm-", dir=os.environ.get("RASTOS_VM_DIR")))
        self.log_path = self.dir / "serial.log"
        if os.environ.get("RASTOS_LOG_DIR"):
            self.log_path = pathlib.Path(os.environ["RASTOS_LOG_DIR"]) / f"{name or self.dir.name}.serial.log"
        self.proc = self.serial = self.monitor = self.agent = None
        self.disk = pathlib.Path(disk_path) if disk_path else self.dir / "disk.img"
        if not self.disk.exists():
            cache.run("cp", "--sparse=always", self.image.disk, self.disk)
        if services or available or files or prepare:
            self.edit(lambda top: _prepare(top, services or {}, available or {}, files or {}, prepare))

    # --- the disk, while the machine is off ---
    def edit(self, change):
        """Change the disk: change(path of its top level). Only while the machine is off."""
        assert not self.running, "the disk belongs to the running machine"
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
        return self.proc is not None and self.proc.poll() is None

    def start(self, append=None):
        """Switch the machine on. append: kernel arguments for this boot in place of the usual ones of this VM."""
        assert not self.running, "the machine runs already"
        agent, agent_qemu = socket.socketpair()
        qmp, qmp_qemu = socket.socketpair()
        extra = self.append if append is None else append
        argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *MACHINE, *accelerator(self.accel), "-m", str(self.memory), "-no-reboot",
                "-kernel", str(self.image.vmlinux), "-initrd", str(self.image.initramfs), "-append", self.command_line(extra),
                "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                "-chardev", f"socket,id=qmp,fd={qmp_qemu.fileno()}", "-mon", "chardev=qmp,mode=control",
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={agent_qemu.fileno()}", "-device", "virtserialport,chardev=agent,name=rast.agent",
                "-device", "virtio-rng-pci", *self._disk_args(), *self.qemu]
        (self.dir / "command").write_text(" ".join(argv))
        self.errors = open(self.dir / "qemu.err", "w+b")
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, pass_fds=(agent_qemu.fileno(), qmp_qemu.fileno()))
        agent_qemu.close()
        qmp_qemu.close()
        self.started = time.monotonic()
        self.serial, self.monitor, self.agent = Serial(self.proc, self.log_path), Monitor(qmp), Agent(agent)
        self.timer = threading.Timer(self.deadline, self._too_late)
        self.timer.daemon = True
        self.timer.start()
        self.overdue = False
        return self

    def command_line(self, extra):
        return " ".join(filter(None, [self.args, f"rast.root={self.root}" if self.root else "", extra]))

    def _disk_args(self):
        args = self.recording.qemu_args() if self.recording else ["-drive", f"file={self.disk},format=raw,if=virtio,cache=writeback"]
        for extra in self.drives:
            args += ["-drive", extra if "=" in str(extra) else f"file={extra},format=raw,if=virtio"]
        return args

    def _too_late(self):
        self.overdue = True
        self.power_cut()

    def power_cut(self):
        """The machine is off, now. What it had handed to its disk is on the disk; replay.py has the harsher kind."""
        if self.running:
            self.proc.send_signal(signal.SIGKILL)
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
        self.proc.wait()
        self.timer.cancel()
        self.serial.thread.join(10)
        self.monitor.thread.join(10)
        return Exit(self.monitor.reason(), self.proc.returncode)

    def close(self):
        if self.proc:
            self.power_cut()
        if not os.environ.get("RASTOS_KEEP_VM"):
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- talking to it ---
    @property
    def log(self):
        """All that this boot has printed on the serial console."""
        return self.serial.text

    def failure(self, text):
        errors = ""
        if self.proc:
            self.errors.seek(0)
            errors = self.errors.read().decode(errors="replace")
        tail = "\n".join((self.serial.text if self.serial else "").splitlines()[-40:])
        return AssertionError(f"{text}\n--- the serial console's last lines ({self.log_path})\n{tail}" + (f"\n--- QEMU said\n{errors}" if errors else ""))

    def expect(self, pattern, timeout=30):
        """Wait for a line on the serial console that matches, after those that earlier calls have matched."""
        found = self.serial.expect(pattern, timeout)
        if not found:
            raise self.failure(f"/{pattern}/ did not appear on the console " + ("before the machine stopped" if self.serial.closed else f"within {timeout} s"))
        return found

    def type(self, text):
        self.serial.type(text)

    def wait_ready(self, timeout=60):
        """Wait until commands can be run."""
        try:
            self.agent.wait_ready(timeout)
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

    def copy_in(self, path, content):
        data = content.encode() if isinstance(content, str) else content
        result = self.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path], stdin=data)
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

    def power_off(self, timeout=60):
        """Ask for an orderly power-off and wait for it."""
        self.spawn("rastctl poweroff")
        return self.wait_exit(timeout)


def put_file(top, path, content, mode=None):
    """Write a file where the guest will see it: in each snapshot's /etc, in a shared subvolume, or in each snapshot's read-only tree."""
    first, _, rest = path.strip("/").partition("/")
    snapshots = f"{top}/.snapshots"
    shared = {"home": "@home", "root": "@root", "srv": "@srv", "var": "@var"}
    if path.startswith("/var/lib/rastos/"):
        places = [f"{top}/@rastos/{path.removeprefix('/var/lib/rastos/')}"]
    elif path.startswith("/var/log/"):
        places = [f"{top}/@log/{path.removeprefix('/var/log/')}"]
    elif first in shared:
        places = [f"{top}/{shared[first]}/{rest}"]
    elif first == "etc":
        places = [f"{snapshots}/etc/{e}/{rest}" for e in os.listdir(f"{snapshots}/etc")]
    else:
        for root in os.listdir(f"{snapshots}/rootfs"):
            with writable(f"{snapshots}/rootfs/{root}"):
                _write(f"{snapshots}/rootfs/{root}/{path.strip('/')}", content, mode)
        return
    for place in places:
        _write(place, content, mode)


@contextlib.contextmanager
def writable(subvolume):
    cache.run("btrfs", "property", "set", "-ts", subvolume, "ro", "false")
    yield
    cache.run("btrfs", "property", "set", "-ts", subvolume, "ro", "true")


def _write(place, content, mode):
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if isinstance(content, tuple):  # (content, mode)
        content, mode = content
    with open(place, "wb") as f:
        f.write(content.encode() if isinstance(content, str) else content)
    if mode is not None:
        os.chmod(place, mode)


def _prepare(top, services, available, files, prepare):
    for name, text in {**available, **services}.items():
        put_file(top, f"/etc/rastos/services/{name}.ini", text)
    for etc in os.listdir(f"{top}/.snapshots/etc"):
        enabled = f"{top}/.snapshots/etc/{etc}/rastos/enabled"
        os.makedirs(enabled, exist_ok=True)
        for name in services:
            with contextlib.suppress(FileExistsError):
                os.symlink(f"../services/{name}.ini", f"{enabled}/{name}")
    for path, content in files.items():
        put_file(top, path, content)
    if prepare:
        prepare(top)
