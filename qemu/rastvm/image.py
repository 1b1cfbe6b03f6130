"""Images: a kernel, an initramfs and a btrfs disk with two snapshots. Cached by content: unchanged parts are never made twice."""
import contextlib
import json
import os
import pathlib
import shutil

from . import cache, disk, kernel, userland

OVERLAY = cache.HERE.parent / "overlay"
BUSYBOX = pathlib.Path("/bin/busybox")
HELPERS = "usr/lib/rastos/tests"
# The demo's password, "rastos", as `openssl passwd -6 -salt rastosdemo` makes it.
DEMO_PASSWORD = "$6$rastosdemo$gGvl37LLwsErwLCFqFkIY.Kjqd.xYMu4ervnu8zooBXiAqz9kMVM.DKluJoDcizSij.hJ7N73fYBPIEkUlACr0"
SIZES = {"debian": 2 << 30, "tiny": 384 << 20}


class Image:
    """A finished image. It is never written to: every machine gets a layer or a copy of its own."""

    def __init__(self, kind, path, kern):
        self.kind, self.kernel = kind, kern
        self.disk, self.initramfs, self.vmlinux = path / "disk.img", path / "initramfs.cpio", kern.vmlinux
        self.reference = f"{path}:{kern.path}"
        self.initramfs_id = (path / "initramfs.id").read_text()


def installed(build, to):
    """`meson install` of the build under `to`, stripped; only what a running machine needs."""
    cache.run("meson", "install", "-C", build, "--no-rebuild", "--strip", "--destdir", to)
    cache.remove(to / "usr/share/man")


def _state(kind, build):
    """What an image is made from, told by sizes and times alone: looking is much faster than making it to see that nothing has changed."""
    paths = [build / "build.ninja", BUSYBOX, pathlib.Path("/var/lib/apt/lists"), cache.TOP / "packages.txt", *cache.HERE.glob("*.py"), *OVERLAY.rglob("*"), *_helpers(build)]
    try:
        installs = json.loads((build / "meson-info/intro-installed.json").read_text())
        paths += [pathlib.Path(p) for p in installs if os.path.isabs(p)]  # the others are links, which build.ninja stands for
        seen = [(str(p), s.st_size, s.st_mtime_ns) for p in paths if (s := p.lstat())]
    except (OSError, ValueError):
        return None
    return cache.root() / "seen" / cache.digest(kind, repr(sorted(seen)))


def _helpers(build):
    """Programs that only guests need."""
    return sorted(p for p in (build / "tests/helpers").glob("*") if p.is_file() and os.access(p, os.X_OK))


def _base(kind, kern):
    """The disk with the userland alone, which changes rarely."""
    if kind == "debian":
        tar = userland.debian_tar()

        def populate(root):
            cache.run("tar", "-xpf", tar, "-C", root, "--numeric-owner", "--exclude=./dev/*")
            cache.run("cp", "-a", kern.path / "root/lib/modules", f"{root}/lib/")
        source = tar.name
    else:
        def populate(root):
            root = pathlib.Path(root)
            userland.make_tiny(root, BUSYBOX)
            chosen = kern.closure(kernel.TINY_MODULES)
            for path in chosen:
                to = root / "usr/lib/modules" / kern.release / path
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(kern.modules / path, to)
            for name in ("modules.order", "modules.builtin", "modules.softdep"):
                shutil.copy(kern.modules / name, root / "usr/lib/modules" / kern.release)
            cache.run("depmod", "-b", root / "usr", kern.release)
        source = BUSYBOX.read_bytes()
    recipe = cache.digest(kind, cache.source(_base, userland.make_tiny, disk.make), source, kern.path.name, repr(kernel.TINY_MODULES))

    def make(tmp):
        disk.make(tmp, SIZES[kind], populate)
    return cache.artefact(f"base-{kind}", recipe, "0", make, f"the {kind} userland's disk")


def _add_ours(root, kind, dest, helpers):
    """Our programs, the service files of this image, and for the tiny one the libraries that they need."""
    root = pathlib.Path(root)
    cache.run("cp", "-a", "--no-preserve=ownership", f"{dest}/.", root)
    for overlay in ("common", kind):
        if (OVERLAY / overlay).is_dir():
            cache.run("cp", "-a", "--no-preserve=ownership", f"{OVERLAY / overlay}/.", root)
    if kind == "tiny":
        (root / HELPERS).mkdir(parents=True, exist_ok=True)
        for program in helpers:
            shutil.copy(program, root / HELPERS)
        userland.add_libraries(root, ["/lib/x86_64-linux-gnu/libnss_files.so.2"] if pathlib.Path("/lib/x86_64-linux-gnu/libnss_files.so.2").exists() else [])
    else:
        _container(root)
        _settle_debian(root)


