"""A rastOS machine without a VM: rastinit as PID 1 of its own namespaces.

    with Machine({"web.ini": "..."}) as m:
        m.ctl("start", "web")
        assert m.service("web")["state"] == "up"

The root is an overlay of the host's root with a staged installation (RAST_STAGE: a `meson install --destdir`) on top and a tmpfs
for what is written, so nothing that happens inside reaches the host's files. PID, mount, UTS, IPC, network and cgroup
namespaces are private, /proc/sys is read-only, CAP_SYS_TIME and CAP_SYS_BOOT are gone. /sys/fs/cgroup is a cgroup v2 subtree made for the machine (without
controllers where the host keeps them in v1), which is removed at the end. Every wait is bounded.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from command import Failed, Result

STAGE = os.environ.get("RAST_STAGE", "")
HERE = os.path.dirname(os.path.abspath(__file__))
SETUP = os.path.join(HERE, "machine-setup.sh")


def cgroup2_root():
    """Where the host has the v2 hierarchy."""
    with open("/proc/self/mounts") as f:
        for line in f:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    return None


class Machine:
    def __init__(self, services=None, files=None, enabled=None, target=None, args=(), env=None, wait=True, boot_timeout=30):
        """services: {"web.ini": text} in /etc/rastos/services; enabled: names linked in /etc/rastos/enabled (default: every file whose
        text has no [install] section and no "@" in its name); files: {absolute path: text}; args: more arguments to rastinit."""
        if not STAGE or not os.path.exists(STAGE + "/usr/lib/rastos/rastinit"):
            raise SystemExit("RAST_STAGE must name a staged installation (meson install --destdir) with rastinit in it")
        self.dir = tempfile.mkdtemp(prefix="rast-machine-")
        self.cgroup = None
        self.init = None
        services = services or {}
        if enabled is None:
            enabled = [n[:-4] for n, text in services.items() if n.endswith(".ini") and "/" not in n and "@" not in n and "# off" not in text]
        try:
            self._lay_out(services, files or {}, enabled)
            self._start(target, args, env)
            if wait:
                self.wait_for_rastd(boot_timeout)
        except BaseException:
            self.close()
            raise

    # ---- setting up
    def _lay_out(self, services, files, enabled):
        seed = self.dir + "/seed"
        for name, text in services.items():
            self._put(f"{seed}/etc/rastos/services/{name}", text)
        os.makedirs(f"{seed}/etc/rastos/enabled", exist_ok=True)
        for name in enabled:
            os.symlink(f"../services/{name}.ini", f"{seed}/etc/rastos/enabled/{name}")
        for path, text in files.items():
            self._put(seed + path, text)
        for d in ("rw", "root"):
            os.makedirs(f"{self.dir}/{d}")

    @staticmethod
    def _put(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        if text.startswith("#!"):
            os.chmod(path, 0o755)

    def _start(self, target, args, env):
        base = cgroup2_root()
        if not base:
            print("SKIP: the machine has no cgroup v2 hierarchy")
            sys.exit(77)
        self.cgroup = f"{base}/{os.path.basename(self.dir)}"
        os.mkdir(self.cgroup)
        self.console = open(self.dir + "/console", "w+b")
        words = ["--"] + list(args) if args else []
        cmdline = f"rast.target={target}" if target else ""
        full_env = dict(os.environ, MACHINE_DIR=self.dir, MACHINE_STAGE=STAGE, MACHINE_CGROUP=self.cgroup, MACHINE_CMDLINE=cmdline, **(env or {}))
        self.init = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--propagation", "private", SETUP] + words[1:],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT, env=full_env, start_new_session=True)

    def init_pid(self):
        """PID 1's pid as the host sees it."""
        path = f"/proc/{self.init.pid}/task/{self.init.pid}/children"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with open(path) as f:
                    kids = f.read().split()
                if kids:
                    return int(kids[0])
            except FileNotFoundError:
                break
            time.sleep(0.01)
        raise Failed(f"PID 1 did not start or is gone:\n{self.console_text()}")

    # ---- talking to it
    def sh(self, *cmd, timeout=30, check=False, stdin=None):
        """Run a command inside: words, or one string for sh -c."""
        words = ["sh", "-c", cmd[0]] if len(cmd) == 1 else list(cmd)
        pid = self.init_pid()
        try:
            p = subprocess.run(["nsenter", "-t", str(pid), "-m", "-p", "-u", "-i", "-n", "-r/proc/%d/root" % pid, "-w/proc/%d/root" % pid] + words, capture_output=True,
                               timeout=timeout, text=True, errors="replace", input=stdin)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{' '.join(words)}: no end after {timeout} s\n{e.stdout}\n{e.stderr}\n--- console\n{self.console_text()[-3000:]}") from None
        r = Result(p.returncode, p.stdout, p.stderr)
        if check and not r.ok:
            raise Failed(f"{' '.join(words)}: {r}")
        return r

    def ctl(self, *args, timeout=30, check=True):
        return self.sh("rastctl", *args, timeout=timeout, check=check)

    def services(self):
        return {s["name"]: s for s in json.loads(self.ctl("list", "--json").out)}

    def service(self, name):
        r = json.loads(self.ctl("status", name, "--json", check=False).out)
        r = r[0] if isinstance(r, list) else r
        return r.get("service", r)

    def state(self, name):
        return self.service(name)["state"]

    def wait_state(self, name, state, timeout=15):
        return self.until(lambda: self.state(name) == state, timeout, lambda: f"{name} is {self.service(name)}, not {state}")

    @staticmethod
    def until(what, timeout=15, message="it did not become true"):
        deadline = time.monotonic() + timeout
        while True:
            value = what()
            if value:
                return value
            if time.monotonic() > deadline:
                raise Failed(f"after {timeout} s: {message() if callable(message) else message}")
            time.sleep(0.02)

    def rastd_pid(self):
        """rastd's pid inside, 0 while it is away."""
        r = self.sh("for d in /proc/[0-9]*; do read -r c < $d/comm && [ \"$c\" = rastd ] && grep -q '^PPid:.1$' $d/status && echo ${d#/proc/}; done 2>/dev/null")
        pids = r.out.split()
        return int(pids[0]) if pids else 0

    def wait_for_rastd(self, timeout):
        self.until(lambda: self.sh("rastctl", "version", timeout=10).ok or self._dead(), timeout, lambda: "rastd does not answer:\n" + self.console_text()[-4000:])

    def _dead(self):
        if self.init.poll() is not None:
            raise Failed(f"PID 1 ended with {self.init.returncode}:\n{self.console_text()}")
        return False

    def booted(self, timeout=30):
        """Wait until the boot target is up."""
        self.ctl("wait", "--timeout", str(timeout), timeout=timeout + 5)
        return self

    def log(self, name):
        """Lines of a service's log, without time and name."""
        text = self.read(f"/var/log/rastos/{name}.log", missing="")
        return [re.sub(r"^\S+ \S+?: ", "", line) for line in text.splitlines()]

    def read(self, path, missing=None):
        r = self.sh("cat", path)
        if not r.ok:
            if missing is not None:
                return missing
            raise Failed(f"{path}: {r.err}")
        return r.out

    def write(self, path, text):
        self.sh("sh", "-c", f"mkdir -p \"$(dirname {path})\" && cat > {path}", check=True, stdin=text)

    def console_text(self):
        try:
            with open(self.dir + "/console", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    # ---- the end
    def power_off(self, timeout=40):
        self.ctl("poweroff", check=False)
        return self.wait_exit(timeout)

    def wait_exit(self, timeout=40):
        try:
            return self.init.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"PID 1 is still there after {timeout} s:\n{self.console_text()[-3000:]}") from None

    def close(self):
        if self.init and self.init.poll() is None:
            self.init.send_signal(signal.SIGKILL)  # unshare's --kill-child takes the whole PID namespace with it
            self.init.wait(10)
        if self.cgroup and os.path.isdir(self.cgroup):
            self._remove_cgroup()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _remove_cgroup(self):
        deadline = time.monotonic() + 10
        while True:
            for d, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(d)
                except OSError:
                    pass
            if not os.path.isdir(self.cgroup) or time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        if kind and issubclass(kind, (Failed, AssertionError)):
            sys.stderr.write("--- console\n" + self.console_text()[-6000:] + "\n")
            try:
                sys.stderr.write("--- rastd's log\n" + self.read("/var/log/rastos/rastd.log", "")[-6000:] + "\n")
            except Exception:  # the machine may be gone: what is known has been printed
                pass
        self.close()


