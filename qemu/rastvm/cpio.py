"""Writes an initramfs: cpio in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst)."""
import os
import stat


class Cpio:
    def __init__(self, path):
        self.out = open(path, "wb")
        self.ino = 0
        self.dirs = set()

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        self.ino += 1
        name_bytes = name.encode() + b"\0"
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name_bytes), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name_bytes
        self.out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def mkdir(self, name, mode=0o755):
        """Make a folder and those above it."""
        name = name.strip("/")
        if not name or name in self.dirs:
            return
        self.mkdir(os.path.dirname(name))
        self.dirs.add(name)
        self._entry(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        self.mkdir(os.path.dirname(name))
        self._entry(name.strip("/"), stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.mkdir(os.path.dirname(name))
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor, mode=0o600):
        self.mkdir(os.path.dirname(name))
        self._entry(name.strip("/"), stat.S_IFCHR | mode, rdev=(major, minor))

    def close(self):
        self._entry("TRAILER!!!", 0)
        self.out.write(b"\0" * (-self.out.tell() % 512))
        self.out.close()
