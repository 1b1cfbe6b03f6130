"""Machines that were saved once and are restored per test: a restore takes a twentieth of a second where a boot takes three.

What is saved: the memory as a file (QEMU's shared memory backend: a restored machine maps it privately, so that only pages which are
used are ever copied), and the devices' state as a migration stream without the memory (capability x-ignore-shared). Two kinds:

  gate  the kernel has booted and stage 1 has loaded its modules; it waits at its boot gate (docs/design.md, section 10) and has not touched the disk. The
        test has a disk of its own, of the same size, and sends the rest of the kernel's arguments through the gate.
  up    booted, with a disk of its own that is saved with it.
"""
import functools
import os
import pathlib
import shutil
import socket
import tempfile

from . import cache, machine
from .agent import Gone

IGNORE_SHARED = [{"capability": "x-ignore-shared", "state": True}]
CMDLINE = f"{machine.KERNEL_ARGS} rast.test-gate={machine.GATE}"


class Saved:
    def __init__(self, path):
        self.path, self.ram, self.state, self.disk = path, path / "ram.img", path / "state", path / "disk.img"


def save(process, to):
    """Stop a machine whose memory is to/ram.img, save its devices, and end it."""
    monitor = process.monitor
    monitor.command("stop")
    monitor.command("migrate-set-capabilities", capabilities=IGNORE_SHARED)
    monitor.command("migrate", uri=f"exec:cat > {to / 'state'}")
    end = monitor.poll("query-migrate", lambda a: a.get("status") in ("completed", "failed", "cancelled"))
    if end["status"] != "completed":
        raise Gone(f"QEMU could not save the machine: {end.get('error-desc', end['status'])}")
    monitor.command("quit")
    process.ended()


def restore(process, saved):
    """Bring a process that waits for it (incoming) to where the saved one stopped, running."""
    monitor = process.monitor
    monitor.command("migrate-set-capabilities", capabilities=IGNORE_SHARED)
    monitor.command("migrate-incoming", uri=f"exec:cat {saved.state}")
    monitor.poll("query-status", lambda a: a["status"] != "inmigrate")
    if monitor.command("query-migrate").get("status") == "failed":
        raise Gone("QEMU could not restore the machine")
    monitor.command("cont")


@functools.cache
def _qemu():
    """What identifies this machine's QEMU: its saved states are for itself."""
    program = shutil.which("qemu-system-x86_64")
    if not program:
        raise cache.Failed("qemu-system-x86_64 is not installed (packages.txt lists what is needed)")
    about = os.stat(program)
    return f"{about.st_size} {about.st_mtime_ns}"


def recipe(image, memory, disk_size):
    """What a saved machine depends on; its disk's content is not part of it."""
    return cache.digest(image.kernel.path.name, image.initramfs_id, _qemu(), cache.HERE / "machine.py", cache.HERE / "snapshot.py", memory, disk_size)


def gate(image, memory, disk_size):
    """A Saved of the kind gate, made if it is not there."""
    def make(tmp):
        tmp.mkdir()
        with tempfile.TemporaryDirectory(prefix="rastos-gate-") as work:
            work = pathlib.Path(work)
            with open(work / "empty.img", "wb") as f:
                f.truncate(disk_size)
            process = machine.Process(work, image, CMDLINE, memory=memory, disk=machine.raw_disk(work / "empty.img"), log_path=work / "serial.log", ram=machine.Ram(tmp / "ram.img", True))
            try:
                _wait_at_gate(process)
                save(process, tmp)
            except Gone as e:
                raise cache.Failed(f"{e}\n{process.serial.text[-2000:]}\n{process.complaints()}") from e
            finally:
                process.kill()
                process.ended()
    return Saved(cache.artefact("gate", recipe(image, memory, disk_size), "0", make, f"a saved machine of {memory} MB at the boot gate", keep=8))


def _wait_at_gate(process):
    process.gate.settimeout(120)
    try:
        word = process.gate.recv(64)
    except socket.timeout:
        word = b"nothing"
    if word != b"gate\n":
        raise Gone(f"the machine did not come to its boot gate (it said {word!r})")
