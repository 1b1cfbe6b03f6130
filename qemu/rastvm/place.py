"""Puts files where the guest will see them, in a mounted disk of rastOS's layout (docs/design.md, section 2)."""
import contextlib
import os
import pathlib

from . import cache, userland


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
    if isinstance(content, pathlib.Path):
        mode = mode if mode is not None else content.stat().st_mode & 0o777
        content = content.read_bytes()
    with open(place, "wb") as f:
        f.write(content.encode() if isinstance(content, str) else content)
    if mode is not None:
        os.chmod(place, mode)


def put_programs(top, programs):
    """Programs of this machine, into each snapshot's /usr/bin, and the libraries that they need to where this machine has them."""
    for tree in os.listdir(f"{top}/.snapshots/rootfs"):
        root = pathlib.Path(f"{top}/.snapshots/rootfs/{tree}")
        with writable(root):
            for program in map(pathlib.Path, programs):
                _write(f"{root}/usr/bin/{program.name}", program, None)
                userland.copy_libraries(root, userland.libraries_of(program))


def prepare_disk(top, services, available, files, programs=(), prepare=None):
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
    if programs:
        put_programs(top, programs)
    if prepare:
        prepare(top)
