"""Containers on this machine, without touching it: rastrun in a private mount namespace whose /sys/fs/cgroup is the v2 hierarchy alone.

    rig.start()                          # first thing in a test program: runs it again in its own namespaces
    with rig.Bundle(args=["echo", "hi"]) as b:
        assert b.run().out == "hi\n"

Containers' cgroups lie below /sys/fs/cgroup/rast-test-PID, which is removed at the end. Every wait is bounded.
"""
import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from command import Failed, Result

STAGE = os.environ.get("RAST_STAGE", "")
RASTRUN = os.environ.get("RASTRUN") or STAGE + "/usr/sbin/rastrun"
BUSYBOX = shutil.which("busybox", path="/bin:/usr/bin")
APPLETS = "sh ls cat echo true false sleep id ps mount env stat readlink grep pwd touch mkdir dd kill hostname chroot ip wc head tty test date ln rm nproc seq setsid stty".split()
CGROUP = f"rast-test-{os.getpid()}"
TIMEOUT = 30

DEFAULT_CAPS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
                "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"]


def start():
    """Go on in a private mount, UTS and IPC namespace. Skips where that isn't possible."""
    if os.environ.get("RAST_RIG") == "inside":
        subprocess.run(["umount", "-l", "/sys/fs/cgroup"], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=True)
        return
    if os.geteuid() != 0:
        print("SKIP: needs root")
        sys.exit(77)
    if not os.path.exists(RASTRUN) or not BUSYBOX:
        print(f"SKIP: needs {RASTRUN} and busybox")
        sys.exit(77)
    os.environ["RAST_RIG"] = "inside"
    os.execvp("unshare", ["unshare", "--mount", "--uts", "--ipc", "--propagation", "private", "setpriv", "--bounding-set", "-sys_time,-sys_boot",
                          "--inh-caps", "-sys_time,-sys_boot", sys.executable, *sys.argv])


def run(*argv, timeout=TIMEOUT, **kw):
    if isinstance(kw.get("input"), bytes):
        kw["input"] = kw["input"].decode()
    try:
        p = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, **({"stdin": subprocess.DEVNULL} | kw if "input" not in kw else kw))
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{' '.join(map(str, argv))}: no end after {timeout} s\n{e.stdout}\n{e.stderr}") from None
    return Result(p.returncode, p.stdout, p.stderr)


def until(what, timeout=30, message="it did not become true"):
    deadline = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"after {timeout} s: {message() if callable(message) else message}")
        time.sleep(0.02)


def namespaces(*names):
    return [{"type": n} for n in names]


def config(args=("true",), env=(), terminal=False, cwd="/"):
    """A config.json as `runc spec` writes it, in Python."""
    caps = {k: list(DEFAULT_CAPS) for k in ("bounding", "effective", "permitted")}
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": terminal, "user": {"uid": 0, "gid": 0}, "args": list(args), "cwd": cwd, "capabilities": caps, "noNewPrivileges": True,
                    "env": ["PATH=/usr/bin:/bin", "HOME=/root", *env]},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "cgroup"),
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


class Bundle:
    """A bundle with a busybox root, a state directory of its own, and one container id."""
    count = 0

    def __init__(self, conf=None, change=None, **kw):
        """conf: config(); change: a function that alters it; kw: for config()."""
        Bundle.count += 1
        self.id = f"c{Bundle.count}"
        self.dir = tempfile.mkdtemp(prefix="rast-bundle-")
        os.chmod(self.dir, 0o755)
        self.root = self.dir + "/state"
        self.rootfs = self.dir + "/rootfs"
        self.conf = copy.deepcopy(conf) if conf else config(**kw)
        self.conf["linux"].setdefault("cgroupsPath", f"/{CGROUP}/{self.id}")
        if change:
            change(self.conf)
        for d in ("bin", "proc", "dev", "sys", "etc", "tmp", "root", "run"):
            os.makedirs(f"{self.rootfs}/{d}", exist_ok=True)
        shutil.copy(BUSYBOX, self.rootfs + "/bin/busybox")
        for a in APPLETS:
            os.symlink("busybox", f"{self.rootfs}/bin/{a}")
        self.write()

    def write(self):
        with open(self.dir + "/config.json", "w") as f:
            json.dump(self.conf, f)

    def cmd(self, *args, **kw):
        """rastrun with options before the command."""
        return run(RASTRUN, "--root", self.root, *args, **kw)

    def must(self, *args, **kw):
        r = self.cmd(*args, **kw)
        if not r.ok:
            raise Failed(f"rastrun {' '.join(map(str, args))}: {r!r}")
        return r

    def run(self, *options, **kw):
        return self.cmd("run", "--bundle", self.dir, *options, self.id, **kw)

    def started(self, *options):
        """Created and started, detached."""
        self.created(*options)
        self.must("start", self.id)
        return self

    def created(self, *options):
        return self.detached("create", "--bundle", self.dir, *options, self.id)

    def detached(self, *args):
        """A command that leaves a process behind: with files in place of pipes, of which nobody would see the end."""
        with open(self.dir + "/out", "ab") as out:
            p = subprocess.run([RASTRUN, "--root", self.root, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=TIMEOUT, check=False)
        if p.returncode:
            raise Failed(f"{' '.join(args)}: exit {p.returncode}: {self.out()}")
        return self

    def out(self):
        with contextlib.suppress(FileNotFoundError), open(self.dir + "/out", errors="replace") as f:
            return f.read()
        return ""

    def state(self):
        return json.loads(self.must("state", self.id).out)

    def status(self):
        r = self.cmd("state", self.id)
        return json.loads(r.out)["status"] if r.ok else None

    def wait_status(self, status, timeout=30):
        until(lambda: self.status() == status, timeout, lambda: f"{self.id} is {self.status()}, not {status}; {self.out()}")

    def exec(self, *args, **kw):
        return self.cmd("exec", self.id, *args, **kw)

    def close(self):
        self.cmd("delete", "--force", self.id)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def cleanup():
    for base in (f"/sys/fs/cgroup/{CGROUP}",):
        for d, _, _ in os.walk(base, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(d)


def main(cases):
    """Run test functions, whose names are the sentences that they check: TAP on stdout, exit 1 if one failed."""
    import traceback
    wanted = sys.argv[1:]
    chosen = [c for c in cases if not wanted or any(w in c.__name__ for w in wanted)]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for i, case in enumerate(chosen, 1):
            name, began = case.__name__.replace("_", " "), time.monotonic()
            try:
                why = case()
                print(f"ok {i} - {name}" + (f" # SKIP {why}" if why else f" # {time.monotonic() - began:.1f} s"), flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {i} - {name}", flush=True)
                traceback.print_exc()
    finally:
        cleanup()
    sys.exit(1 if failed else 0)
