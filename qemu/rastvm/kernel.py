"""Debian's kernel, out of its package: an uncompressed vmlinux (QEMU boots it fastest) and stripped modules."""
import gzip
import lzma
import pathlib
import re
import struct
import subprocess

from . import cache
from .cpio import Cpio

META = "linux-image-cloud-amd64"
# What a machine needs before its root is mounted, and what every QEMU guest has; their dependencies come by themselves.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix", "nvme", "nd_pmem", "nfit", "crc32c-intel", "btrfs", "virtio_console", "virtio-rng"]
# What else the tiny image gets, for services and tests; the Debian image gets all that the kernel package has.
TINY_BOOT_MODULES = ["virtio_pci", "virtio_blk", "crc32c-intel", "btrfs", "virtio_console", "virtio-rng"]
TINY_MODULES = TINY_BOOT_MODULES + ["softdog", "virtio_net", "loop", "overlay", "veth", "bridge", "dummy", "tun", "dm-mod", "dm-snapshot"]
UNPACK = {b"\x1f\x8b": gzip.decompress, b"\xfd7": lzma.decompress}


def _package():
    """The versioned package that the meta package stands for, e.g. linux-image-6.1.0-40-cloud-amd64."""
    for line in cache.run("apt-cache", "depends", META).splitlines():
        found = re.match(r"\s*Depends: (linux-image-\S+)$", line)
        if found:
            return found[1]
    raise cache.Failed(f"apt knows no {META}: run apt-get update, and look at the apt sources")


def vmlinux_of(bzimage):
    """Take the kernel proper out of a bzImage: the boot header says where its payload is (Documentation/arch/x86/boot.rst, 0x248)."""
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    payload = bzimage[(sectors + 1) * 512 + offset:][:length]
    magic = payload[:2]
    if magic in UNPACK:
        return UNPACK[magic](payload if magic != b"\xfd7" else payload[:-4])
    if payload[:4] == b"\x02\x21\x4c\x18":  # legacy lz4, with the unpacked size in four bytes behind it
        program = ["lz4", "-dc"]
    elif payload[:4] == b"\x28\xb5\x2f\xfd":
        program = ["zstd", "-dc"]
    else:
        raise cache.Failed(f"the kernel is packed in a way that is not known here (it begins with {payload[:4].hex()})")
    done = subprocess.run(program, input=payload, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.stdout[:4] != b"\x7fELF":
        raise cache.Failed(f"{program[0]} could not unpack the kernel: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _make(tmp):
    tmp.mkdir()
    deb = tmp / "deb"
    deb.mkdir()
    cache.run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", _package(), cwd=deb)
    cache.run("dpkg-deb", "-x", next(deb.glob("*.deb")), tmp / "x")
    bzimage = next((tmp / "x/boot").glob("vmlinuz-*"))
    release = bzimage.name.removeprefix("vmlinuz-")
    (tmp / "release").write_text(release)
    (tmp / "vmlinux").write_bytes(vmlinux_of(bzimage.read_bytes()))
    bzimage.rename(tmp / "vmlinuz")
    modules = tmp / "root/lib/modules"
    modules.parent.mkdir(parents=True)
    (tmp / "x/lib/modules").rename(modules)
    kos = sorted(modules.rglob("*.ko"))
    for i in range(0, len(kos), 200):
        cache.run("strip", "-g", *kos[i:i + 200])
    cache.run("depmod", "-b", tmp / "root", release)
    cache.remove(tmp / "x")
    cache.remove(deb)


class Kernel:
    """vmlinux, vmlinuz, and its modules under root/lib/modules/RELEASE."""

    def __init__(self, path):
        self.path = path
        self.vmlinux, self.vmlinuz = path / "vmlinux", path / "vmlinuz"
        self.release = (path / "release").read_text()
        self.modules = path / "root/lib/modules" / self.release
        self.deps = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            name, _, needs = line.partition(":")
            self.deps[name] = needs.split()
        self.by_name = {pathlib.Path(p).stem.replace("-", "_"): p for p in self.deps}

    def closure(self, names):
        """Paths of the modules and of all that they need (soft dependencies too), each after what it depends on. Built-in ones are left out."""
        soft = {}
        for line in (self.modules / "modules.softdep").read_text().splitlines():
            words = line.split()
            if words[:1] == ["softdep"]:
                soft[words[1].replace("-", "_")] = [w for w in words[2:] if not w.endswith(":")]
        done = []

        def add(path):
            if path in done:
                return
            for need in reversed(self.deps[path]):
                add(need)
            for need in soft.get(pathlib.Path(path).stem.replace("-", "_"), []):
                if need.replace("-", "_") in self.by_name and self.by_name[need.replace("-", "_")] != path:
                    add(self.by_name[need.replace("-", "_")])
            if path not in done:
                done.append(path)

        for name in names:
            path = self.by_name.get(name.replace("-", "_"))
            if path:
                add(path)
        return done

    def write_initramfs(self, out, init, busybox, modules):
        """rastinit as /init, the modules for booting with their index files, rast-decide (beside rastinit), and busybox for the rescue shell."""
        c = Cpio(out)
        for d in ("dev", "proc", "sys", "run", "sysroot", "tmp", "root", "bin", "etc", "usr", "usr/lib", "usr/lib/rastos"):
            c.mkdir(d)
        c.device("dev/console", 5, 1)
        c.file("init", init.read_bytes(), 0o755)
        c.file("usr/lib/rastos/rast-decide", (init.parent / "rast-decide").read_bytes(), 0o755)
        c.file("bin/busybox", busybox.read_bytes(), 0o755)
        for name in cache.run(busybox, "--list").split():
            if name not in ("busybox", "init", "reboot", "poweroff", "halt"):
                c.link(f"bin/{name}", "busybox")
        c.link("sbin", "bin")
        base = f"lib/modules/{self.release}"
        chosen = self.closure(modules)
        for path in chosen:
            c.file(f"{base}/{path}", (self.modules / path).read_bytes())
        for index in ("modules.dep", "modules.alias", "modules.softdep", "modules.builtin"):
            c.file(f"{base}/{index}", _only(self.modules / index, index, chosen).encode())
        c.close()


def _only(path, index, chosen):
    """The lines of an index file that speak of chosen modules: stage 1 reads the file at every boot."""
    names = {pathlib.Path(p).stem.replace("-", "_") for p in chosen}
    keep = {"modules.dep": lambda l: l.split(":")[0] in chosen,
            "modules.alias": lambda l: l.split()[-1].replace("-", "_") in names,
            "modules.softdep": lambda l: len(l.split()) > 1 and l.split()[1].replace("-", "_") in names,
            "modules.builtin": lambda l: True}[index]
    return "".join(l + "\n" for l in path.read_text().splitlines() if l.strip() and keep(l))


def get():
    versions = cache.candidate_versions([META])
    path = cache.artefact("kernel", cache.digest(META, cache.source(_make, vmlinux_of)), cache.digest(versions), _make, "the kernel (Debian's cloud kernel, unpacked)")
    return Kernel(path)
