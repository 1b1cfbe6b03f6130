"""A cache by content: an artefact is a file or folder named after what it was made from."""
import contextlib
import fcntl
import hashlib
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent


def root():
    path = pathlib.Path(os.environ.get("RASTOS_CACHE") or TOP / ".cache").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text):
    print(f"\033[1m==>\033[0m {text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """Something could not be done; the text is for a person."""


def run(*argv, **kwargs):
    """Run a program quietly; its output becomes part of the error when it fails."""
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.STDOUT)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    argv = [str(a) for a in argv]
    try:
        done = subprocess.run(argv, check=False, **kwargs)
    except FileNotFoundError as e:
        raise Failed(f"{argv[0]} is not installed (packages.txt lists what is needed)") from e
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)} failed with status {done.returncode}:\n{(done.stdout or b'').decode(errors='replace')[-4000:]}")
    return (done.stdout or b"").decode(errors="replace")


def digest(*parts):
    """Hash of strings, bytes and the contents of paths (a folder: all of its files, their names and modes)."""
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, pathlib.Path):
            files = sorted(p for p in part.rglob("*") if "__pycache__" not in p.parts) if part.is_dir() else [part]
            for f in files:
                h.update(f"{f.relative_to(part)}\0{f.lstat().st_mode:o}\0".encode())
                if f.is_symlink():
                    h.update(os.readlink(f).encode())
                elif f.is_file():
                    h.update(f.read_bytes())
        else:
            h.update(part if isinstance(part, bytes) else str(part).encode())
        h.update(b"\1")
    return h.hexdigest()[:16]


_held = {}


def hold(path):
    """Keep an artefact from being cleaned away while this process lives. False when it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    fcntl.flock(fd, fcntl.LOCK_SH)
    if not path.exists():
        os.close(fd)
        return False
    os.close(_held.pop(path)) if path in _held else None
    _held[path] = fd
    return True


def _remove_unused(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        os.close(fd)


SCRATCH_S = 3600


def scratch(prefix, folder=None):
    """A new folder for this process, in /tmp. Those that killed processes have left behind are removed."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    hold(path)
    stale = [p for p in path.parent.glob(f"{prefix}*") if p != path and time.time() - p.stat().st_mtime > SCRATCH_S]
    with contextlib.suppress(OSError):
        _remove_unused(stale)
    return path


def remove_old(folder, keep):
    """Keep so many of the files of a folder, those written last."""
    with contextlib.suppress(FileNotFoundError):  # another process may be at it
        for old in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime)[:-keep]:
            old.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(name):
    """One builder at a time per artefact, across processes; goes away with the process."""
    with open(root() / f".{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _advice(text):
    """What a person may do about it."""
    if "No space left on device" in text:
        return f"\nThere is not enough room in {root()}: {shutil.disk_usage(root()).free >> 20} MB; all of qemu/boot needs 3 GB. Make room, or name another place in RASTOS_CACHE."
    if re.search(r"Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Failed to fetch", text):
        return "\nIs the network there, and are apt's sources right? What is finished is kept: run it again when they are."
    return ""


def artefact(kind, recipe, versions, make, what, keep=3):
    """The path of an artefact: made by make(tmp_path) unless one of this recipe and these versions is there.

    Without a network an artefact of the same recipe with older versions is as good as it gets, and is used with a warning.
    Of the same kind the `keep` that were used last stay, and what a process uses now: the cache does not grow for ever.
    """
    final = root() / f"{kind}-{recipe}-{versions}"
    with lock(kind):
        if hold(final):
            os.utime(final)
            return final
        tmp = root() / f"{kind}.tmp"
        remove(tmp)
        say(f"making {what}")
        try:
            make(tmp)
        except Failed as e:
            remove(tmp)
            e = Failed(f"{what} could not be made: {e}{_advice(str(e))}")
            older = sorted(root().glob(f"{kind}-{recipe}-*"), key=lambda p: p.stat().st_mtime)
            if not older:
                raise e from None
            say(f"{e}\nGoing on with the older one that is there.")
            hold(older[-1])
            return older[-1]
        os.rename(tmp, final)
        hold(final)
        _remove_unused(sorted(root().glob(f"{kind}-*"), key=lambda p: p.stat().st_mtime)[:-keep])
        return final


def remove(path):
    if path in _held:
        os.close(_held.pop(path))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def source(*functions):
    """The text of the functions that make something, as part of its recipe."""
    return "".join(inspect.getsource(f) for f in functions)


def package_section(*sections):
    """Names in sections of packages.txt."""
    names, on = [], False
    for line in (TOP / "packages.txt").read_text().splitlines():
        if line.startswith("# == "):
            on = line[5:].split(":")[0].strip() in sections
        elif on and line and not line.startswith("#"):
            names.append(line.strip())
    return names


def candidate_versions(names):
    """What apt would install now, as text; empty when apt knows nothing (no lists, no network)."""
    try:
        out = run("apt-cache", "policy", *names)
    except Failed:
        return ""
    return "\n".join(l for l in out.splitlines() if not l.startswith(" ") or "Candidate:" in l)
