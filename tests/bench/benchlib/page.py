"""The shared page of page.h, from the driver's side. Keep the layout alike."""

import mmap
import os
import struct

SLOTS = 4096
HEAD = struct.Struct("=8Q")       # target count begin_ns done_ns begin_cpu_us say spare[2]
SLOT = struct.Struct("=IiQ")      # starts pid last_ns
SIZE = HEAD.size + SLOT.size * SLOTS


class Page:
    def __init__(self, path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        os.fchmod(fd, 0o666)
        os.ftruncate(fd, SIZE)
        self.map = mmap.mmap(fd, SIZE)
        os.close(fd)

    def _get(self, i):
        return struct.unpack_from("=Q", self.map, 8 * i)[0]

    @property
    def target(self):
        return self._get(0)

    @target.setter
    def target(self, value):
        struct.pack_into("=Q", self.map, 0, value)

    count = property(lambda self: self._get(1))
    begin_ns = property(lambda self: self._get(2))
    done_ns = property(lambda self: self._get(3))
    begin_cpu_us = property(lambda self: self._get(4))

    def slot(self, i):
        """(starts, pid, last_ns) of service i"""
        return SLOT.unpack_from(self.map, HEAD.size + SLOT.size * i)
