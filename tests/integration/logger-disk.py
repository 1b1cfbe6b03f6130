#!/usr/bin/env python3
"""A disk that can't be written neither blocks a service nor loses what fits into /run.

usage: logger-disk.py [RASTLOGD-FAULTS]

Needs root for a private mount namespace with small tmpfs in it; without, it is skipped."""

import os, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from loggerrig import TROUBLE, Rig, check_numbers, readable  # noqa: E402

DISK = "/run/rast-test-disk"


class Disk:
    """A small file system, and a file that fills it."""

    def __init__(self, kib):
        os.makedirs(DISK, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", DISK], check=True)
        self.log_dir, self.filler = f"{DISK}/log", f"{DISK}/filler"

    def fill(self):
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def free(self):
        os.unlink(self.filler)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", DISK], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", DISK], check=True)


def write_numbers(rig, name, first, n, pad=40):
    data = b"".join(b"%d %s\n" % (i, b"p" * pad) for i in range(first, first + n))
    end = time.monotonic() + 20
    while data:
        data = data[os.write(rig.pipes[name][1], data[:30000]):]
        assert time.monotonic() < end, "the service was blocked"


def spare_files(rig):
    folder = os.path.join(rig.run_dir, "log")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def wait_moved_back(rig, name):
    end = time.monotonic() + 10
    while True:
        kind, _, error, lost, who = rig.receive(max(0.1, end - time.monotonic()))
        if kind == TROUBLE and who == name and error == 0:
            return lost


def full_disk_and_back():
    with Disk(512) as disk, Rig(PROGRAM, ["s"], log_dir=disk.log_dir) as rig:
        rig.begin()
        write_numbers(rig, "s", 0, 100)
        rig.sync()
        disk.fill()
        write_numbers(rig, "s", 100, 3000)
        rig.sync()
        assert any(e[0] == TROUBLE and e[2] < 0 for e in rig.events), "rastd was not told"
        assert spare_files(rig), "nothing is kept in the run folder"
        disk.free()
        assert wait_moved_back(rig, "s") == 0
        write_numbers(rig, "s", 3100, 100)
        rig.sync()
        rig.stop()
        assert spare_files(rig) == [], spare_files(rig)
        check_numbers("s", rig.lines("s"), 3200, "full disk")


def killed_while_moving_back():
    for point in ("moving", "moved"):
        for nth in (1, 2):
            with Disk(1024) as disk, Rig(PROGRAM, ["s"], log_dir=disk.log_dir) as rig:
                rig.begin()
                write_numbers(rig, "s", 0, 10)
                rig.sync()
                disk.fill()
                write_numbers(rig, "s", 10, 4500)
                rig.sync()
                rig.kill()
                disk.free()
                rig.begin(RAST_CRASH_AT=f"{point}:{nth}")
                assert rig.process.wait(10) == -9, f"it did not come by {point}:{nth}"
                rig.begin()
                write_numbers(rig, "s", 4510, 10)
                rig.wait_for(64)
                end = time.monotonic() + 10
                while spare_files(rig) and time.monotonic() < end:
                    time.sleep(0.05)
                rig.sync()
                rig.stop()
                check_numbers("s", rig.lines("s"), 4520, f"killed at {point}:{nth}")


def beyond_the_bounds_lines_are_counted():
    with Disk(2048) as disk, Rig(PROGRAM, ["s"], size=1 << 30, log_dir=disk.log_dir) as rig:
        rig.begin()
        write_numbers(rig, "s", 0, 10)
        rig.sync()
        disk.fill()
        write_numbers(rig, "s", 10, 20000)
        rig.sync()
        disk.free()
        lost = wait_moved_back(rig, "s")
        rig.sync()
        rig.stop()
        lines = rig.lines("s")
        numbers = [int(l.split()[0]) for l in lines if not l.startswith(b"[")]
        notes = [l for l in lines if l.startswith(b"[")]
        assert lost > 0 and len(numbers) + lost == 20010, (lost, len(numbers))
        assert notes == [b"[rastlogd: %d lines are missing here: they could not be written]" % lost], notes
        assert numbers == sorted(set(numbers)) and numbers[-1] == 20009, "the newest have to be kept"