def _settle_debian(root):
    """What a Debian package would ask its administrator: who may log in, and how the machine is called."""
    shadow = root / "etc/shadow"
    lines = [f"root:{DEMO_PASSWORD}:{l.split(':', 2)[2]}" if l.startswith("root:") else l for l in shadow.read_text().splitlines()]
    shadow.write_text("\n".join(lines) + "\n")
    (root / "etc/hostname").write_text("rastos\n")
    (root / "etc/machine-id").write_text("")
    (root / "etc/fstab").write_text("# stage 1 mounts the root, /etc, /var, /home, /root, /srv and /var/log: see docs/design.md, section 18\n")


def _container(root):
    """An OCI bundle for the container that the image runs: a busybox root, so that it is small and shows what is inside."""
    bundle = root / "var/lib/rastos/containers/demo"
    tree = bundle / "rootfs"
    for d in ("bin", "proc", "dev", "sys", "tmp", "etc"):
        (tree / d).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, tree / "bin/busybox")
    for name in ("sh", "sleep", "echo", "hostname", "httpd", "cat", "ps"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")


def _ledger(top, rastinit, snapshots):
    """A ledger in which snapshot 0 is known to be good and the newest one is to be booted: rastinit's own commands write it."""
    file = f"{top}/@rastos/ledger"
    for argv in (["--deploy", "0"], ["--mark", "good", "0"], ["--deploy", str(snapshots[-1])]):
        cache.run(rastinit, "--ledger-file", file, *argv)


def get(kind, build):
    """The image of this kind ("debian" or "tiny") with what the build folder holds; or what RASTOS_IMAGE_KIND refers to, for tests that share one."""
    build = pathlib.Path(build)
    ready = os.environ.get(f"RASTOS_IMAGE_{kind.upper()}")
    state = None if ready else _state(kind, build)
    found = _referred(kind, ready or (state.read_text() if state and state.exists() else ""))
    if found:
        return found
    img = _make(kind, build)
    if state and state == _state(kind, build):
        state.parent.mkdir(exist_ok=True)
        cache.remove_old(state.parent, 100)
        state.write_text(img.reference)
    return img


def _referred(kind, reference):
    path, _, kern = reference.partition(":")
    if path and cache.hold(pathlib.Path(path)) and cache.hold(pathlib.Path(kern)):
        return Image(kind, pathlib.Path(path), kernel.Kernel(pathlib.Path(kern)))
    return None


def _make(kind, build):
    kern = kernel.get()
    base = _base(kind, kern)
    helpers = _helpers(build) if kind == "tiny" else []
    with contextlib.ExitStack() as stack:
        work = cache.scratch("rastos-install-")
        stack.callback(cache.remove, work)
        dest = work / "dest"
        dest.mkdir()
        installed(build, dest)
        rastinit = dest / "usr/lib/rastos/rastinit"
        recipe = cache.digest(base.name, dest, OVERLAY, *helpers, kern.path.name, *(cache.HERE / f for f in ("kernel.py", "image.py", "disk.py", "userland.py")))

        def make(tmp):
            tmp.mkdir()
            kern.write_initramfs(tmp / "initramfs.cpio", rastinit, BUSYBOX, kernel.BOOT_MODULES if kind == "debian" else kernel.TINY_BOOT_MODULES)
            (tmp / "initramfs.id").write_text(cache.digest(tmp / "initramfs.cpio"))
            cache.run("cp", "--sparse=always", base, tmp / "disk.img")

            def change(top):
                _add_ours(f"{top}/.snapshots/rootfs/snapshot-0", kind, dest, helpers)
                boot_files = {"vmlinuz": kern.vmlinuz, "initramfs.cpio": tmp / "initramfs.cpio"} if kind == "debian" else {}
                disk.deploy(top, (0, 1), boot_files)
                _ledger(top, rastinit, (0, 1))
            disk.edit(tmp / "disk.img", change)

        return Image(kind, cache.artefact(f"image-{kind}", recipe, "0", make, f"the {kind} image"), kern)