def faults_stage():
    """A copy of the installation with a rastd that has crash points and failing allocations (-Dfaults=true): RASTD_FAULTS names it, else it is looked for
    beside RASTOS_BUILD. Without one the test is skipped. The folder is the caller's to remove; the installation is s in it."""
    rastd = os.environ.get("RASTD_FAULTS") or os.path.join(os.path.dirname(os.environ.get("RASTOS_BUILD", "")), "faults/supervisor/rastd")
    if not os.path.exists(rastd):
        print("SKIP: no rastd with crash points (meson setup -Dfaults=true; RASTD_FAULTS names it)")
        sys.exit(77)
    d = tempfile.mkdtemp(prefix="rast-stage-")
    shutil.copytree(STAGE, d + "/s", symlinks=True)
    shutil.copy(rastd, d + "/s/usr/lib/rastos/rastd")
    return d


def run(cases):
    """Run test functions, whose names are the sentences that they check: TAP on stdout, exit 1 if one failed."""
    import traceback
    wanted = sys.argv[1:]
    failed = 0
    chosen = [c for c in cases if not wanted or any(w in c.__name__ for w in wanted)]
    print(f"1..{len(chosen)}", flush=True)
    for i, case in enumerate(chosen, 1):
        started = time.monotonic()
        name = case.__name__.replace("_", " ")
        try:
            case()
            print(f"ok {i} - {name} # {time.monotonic() - started:.1f} s", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {i} - {name}", flush=True)
            traceback.print_exc()
    sys.exit(1 if failed else 0)
