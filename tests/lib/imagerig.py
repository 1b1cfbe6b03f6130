"""A place for image tests: a btrfs of its own (or a plain folder), in a private mount namespace without CAP_SYS_TIME."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from command import Result

RAST = os.environ.get("RAST_PROGRAM") or os.environ.get("RAST_STAGE", "") + "/usr/bin/rast"


def enter():
    """Start the test program anew in namespaces of its own; returns only there."""
    if not os.access(RAST, os.X_OK):
        raise SystemExit(f"{RAST} is not there: RAST_STAGE names a staged installation, or RAST_PROGRAM the program")
    if os.environ.get("IMAGE_RIG") != "inside":
        os.environ["IMAGE_RIG"] = "inside"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time",
                              sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])


class Rig:
    """with Rig() as r: r.dir is for sources, r.store for images. btrfs=False: a tmpfs, where layers are copies."""

    def __init__(self, btrfs=True, size="600M"):
        self.dir = tempfile.mkdtemp(prefix="rast-image-")
        self.top = f"{self.dir}/top"
        os.mkdir(self.top)
        if btrfs:
            self.run("truncate", "-s", size, f"{self.dir}/img")
            self.run("mkfs.btrfs", "-q", f"{self.dir}/img")
            self.run("mount", "-o", "loop", f"{self.dir}/img", self.top)
        else:
            self.run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.top)
        self.store = f"{self.top}/images"

    @staticmethod
    def run(*argv):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("umount", self.top)
        shutil.rmtree(self.dir)

    def argv(self, *args):
        return [RAST, "image", str(args[0]), "--root", self.store, *map(str, args[1:])]

    def rast(self, *args, timeout=120, env=None):
        return Result.of(subprocess.run(self.argv(*args), capture_output=True, text=True, errors="surrogateescape", timeout=timeout, check=False,
                                     env={**os.environ, **(env or {})}, cwd=self.dir))

    def ok(self, *args, **more):
        r = self.rast(*args, **more)
        assert r.status == 0, r
        return r

    def json(self, *args):
        return json.loads(self.ok(*args, "--json").out)

    def put(self, image, name="t:1"):
        """Import an image; returns the path of its topmost layer's tree."""
        path = tempfile.mkdtemp(dir=self.dir)
        image.layout(path, name if "/" in name or ":" in name else None)
        self.ok("import", path, *([] if "/" in name or ":" in name else ["--name", name]))
        return self.tree(image)

    def tree(self, image):
        return pathlib.Path(f"{self.store}/layers/{image.chains()[-1].replace(':', '-')}")

    def left(self):
        """What is in the store, but for records and locks."""
        return sorted(n for part in ("layers", "blobs", "images", "partial") for n in os.listdir(f"{self.store}/{part}"))
