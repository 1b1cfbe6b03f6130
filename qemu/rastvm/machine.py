"""QEMU as a process: its command line, its serial console, its monitor, and the ports to the guest."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from .agent import Agent, Gone

# norandmaps, cryptomgr.notests and the like take half of the time that a boot needs under TCG.
KERNEL_ARGS = "console=ttyS0 quiet panic=-1 nokaslr norandmaps cryptomgr.notests mitigations=off random.trust_cpu=on rast.show=yes"
MACHINE = ["-cpu", "max", "-nodefaults", "-no-user-config", "-display", "none"]
GATE = "rast.gate"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*|[()])?$")


def accelerator(kind="tcg"):
    return ["-accel", "tcg,tb-size=256" if kind == "tcg" else kind]


def raw_disk(path):
    """The root disk. Flushes are not passed on to the host: a killed QEMU loses nothing that the guest has written, replay.py is for the rest."""
    return ["-blockdev", f"driver=raw,node-name=disk,file.driver=file,file.filename={path},file.cache.no-flush=on"]


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
        """Run a monitor command; a `_` in an argument's name stands for `-`."""
        ident = f"{name}-{time.monotonic_ns()}"
        self._send({"execute": name, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}, "id": ident})

        def mine():
            return next((r for r in self.replies if r.get("id") == ident), None)
        with self.changed:
            self.changed.wait_for(lambda: mine() or self.closed, timeout)
            reply = mine()
        if not reply or "error" in reply:
            raise Gone(f"QEMU did not do {name}: {reply.get('error', {}).get('desc') if reply else 'no answer'}")
        return reply["return"]

    def poll(self, name, done, timeout=60, **arguments):
        """Repeat a query until done(its answer); returns that answer."""
        end = time.monotonic() + timeout
        while not done(answer := self.command(name, **arguments)):
            if time.monotonic() > end:
                raise Gone(f"QEMU's {name} still said {answer} after {timeout} s")
            time.sleep(0.005)
        return answer

    def reason(self):
        """The last SHUTDOWN event's reason."""
        return next((e["data"].get("reason") for e in reversed(self.events) if e["event"] == "SHUTDOWN"), None)


class Ram:
    """Where the guest's memory is. shared: what the guest writes goes into the file, which is to be saved; else the file is only read."""

    def __init__(self, path, shared):
        self.path, self.shared = path, shared


class Process:
    """A running QEMU. ram makes it one with a boot gate (snapshot.py); incoming: it waits for a saved state. QEMU dies with the thread that started it."""

    def __init__(self, folder, image, cmdline, *, memory, disk, log_path, qemu=(), accel="tcg", ram=None, incoming=False):
        ends = {name: socket.socketpair() for name in ("agent", "qmp", "gate")}
        fds = {name: theirs.fileno() for name, (_, theirs) in ends.items()}
        argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "pc" + (",memory-backend=ram" if ram else ""), *MACHINE, *accelerator(accel),
                "-m", str(memory), "-no-reboot", "-kernel", str(image.vmlinux), "-initrd", str(image.initramfs), "-append", cmdline,
                "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                "-chardev", f"socket,id=qmp,fd={fds['qmp']}", "-mon", "chardev=qmp,mode=control",
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={fds['agent']}", "-device", "virtserialport,chardev=agent,name=rast.agent"]
        if ram:
            argv += ["-object", f"memory-backend-file,id=ram,size={memory}M,mem-path={ram.path},share={'on' if ram.shared else 'off'}",
                     "-chardev", f"socket,id=gate,fd={fds['gate']}", "-device", f"virtserialport,chardev=gate,name={GATE}"]
        argv += ["-device", "virtio-rng-pci", *disk, "-device", "virtio-blk-pci,drive=disk,write-cache=on", *qemu]
        argv += ["-incoming", "defer"] if incoming else []
        (folder / "command").write_text(" ".join(argv))
        self.errors = open(folder / "qemu.err", "w+b")
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, pass_fds=tuple(fds.values()))
        for _, theirs in ends.values():
            theirs.close()
        self.serial, self.monitor, self.agent = Serial(self.proc, log_path), Monitor(ends["qmp"][0]), Agent(ends["agent"][0])
        self.gate = ends["gate"][0]

    @property
    def running(self):
        return self.proc.poll() is None

    def kill(self):
        if self.running:
            self.proc.send_signal(signal.SIGKILL)

    def ended(self):
        """Wait until it has gone; returns its Exit."""
        self.proc.wait()
        self.serial.thread.join(10)
        self.monitor.thread.join(10)
        self.gate.close()
        return Exit(self.monitor.reason(), self.proc.returncode)

    def complaints(self):
        """What QEMU wrote on its standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def plug_drive(self, options, name):
        """Add a disk to the running machine, and wait until its driver has it. options: as for -drive, or a raw image's path."""
        given = str(options)
        words = dict(w.split("=", 1) for w in given.split(",")) if "=" in given else {"file": given}
        backend = {"driver": words.get("format", "raw"), "node-name": name, "file": {"driver": "file", "filename": words["file"]}}
        self.monitor.command("blockdev-add", **backend, **{"read-only": words.get("readonly") == "on"})
        extra = {"serial": words["serial"]} if "serial" in words else {}
        self._plug("virtio-blk-pci", name, drive=name, **extra)

    def plug_network(self):
        """Add a network card behind QEMU's user-mode network. Its driver is not waited for: it may come with the root file system."""
        self.monitor.command("netdev_add", type="user", id="net")
        self.monitor.command("device_add", driver="virtio-net-pci", netdev="net", id="nic")

    def _plug(self, driver, name, **options):
        self.monitor.command("device_add", driver=driver, id=name, **options)
        self.monitor.poll("x-query-virtio-status", lambda a: any("DRIVER_OK" in s for s in a["status"]["statuses"]), path=f"/machine/peripheral/{name}/virtio-backend")