def read_only_disk():
    with Disk(1024) as disk, Rig(PROGRAM, ["s"], log_dir=disk.log_dir) as rig:
        os.makedirs(disk.log_dir)
        disk.remount("ro")
        rig.begin()
        write_numbers(rig, "s", 0, 100)
        rig.sync()
        assert spare_files(rig) == ["s.log"], spare_files(rig)
        disk.remount("rw")
        wait_moved_back(rig, "s")
        rig.stop()
        check_numbers("s", rig.lines("s"), 100, "read-only disk")


def log_folder_that_cannot_be_made():
    with Rig(PROGRAM, ["s"], log_dir="/proc/no/such") as rig:
        rig.begin()
        write_numbers(rig, "s", 0, 50)
        rig.sync()
        rig.stop()
        rig.log_dir = os.path.join(rig.run_dir, "log")
        check_numbers("s", rig.lines("s"), 50, "no log folder")


def own_oldest_files_go_first():
    with Disk(400) as disk, Rig(PROGRAM, ["s"], size=65536, files=50, log_dir=disk.log_dir) as rig:
        rig.begin()
        write_numbers(rig, "s", 0, 20000)
        rig.sync()
        rig.stop()
        numbers = [int(l.split()[0]) for l in rig.lines("s")]
        assert spare_files(rig) == [], spare_files(rig)
        assert numbers[-1] == 19999 and numbers == list(range(numbers[0], 20000)), "a hole in what is left"


def each_system_call_may_fail_once():
    """One failure anywhere, then all is well: every line is there once, nothing waits, nobody was blocked."""
    for call in ("openat", "pwrite", "renameat", "unlinkat", "ftruncate", "pread", "mkdirat", "mmap"):
        for nth in (1, 2, 4, 7):
            # On a full disk a service's own oldest file goes first, as it should: a test of pwrite must have none.
            with Rig(PROGRAM, ["s", "t"], size=1 << 20 if call == "pwrite" else 8192, files=99) as rig:
                for error in ("ENOSPC", "EIO"):  # the second logger takes over from the first
                    rig.start(RAST_FAULT=f"{call}:{nth}:{error}")
                    end = time.monotonic() + 5
                    while rig.process.poll() is None and not readable(rig.ours) and time.monotonic() < end:
                        time.sleep(0.001)
                    if rig.process.poll() == 1:  # it could not even begin: rastd starts it again
                        rig.begin()
                    first = 0 if error == "ENOSPC" else 200
                    for k in range(first, first + 200, 20):
                        write_numbers(rig, "s", k, 20)
                        write_numbers(rig, "t", k, 20, pad=0)
                    rig.sync()
                    rig.stop()
                rig.start()
                end = time.monotonic() + 10
                rig.add_all()
                while spare_files(rig) and time.monotonic() < end:
                    time.sleep(0.02)
                rig.sync()
                rig.stop()
                for name in ("s", "t"):
                    check_numbers(name, rig.lines(name), 400, f"{call} fails at its {nth}. time")


TESTS = [full_disk_and_back, killed_while_moving_back, beyond_the_bounds_lines_are_counted, read_only_disk, log_folder_that_cannot_be_made, each_system_call_may_fail_once, own_oldest_files_go_first]

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(0)
    if os.environ.get("RAST_TEST_NAMESPACE") != "1":
        os.environ["RAST_TEST_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("RAST_BUILD", "build") + "/services/logger/rastlogd-faults")
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    print(f"1..{len(TESTS)}", flush=True)
    for i, test in enumerate(TESTS, 1):
        test()
        print(f"ok {i} {test.__name__}", flush=True)
