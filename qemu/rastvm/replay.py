"""Power cuts as disks see them: what was written since the last flush may be there, in part, or not at all.

Killing QEMU loses nothing that the guest has written, so it can't show a missing flush. Here a run's writes are recorded in order (QEMU's
blklogwrites driver, in the format of Linux's dm-log-writes, Documentation/admin-guide/device-mapper/log-writes.rst), and a
crash is made from them: the disk as it was before, the first N writes, of which those after the last flush may be dropped, and the last one may be torn.
"""
import random
import shutil
import struct

from . import cache

SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC, VERSION = 0x6A736677736872, 1
BLOCK = 4096  # what a disk writes whole or not at all; btrfs takes that for granted, its superblock is as large
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Entry:
    def __init__(self, offset, length, flags, at):
        self.offset, self.length, self.flags, self.at = offset, length, flags, at


class Recording:
    """A disk whose writes are recorded. Give it to VM.recording; the disk's state before the run is kept beside the log."""

    def __init__(self, folder, disk_path):
        self.disk, self.base, self.log = disk_path, folder / "before.img", folder / "writes.log"
        cache.run("cp", "--sparse=always", disk_path, self.base)
        self.log.write_bytes(b"")

    def qemu_args(self):
        return ["-blockdev", f"driver=raw,node-name=target,file.driver=file,file.filename={self.disk},file.cache.no-flush=on",
                "-blockdev", f"driver=file,node-name=log,filename={self.log},cache.no-flush=on",
                "-blockdev", "driver=blklogwrites,node-name=disk,file=target,log=log,log-sector-size=512,log-super-update-interval=1"]

    def count(self):
        """How many writes and flushes have been recorded so far."""
        head = self.log.open("rb").read(SUPER.size)
        return SUPER.unpack(head)[2] if len(head) == SUPER.size else 0

    def entries(self):
        found = []
        with self.log.open("rb") as f:
            magic, version, count, sector = SUPER.unpack(f.read(SUPER.size))
            if (magic, version) != (MAGIC, VERSION):
                raise cache.Failed(f"{self.log} is not a log of writes")
            at = sector
            for _ in range(count):
                f.seek(at)
                where, sectors, flags, length = ENTRY.unpack(f.read(ENTRY.size))
                at += sector
                in_log = 0 if flags & DISCARD else sectors * sector
                found.append(Entry(where * sector, (length or sectors * sector) if flags & MARK else sectors * sector, flags, at))
                at += in_log
        return found

    def crash(self, to, point, *, drop=0.0, torn=False, seed=0):
        """Make the disk as a power cut after `point` entries leaves it: each write that no flush followed is dropped with probability `drop`, and of the
        last one (torn) some blocks are missing. Returns how many writes were dropped or torn."""
        chance = random.Random(seed)
        entries = self.entries()[:point]
        safe = max((i for i, e in enumerate(entries) if e.flags & FLUSH), default=-1)
        writes = [(i, e) for i, e in enumerate(entries) if e.length and not e.flags & (DISCARD | MARK)]
        cache.run("cp", "--sparse=always", self.base, to)
        lost = 0
        with self.log.open("rb") as log, open(to, "r+b") as out:
            for i, e in writes:
                loose = i > safe and not e.flags & FUA
                if loose and chance.random() < drop:
                    lost += 1
                elif torn and i > safe and i == writes[-1][0] and e.length > BLOCK:
                    lost += 1
                    for at in range(0, e.length, BLOCK):
                        if chance.random() < 0.5:
                            _copy(log, e.at + at, out, e.offset + at, min(BLOCK, e.length - at))
                else:
                    _copy(log, e.at, out, e.offset, e.length)
        return lost


def _copy(source, at, to, offset, length):
    source.seek(at)
    to.seek(offset)
    shutil.copyfileobj(_Part(source, length), to, 1 << 20)


class _Part:
    """So many bytes of a file, from where it stands."""

    def __init__(self, f, left):
        self.f, self.left = f, left

    def read(self, n):
        piece = self.f.read(min(n, self.left))
        self.left -= len(piece)
        return piece
