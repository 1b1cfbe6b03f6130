#!/usr/bin/python3
"""rastd without PID 1: what it can't do it says, and when it is killed the next one loses no service and no line."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

STAGE = os.environ.get("RAST_STAGE", "")
COUNT = "[service]\ntype = longrun\nexec = sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done'\n"


class Standalone:
    """In PID and mount namespaces of its own, which end with it."""

    def __init__(self, **services):
        self.dir = tempfile.mkdtemp(prefix="rast-alone-")
        for d in ("run", "log", "services", "enabled"):
            os.mkdir(f"{self.dir}/{d}")
        self.put("rastlogd", f"[service]\ntype = longrun\nexec = {STAGE}/usr/lib/rastos/rastlogd --log-dir {self.dir}/log --run-dir {self.dir}/run\noutput = inherit\n[restart]\nlimit = infinity\ndelay = 10ms\n")
        self.put("default", "[service]\ntype = bundle\n[dependencies]\ncontents = " + " ".join(services) + "\n")
        for name, text in services.items():
            self.put(name, text)
        self.space = subprocess.Popen(["unshare", "--pid", "--mount", "--fork", "--kill-child=SIGKILL", "--mount-proc", "sh", "-c", "while :; do sleep 1000; done"])
        self.inner = Machine.until(lambda: self.children(), 20)[0]
        self.rastd = None

    def children(self):
        try:
            with open(f"/proc/{self.space.pid}/task/{self.space.pid}/children") as f:
                return [int(x) for x in f.read().split()]
        except FileNotFoundError:
            return []

    def put(self, name, text):
        with open(f"{self.dir}/services/{name}.ini", "w") as f:
            f.write(text)

    def inside(self, *words):
        return ["nsenter", "-t", str(self.inner), "-p", "-m", *words]

    def start(self):
        d = self.dir
        self.log = open(f"{d}/out", "ab")
        self.rastd = subprocess.Popen(self.inside(f"{STAGE}/usr/lib/rastos/rastd", "--standalone", "--no-cgroup", "--run-dir", f"{d}/run", "--config-dir", f"{d}/services", "--enabled-dir", f"{d}/enabled",
                                                  "--log-dir", f"{d}/log", "--cmdline", "/dev/null"), stdout=self.log, stderr=self.log)
        Machine.until(lambda: self.ctl("wait", "--timeout", "5").returncode == 0, 30, lambda: open(f"{d}/out").read())

    def ctl(self, *words):
        return subprocess.run(self.inside(f"{STAGE}/usr/bin/rastctl", "--run-dir", f"{self.dir}/run", "--log-dir", f"{self.dir}/log", *words), capture_output=True, text=True, timeout=30)

    def service(self, name):
        r = json.loads(self.ctl("status", name, "--json").stdout)
        return (r[0] if isinstance(r, list) else r)["service"]

    def kill(self):
        """The child of nsenter is rastd."""
        with open(f"/proc/{self.rastd.pid}/task/{self.rastd.pid}/children") as f:
            os.kill(int(f.read().split()[0]), signal.SIGKILL)
        self.rastd.wait()

    def numbers(self, name):
        path = f"{self.dir}/log/{name}.log"
        return [int(line.split()[-1]) for line in open(path)] if os.path.exists(path) else []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            sys.stderr.write(open(f"{self.dir}/out").read() + self.ctl("list").stdout)
        self.space.kill()
        self.space.wait()
        if self.rastd:
            self.rastd.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def reexec_is_refused_with_the_reason():
    with Standalone(a=COUNT) as s:
        s.start()
        r = s.ctl("reexec")
        assert r.returncode == 1 and "--standalone" in r.stderr and "can't be replaced" in r.stderr, r
        assert s.service("a")["state"] == "up"


def the_next_one_takes_over_services_and_their_output():
    with Standalone(a=COUNT, c=COUNT) as s:
        s.start()
        pids = [s.service(n)["pid"] for n in "ac"]
        for _ in range(3):
            n = [len(s.numbers(name)) for name in "ac"]  # while the logger changes, rastd alone holds the pipes: not then
            Machine.until(lambda: all(len(s.numbers(name)) > k + 5 for name, k in zip("ac", n)), 20)
            s.kill()
            time.sleep(0.3)
            s.start()
        assert [s.service(n)["pid"] for n in "ac"] == pids
        n = len(s.numbers("a"))
        Machine.until(lambda: len(s.numbers("a")) > n + 20, 20, "nothing more is logged")
        for name in "ac":
            got = s.numbers(name)
            assert got == list(range(len(got))), f"{name}: {got}"
        s.put("b", "[service]\ntype = longrun\nexec = sh -c 'echo 7; exec sleep 1000'\n")
        assert s.ctl("apply").returncode == 0 and s.ctl("start", "b").returncode == 0
        Machine.until(lambda: s.numbers("b") == [7], 20, "what is started later is not logged")


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name])
