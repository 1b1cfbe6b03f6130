"""The boot benchmark's disk: one btrfs, one Debian tree with every init unpacked in it, a snapshot of it per system.

Kernel, userland and the loop mount come from qemu/rastvm. Cached there too, by content."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from . import bootsets

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "qemu"))
from rastvm import cache, disk, kernel, userland  # noqa: E402  pylint: disable=wrong-import-position
from rastvm.cpio import Cpio  # noqa: E402  pylint: disable=wrong-import-position

SIZE = 1536 << 20
MODULES = ["nfit", "nd_btt", "nd_pmem", "xxhash_generic", "crc32c-intel", "btrfs"]
PASSWD = "messagebus:x:190:190::/nonexistent:/usr/sbin/nologin\n"


def initramfs(out, kern, helpers):
    """vminit, the stamp, and the modules that a btrfs on persistent memory needs, listed in order."""
    c = Cpio(out)
    for d in ("dev", "proc", "root"):
        c.mkdir(d)
    c.device("dev/console", 5, 1)
    c.file("init", pathlib.Path(helpers, "bench-vminit").read_bytes(), 0o755)
    c.file("stamp", pathlib.Path(helpers, "bench-stamp").read_bytes(), 0o755)
    paths = kern.closure(MODULES)
    for path in paths:
        c.file("m/" + os.path.basename(path), (kern.modules / path).read_bytes())
    c.file("modules", "".join(f"/m/{os.path.basename(p)}\n" for p in paths).encode())
    c.close()


def _libraries(root, layers):
    """What the added programs link and the tree lacks, from the layers or from this machine."""
    dirs = [str(layer / d) for layer in layers for d in ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd", "usr/lib")]
    env = dict(os.environ, LD_LIBRARY_PATH=":".join(dirs))
    for layer in layers:
        for program in layer.rglob("*"):
            if not program.is_file() or program.is_symlink() or not program.stat().st_mode & 0o111 or program.open("rb").read(4) != b"\x7fELF":
                continue
            out = subprocess.run(["ldd", str(program)], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
            for name, path in re.findall(r"(\S+) => (/\S+) \(0x", out):
                if not any((root / d / name).exists() for d in ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd", "usr/lib")):
                    shutil.copy2(os.path.realpath(path), root / "usr/lib/x86_64-linux-gnu" / name)


def _tree(root, tar, layers):
    root = pathlib.Path(root)
    cache.run("tar", "-xpf", tar, "-C", root, "--numeric-owner", "--exclude=./dev/*")
    for layer in layers:
        # The init's own sbin/init link is made per system; everything else of a layer is added as it is.
        cache.run("cp", "-a", "--no-preserve=ownership", f"{layer}/.", root)
    _libraries(root, layers)
    cache.run("chroot", root, "ldconfig")
    os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    cache.run("chroot", root, "ssh-keygen", "-A")
    shutil.copy2("/bin/busybox", root / "usr/bin/busybox")
    if "messagebus:" not in (root / "etc/passwd").read_text():
        with open(root / "etc/passwd", "a") as f:
            f.write(PASSWD)
    for path, text in {"etc/hostname": "bench\n", "etc/machine-id": "00000000000000000000000000000b00\n", "etc/fstab": ""}.items():
        (root / path).write_text(text)
    for d in ("bench", "run", "proc", "sys", "dev", "tmp"):
        (root / d).mkdir(exist_ok=True)


def _put(root, path, what):
    text, mode = what if isinstance(what, tuple) else (what, 0o644)
    full = pathlib.Path(root, path)
    full.parent.mkdir(parents=True, exist_ok=True)
    if what == bootsets.GONE:
        shutil.rmtree(full, ignore_errors=True)
        return
    if full.is_symlink() or full.exists():
        full.unlink()
    if mode is None:
        full.symlink_to(text)
        return
    full.write_text(text)
    full.chmod(mode)


def _settle(root, system):
    for name, text in bootsets.SERVICES.items():
        _put(root, f"etc/bench/run/{name}", ("#!/bin/sh\n" + text + "\n", 0o755))
    _put(root, "etc/bench/off", system.off + "\n")
    for path, what in system.files().items():
        _put(root, path, what)
    _put(root, "usr/sbin/init", (system.init, None))


class Image:
    def __init__(self, path, kern):
        self.disk, self.initramfs, self.vmlinux = path / "disk.img", path / "initramfs.cpio", kern.vmlinux


def get(systems, layers, helpers):
    """The image that holds these systems; layers: folders to put over the Debian tree."""
    kern = kernel.get()
    tar = userland.debian_tar()
    layers = [pathlib.Path(layer) for layer in layers]
    here = pathlib.Path(__file__).resolve().parent
    base_recipe = cache.digest(tar.name, here / "vmimage.py", *layers)

    def make_base(tmp):
        with open(tmp, "wb") as f:
            f.truncate(SIZE)
        cache.run("mkfs.btrfs", "-q", "-L", "bench", tmp)

        def fill(top):
            cache.run("btrfs", "subvolume", "create", f"{top}/base")
            _tree(f"{top}/base", tar, layers)
        disk.edit(tmp, fill)

    def make(tmp):
        tmp.mkdir()
        base = cache.artefact("benchtree", base_recipe, "0", make_base, "the boot benchmark's userland")
        cache.run("cp", "--sparse=always", base, tmp / "disk.img")
        initramfs(tmp / "initramfs.cpio", kern, helpers)

        def change(top):
            for name in systems:
                cache.run("btrfs", "subvolume", "snapshot", f"{top}/base", f"{top}/sys-{name}")
                _settle(f"{top}/sys-{name}", bootsets.SYSTEMS[name]())
        disk.edit(tmp / "disk.img", change)

    recipe = cache.digest(base_recipe, " ".join(systems), here / "bootsets.py", *[pathlib.Path(helpers, f"bench-{h}") for h in ("vminit", "stamp")], kern.path.name)
    return Image(cache.artefact("benchdisk", recipe, "0", make, "the boot benchmark's disk"), kern)
