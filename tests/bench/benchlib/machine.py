"""One run: a supervisor as PID 1 of nsrun's namespaces, and what the host can see of it."""

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from .page import Page

CGROUP2 = "/sys/fs/cgroup/unified", "/sys/fs/cgroup"


def cgroup_root():
    """Where this host has cgroup2, or None."""
    for path in CGROUP2:
        if os.path.exists(path + "/cgroup.procs"):
            return path
    return None


def read(path):
    with open(path, "rb") as f:
        return f.read().decode(errors="replace")


def smaps_pss_kb(pid):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def switches(pid):
    """Context switches of all of a process's threads."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        for line in read(f"/proc/{pid}/task/{tid}/status").splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


class Machine:
    """A private machine. Fill self.dir (which is its /bench; self.dir/etc is its /etc), then run()."""

    def __init__(self, helpers, layers=()):
        self.helpers = helpers
        self.layers = layers
        self.dir = tempfile.mkdtemp(prefix="rastbench-", dir="/dev/shm")
        os.chmod(self.dir, 0o755)
        self.cgroup = f"{cgroup_root()}/{os.path.basename(self.dir)}"
        self.proc = None
        self.log = self.dir + "/log"
        shutil.copy(helpers + "/bench-stamp", self.dir + "/stamp")
        shutil.copy(helpers + "/bench-floor", self.dir + "/floor")
        self.page = Page(self.dir + "/page")
        self._etc()

    def _etc(self):
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n")
        self.write("etc/group", "root:x:0:\ntty:x:5:\nadm:x:4:\nutmp:x:43:\nuucp:x:10:\nlog:x:44:\nmessagebus:x:100:\nnogroup:x:65534:\n")
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        self.write("etc/hostname", "bench\n")
        self.write("etc/fstab", "")
        self.write("etc/machine-id", "00000000000000000000000000000b00\n")
        self.write("etc/os-release", 'ID=bench\nNAME=bench\nVERSION_ID=1\n')

    def write(self, path, text, mode=0o644):
        full = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)
        os.chmod(full, mode)

    def run(self, argv, target):
        self.page.target = target
        os.mkdir(self.cgroup)
        self.proc = subprocess.Popen([self.helpers + "/bench-nsrun", self.cgroup, self.dir, ":".join(self.layers), "/bench/log", *argv],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.pid1 = int(self.proc.stdout.readline())

    def wait_done(self, timeout):
        """Until the target is reached. False: it was not, within the time or before PID 1 ended."""
        end = time.monotonic() + timeout
        while not self.page.done_ns:
            if time.monotonic() > end or self.proc.poll() is not None:
                return False
            time.sleep(0.005)
        return True

    def wall_ms(self):
        return (self.page.done_ns - self.page.begin_ns) / 1e6

    def cpu_ms(self):
        """CPU time of everything inside, from the exec of PID 1 on; processes that have ended included."""
        for line in read(self.cgroup + "/cpu.stat").splitlines():
            if line.startswith("usage_usec"):
                return (int(line.split()[1]) - self.page.begin_cpu_us) / 1e3
        return 0.0

    def settle(self, timeout=20):
        """Until a quarter of a second has gone by with next to no CPU time used: what was begun is done."""
        end = time.monotonic() + timeout
        last = self.cpu_ms()
        while time.monotonic() < end:
            time.sleep(0.25)
            now = self.cpu_ms()
            if now - last < 0.5:
                return
            last = now

    def pids(self):
        """Host pids of all processes inside."""
        found = []
        for folder, _, _ in os.walk(self.cgroup):
            try:
                found += [int(p) for p in read(folder + "/cgroup.procs").split()]
            except FileNotFoundError:
                pass
        return found

    def split(self):
        """(supervisor's processes, stamps: {pid inside: pid on the host})"""
        ours, stamps = [], {}
        stamp = os.stat(self.dir + "/stamp")
        for pid in self.pids():
            try:
                exe = os.stat(f"/proc/{pid}/exe")
                if (exe.st_dev, exe.st_ino) == (stamp.st_dev, stamp.st_ino):
                    nspid = [l for l in read(f"/proc/{pid}/status").splitlines() if l.startswith("NSpid:")][0].split()[-1]
                    stamps[int(nspid)] = pid
                else:
                    ours.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return ours, stamps

    def pss_kb(self):
        """(all of the supervisor's processes, PID 1 alone, how many processes)"""
        ours, _ = self.split()
        return sum(smaps_pss_kb(p) for p in ours), smaps_pss_kb(self.pid1), len(ours)

    def run_kb(self):
        """What the tmpfs on /run holds."""
        fs = os.statvfs(f"/proc/{self.pid1}/root/run")
        return (fs.f_blocks - fs.f_bfree) * fs.f_frsize // 1024

    def wakeups(self, seconds):
        """Context switches in so many seconds, beginning as soon as all has settled."""
        ours, _ = self.split()
        before = {p: switches(p) for p in ours}
        time.sleep(seconds)
        return sum(switches(p) - n for p, n in before.items() if os.path.exists(f"/proc/{p}"))

    def restart_ms(self, times, timeout=5):
        """Median time from SIGKILL of a service to its new process's stamp; every service is killed once only. None: not restarted."""
        _, stamps = self.split()
        taken = []
        for i in range(times):
            starts, pid, _ = self.page.slot(i)
            if pid not in stamps:
                continue
            killed = time.monotonic_ns()
            os.kill(stamps[pid], signal.SIGKILL)
            end = time.monotonic() + timeout
            while self.page.slot(i)[0] == starts and time.monotonic() < end:
                time.sleep(0.002)
            if self.page.slot(i)[0] == starts:
                return None
            taken.append((self.page.slot(i)[2] - killed) / 1e6)
            time.sleep(0.02)
        return statistics.median(taken) if taken else None

    def end(self):
        """Everything inside ends; nothing of it stays on the host."""
        if self.proc:
            self.proc.terminate()
            self.proc.wait()
            self.proc.stdout.close()
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                for _ in range(200):
                    try:
                        os.rmdir(folder)
                        break
                    except OSError:
                        time.sleep(0.01)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()
