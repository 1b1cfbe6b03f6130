"""btrfs images in rastOS's layout (docs/design.md, sections 2 and 18), made and changed through a loop mount.

The mount lives in a mount namespace of its own, in a child process: nothing is seen of it outside, and the kernel takes mount and loop
device away with the child, however it ends.
"""
import ctypes
import os
import pickle
import shutil
import tempfile
import time
import traceback

from . import cache

SUBVOLUMES = ("@var", "@log", "@home", "@root", "@srv", "@rastos")
# What of a tree goes where it is shared by all snapshots.
SHARED = {"var/lib/rastos": "@rastos", "var/log": "@log", "var": "@var", "home": "@home", "root": "@root", "srv": "@srv"}
MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "etc", "var", "home", "root", "srv", "mnt", ".snapshots")
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def edit(image, change, *, options="noatime", partition_offset=0):
    """Mount the image's top level and run change(path) there; returns what it returned. Everything is on the image when this returns."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            reply = (True, _mounted(image, change, options, partition_offset))
        except BaseException as e:  # pylint: disable=broad-except
            reply = (False, str(e) if isinstance(e, cache.Failed) else traceback.format_exc())
        with os.fdopen(write_end, "wb") as out:
            out.write(pickle.dumps(reply))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as reply:
        data = reply.read()
    os.waitpid(pid, 0)
    if not data:
        raise cache.Failed(f"{image}: the process that changes the image died")
    fine, value = pickle.loads(data)
    if not fine:
        raise cache.Failed(f"{image}: {value}")
    return value


def _mounted(image, change, options, offset):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise cache.Failed(f"no mount namespace of our own: {os.strerror(ctypes.get_errno())} (this needs root)")
    where = tempfile.mkdtemp(prefix="rastos-disk-")
    try:
        # Loop devices are shared with everybody else's mounts: one that was free may be taken a moment later.
        for attempt in range(10):
            try:
                cache.run("mount", "-t", "btrfs", "-o", f"loop,offset={offset},subvolid=5,{options}", image, where)
                break
            except cache.Failed:
                if attempt == 9:
                    raise
                time.sleep(0.1 * (attempt + 1))
        try:
            value = change(where)
        finally:
            cache.run("umount", where)
        return value
    finally:
        os.rmdir(where)


def make(image, size, populate):
    """A new btrfs with the shared subvolumes and an unfinished snapshot-0, whose tree populate(path) fills."""
    with open(image, "wb") as f:
        f.truncate(size)
    cache.run("mkfs.btrfs", "-q", "-L", "rastos", image)

    def fill(top):
        for d in ("rootfs", "etc", "boot"):
            os.makedirs(f"{top}/.snapshots/{d}")
        for name in SUBVOLUMES:
            cache.run("btrfs", "subvolume", "create", f"{top}/{name}")
        os.chmod(f"{top}/@root", 0o700)
        root = f"{top}/.snapshots/rootfs/snapshot-0"
        cache.run("btrfs", "subvolume", "create", root)
        populate(root)

    edit(image, fill)


def _share(top, root):
    """Move what is shared out of the tree, and leave the places to mount it on."""
    for place, name in SHARED.items():
        if os.path.isdir(f"{root}/{place}"):
            cache.run("cp", "-a", "--reflink=auto", f"{root}/{place}/.", f"{top}/{name}/")
            shutil.rmtree(f"{root}/{place}")
    for place in MOUNT_POINTS:
        os.makedirs(f"{root}/{place}", exist_ok=True)
    for place in ("log", "lib/rastos", "tmp", "cache", "lib"):
        os.makedirs(f"{top}/@var/{place}", exist_ok=True)
    os.chmod(f"{root}/tmp", 0o1777)
    os.chmod(f"{top}/@var/tmp", 0o1777)
    os.chmod(f"{top}/@rastos", 0o755)


def deploy(top, snapshots, boot_files):
    """Turn the unfinished snapshot-0 into finished ones: /etc apart and writable, the trees read-only, the boot files beside them."""
    base = f"{top}/.snapshots"
    first = f"{base}/rootfs/snapshot-0"
    _share(top, first)
    for n in snapshots:
        root = f"{base}/rootfs/snapshot-{n}"
        if n != 0:
            cache.run("btrfs", "subvolume", "snapshot", first, root)
        cache.run("btrfs", "subvolume", "create", f"{base}/etc/etc-{n}")
        cache.run("cp", "-a", "--reflink=auto", f"{root}/etc/.", f"{base}/etc/etc-{n}/")
        cache.run("btrfs", "subvolume", "create", f"{base}/boot/boot-{n}")
        for name, source in boot_files.items():
            cache.run("cp", "--reflink=auto", source, f"{base}/boot/boot-{n}/{name}")
    for n in snapshots:
        cache.run("btrfs", "property", "set", "-ts", f"{base}/rootfs/snapshot-{n}", "ro", "true")


def is_clean(image):
    """What `btrfs check` finds wrong, as text; empty for a clean file system."""
    try:
        cache.run("btrfs", "check", "--readonly", image)
    except cache.Failed as e:
        return str(e)
    return ""
