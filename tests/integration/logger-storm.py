#!/usr/bin/env python3
"""The logger loses and doubles nothing, whenever it is killed.

usage: logger-storm.py [RASTLOGD-FAULTS] [--kills N] [--seconds S]

This program plays rastd and PID 1: it holds the pipes, the control socket and the stage pipe, starts the logger, and kills it. Producers write numbered lines;
afterwards every number has to be in the file exactly once and in order. Everything is in a temporary folder; no privilege is needed."""

import argparse, fcntl, os, random, resource, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from loggerrig import DROP, FLUSH, READY, REFUSED, SYNC_DISK, SYNC_PARTIAL, Rig, check_numbers, readable  # noqa: E402

PRODUCER = r"""
import os, random, sys, time
seed, seconds, report = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
end = time.monotonic() + seconds
n, pending = 0, b""
while time.monotonic() < end:
    for _ in range(r.choice([1, 1, 3, 200])):
        pending += b"%d %s\n" % (n, b"x" * r.choice([0, 1, 7, 60, 500, 3000]))
        n += 1
    while pending:  # written in pieces that know nothing of lines
        k = r.choice([1, 5, 100, 4096, 70000])
        pending = pending[os.write(1, pending[:k]):]
    if r.random() < 0.3:
        time.sleep(r.random() * 0.004)
os.write(report, str(n).encode())
"""


def produce(rig, seconds, seed):
    jobs = []
    for i, (name, (_, write)) in enumerate(rig.pipes.items()):
        back_r, back_w = os.pipe()
        os.set_inheritable(back_w, True)
        p = subprocess.Popen([sys.executable, "-c", PRODUCER, str(seed + i), str(seconds), str(back_w)], stdout=write, pass_fds=[back_w])
        os.close(back_w)
        jobs.append((name, p, back_r))
    return jobs


def finish(jobs):
    counts = {}
    for name, p, back in jobs:
        counts[name] = int(os.read(back, 64))
        os.close(back)
        assert p.wait() == 0
    return counts


def storm(program, seconds, kills, seed):
    """SIGKILL at random moments while six producers write."""
    rig = Rig(program, [f"svc{i}" for i in range(6)], size=4000000, files=99)
    rnd = random.Random(seed)
    try:
        jobs = produce(rig, seconds, seed)
        done = 0
        while any(p.poll() is None for _, p, _ in jobs):
            rig.begin()
            time.sleep(rnd.choice([0, 0.001, 0.003, 0.01, 0.03]) + rnd.random() * 0.004)
            if done >= kills:
                break
            rig.kill()
            done += 1
            while readable(rig.ours):
                rig.receive(1)
        if rig.process.poll() is not None:
            rig.begin()
        counts = finish(jobs)
        rig.sync()
        rig.stop()
        for name, n in counts.items():
            check_numbers(name, rig.lines(name), n, "storm")
        return f"every line is there exactly once and in order after SIGKILL at random ({done} kills, {sum(counts.values())} lines of {len(counts)} services)"
    finally:
        rig.clean()


POINTS = ["journalled", "staged", "part-written", "written", "committed", "consumed", "rotate"]


def crash_points(program):
    """SIGKILL at every point of a batch's way, at its first five times, twice in a row each."""
    total = 0
    for point in POINTS:
        for nth in range(1, 6):
            with Rig(program, ["a", "b"], size=4096, files=99) as rig:
                n = {"a": 0, "b": 0}
                for again in range(2):
                    rig.begin(RAST_CRASH_AT=f"{point}:{nth}")
                    for _ in range(8):
                        for name in n:
                            text = b"".join(b"%d %s\n" % (n[name] + i, b"y" * 40) for i in range(30))
                            n[name] += 30
                            os.write(rig.pipes[name][1], text)
                        time.sleep(0.001)
                    try:
                        rig.process.wait(0.2)
                    except subprocess.TimeoutExpired:
                        rig.kill()
                    total += 1
                rig.begin()
                rig.sync()
                rig.stop()
                for name in n:
                    check_numbers(name, rig.lines(name), n[name], f"crash at {point}:{nth}")
    return f"SIGKILL at every point of a batch loses and doubles nothing ({total} deaths at {len(POINTS)} points)"


def partial_lines(program):
    """An unfinished line waits in its pipe, survives a restart, and is written at FLUSH."""
    with Rig(program, ["p"]) as rig:
        rig.begin()
        os.write(rig.pipes["p"][1], b"whole\nhalf")
        rig.sync()
        assert rig.lines("p") == [b"whole"], rig.lines("p")
        rig.kill()
        rig.begin()
        os.write(rig.pipes["p"][1], b" more")
        rig.sync()
        assert rig.lines("p") == [b"whole"], rig.lines("p")
        rig.send(FLUSH, "p")
        rig.sync()
        assert rig.lines("p") == [b"whole", b"half more"], rig.lines("p")
        os.write(rig.pipes["p"][1], b"end")
        rig.sync(SYNC_PARTIAL | SYNC_DISK)
        assert rig.lines("p")[-1] == b"end"
        os.write(rig.pipes["p"][1], b"last words")
        rig.send(DROP, "p")
        rig.sync()
        assert rig.lines("p")[-1] == b"last words"
        rig.send(FLUSH, "p")
        assert rig.wait_for(REFUSED)[4] == "p"
        rig.stop()
        return "an unfinished line stays in its pipe until FLUSH, through a restart too"


def long_lines(program):
    """A line longer than the pipe, in pieces of any size and in packets, never blocks its writer."""
    with Rig(program, ["l", "packets", "tiny"]) as rig:
        rig.begin()
        big = bytes(random.Random(1).choices(range(32, 127), k=300000)).replace(b"\\", b"/")
        writer = subprocess.Popen([sys.executable, "-c", "import sys,os\nd=sys.stdin.buffer.read()\nwhile d: d=d[os.write(1,d[:5000]):]"], stdin=subprocess.PIPE, stdout=rig.pipes["l"][1])
        writer.communicate(big + b"\n", timeout=40)
        fcntl.fcntl(rig.pipes["packets"][1], fcntl.F_SETFL, os.O_DIRECT)
        for _ in range(40):  # sixteen packets fill a pipe, whatever their size
            os.write(rig.pipes["packets"][1], b"z" * 10)
        os.write(rig.pipes["packets"][1], b"\n")
        fcntl.fcntl(rig.pipes["tiny"][1], 1031, 4096)  # F_SETPIPE_SZ
        for _ in range(40):
            os.write(rig.pipes["tiny"][1], b"t" * 1000)
        os.write(rig.pipes["tiny"][1], b"\n")
        rig.sync()
        for name, want in (("l", big), ("packets", b"z" * 400), ("tiny", b"t" * 40000)):
            lines = rig.lines(name, join=False)
            assert all(l.endswith(b"\\") for l in lines[:-1]), f"{name}: a piece without its mark"
            assert b"".join(l[:-1] for l in lines[:-1]) + lines[-1] == want, f"{name}: the pieces don't make the line"
        rig.stop()
        return "a line longer than its pipe is split with a mark and never blocks its writer"


def large_writes_behind_an_unfinished_line(program):
    """A writer that falls asleep in the middle of its write, behind something that stays in the pipe, wakes nobody by itself: the logger has to see to it."""
    with Rig(program, ["w"], size=1 << 30) as rig:
        rig.begin()
        text = b"".join(b"%d %s\n" % (i, b"z" * (i % 90)) for i in range(60000))
        writer = subprocess.Popen([sys.executable, "-c", "import os, sys, time\nd = sys.stdin.buffer.read()\nk = 1000\n"
                                   "while d:\n n = os.write(1, d[:k])\n d = d[n:]\n k = [100001, 7, 1000003][len(d) % 3]\n time.sleep(0.002)"],
                                  stdin=subprocess.PIPE, stdout=rig.pipes["w"][1])
        writer.communicate(text, timeout=60)
        rig.sync()
        check_numbers("w", rig.lines("w"), 60000, "large writes")
        rig.stop()
        return "a large write behind an unfinished line is read to its end"


def ready_gets_through_a_full_queue(program):
    """rastd was away for long and the queue to it is full: a new logger is heard all the same."""
    with Rig(program, ["r"]) as rig:
        rig.start()
        rig.wait_for(READY)
        for i in range(2000):
            rig.send(FLUSH, f"nobody{i}")
        rig.kill()
        rig.start()
        rig.wait_for(READY)
        rig.add_all()
        os.write(rig.pipes["r"][1], b"0\n")
        rig.sync()
        check_numbers("r", rig.lines("r"), 1, "after READY")
        rig.stop()
        return "a new logger is heard although the queue to rastd was full"


def exchanged_pipe(program):
    """ADD with another pipe empties the old one first; ADD with the same one changes nothing."""
    with Rig(program, ["x"]) as rig:
        rig.begin()
        os.write(rig.pipes["x"][1], b"old\nold tail")
        old = rig.pipes["x"]
        rig.pipes["x"] = os.pipe()
        os.write(rig.pipes["x"][1], b"new\n")
        rig.add_all()
        rig.add_all()
        rig.sync()
        assert rig.lines("x") == [b"old", b"old tail", b"new"], rig.lines("x")
        os.close(old[0]), os.close(old[1])
        rig.stop()
        return "ADD with another pipe writes the old one's lines first"


def small_pipes(program):
    """A user with more pipes than pipe-user-pages-soft gets pipes of two pages, and may not make them larger."""
    if os.geteuid() != 0:
        return "SKIP needs root to be somebody else"
    with tempfile.TemporaryDirectory(prefix="rast-logger-") as d:
        os.chmod(d, 0o755)
        shutil.copy(program, f"{d}/rastlogd")
        for name in ("loggerrig.py", os.path.basename(__file__)):
            shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib" if name == "loggerrig.py" else ".", name), d)
        r = subprocess.run(["setpriv", "--reuid", "64999", "--regid", "64999", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "/usr/bin/python3",
                            f"{d}/{os.path.basename(__file__)}", f"{d}/rastlogd", "--as-limited-user"], capture_output=True, text=True, timeout=60, cwd="/", env={"PATH": "/usr/bin:/bin"})
    assert r.returncode == 0, r.stderr[-3000:]
    return f"with small pipes, too, no line is lost and nobody blocks ({r.stdout.strip()})"


def as_limited_user(program):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    hold = [os.pipe() for _ in range(1100)]
    pipe = os.pipe()
    size = fcntl.fcntl(pipe[0], 1032)  # F_GETPIPE_SZ
    for test in (partial_lines, long_lines, large_writes_behind_an_unfinished_line):
        test(program)
    storm(program, 1, 100, 3)
    print(f"pipes of {size} bytes, {len(hold)} others")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("program", nargs="?", default=os.environ.get("RAST_BUILD", "build") + "/services/logger/rastlogd-faults")
    ap.add_argument("--kills", type=int, default=400)
    ap.add_argument("--seconds", type=float, default=3)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--as-limited-user", action="store_true", help="internal")
    a = ap.parse_args()
    program = os.path.abspath(a.program)
    if a.as_limited_user:
        return as_limited_user(program)
    tests = [partial_lines, long_lines, large_writes_behind_an_unfinished_line, ready_gets_through_a_full_queue, exchanged_pipe, small_pipes, crash_points, lambda p: storm(p, a.seconds, a.kills, a.seed)]
    print(f"1..{len(tests)}", flush=True)
    for i, test in enumerate(tests, 1):
        text = test(program)
        print(f"ok {i} {'# ' if text.startswith('SKIP') else ''}{text}", flush=True)


if __name__ == "__main__":
    main()
