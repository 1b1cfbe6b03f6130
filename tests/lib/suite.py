"""The program behind tests/run: a list of tasks, each a build or a test program, run a few at a time."""
import argparse
import ast
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "qemu"))
sys.path.insert(0, str(TOP / "tests/lib"))
import tap  # noqa: E402
from rastvm import cache  # noqa: E402

OUT = pathlib.Path(os.environ.get("RASTOS_TESTS_OUT") or TOP / "build-tests")
LOGS = OUT / "logs"
CPUS = len(os.sched_getaffinity(0))
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's own programs, whatever else a developer has installed
COMMON = ["--prefix=/usr", "--sysconfdir=/etc"]
# How rastOS is built, and what each way is for.
BUILDS = {
    "release": ["--buildtype=release", "-Doptimization=2", "--werror"],
    "asan": ["--buildtype=debug", "-Doptimization=1", "-Dsanitize=address,undefined"],
    "faults": ["--buildtype=debugoptimized", "-Dfaults=true"],
    "clang": ["--buildtype=debug", "-Doptimization=1", "-Dfuzzers=true", "-Dsanitize=address,undefined"],
}
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99"}
FUZZERS = sorted((TOP / "tests/fuzz").glob("fuzz_*.c"))
FUZZ_SECONDS = 6
UNIT_TIMEOUT, INTEGRATION_TIMEOUT, VM_TIMEOUT = 600, 900, 900


class Suite:
    """What has been run so far, and the children that have to go when we do."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failures, self.children = [], set()
        self.cpu, self.times = threading.local(), {}

    def report(self, group, points, seconds, log):
        with self.lock:
            for p in points:
                self.counts[p.outcome] += 1
                mark = {"passed": "ok     ", "failed": "FAILED ", "skipped": "skipped"}[p.outcome]
                print(f"{mark} {group}: {p.name}" + (f" ({p.why})" if p.why else "") + (f"  [{seconds:.1f} s]" if len(points) == 1 else ""), flush=True)
                if p.outcome == "failed":
                    self.failures.append((f"{group}: {p.name}", log))
            if any(p.outcome == "failed" for p in points) and log.exists():
                lines = log.read_text(errors="replace").splitlines()
                print(f"------- end of {log}\n" + "\n".join(lines[-60:]) + "\n-------", flush=True)

    def run(self, name, argv, timeout, env=None, cwd=TOP):
        """(status, output, log) of a program; its output is kept in a log file. A program that takes too long is killed with its whole process group."""
        log = LOGS / (re.sub(r"[^A-Za-z0-9._-]+", "-", name) + ".log")
        with open(log, "wb") as out:
            p = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                 env={**os.environ, "PATH": PATH, **(env or {})}, start_new_session=True)
            with self.lock:
                self.children.add(p)
            if not _dead_within(p, timeout):
                _kill_group(p)
                out.write(f"\nkilled: no end after {timeout} s\n".encode())
            self.cpu.seconds = getattr(self.cpu, "seconds", 0) + _reap(p)
            with self.lock:
                self.children.discard(p)
        return p.returncode, log.read_text(errors="replace"), log

    def stop(self):
        with self.lock:
            for p in self.children:
                _kill_group(p)


def _dead_within(p, timeout):
    fd = os.pidfd_open(p.pid)
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    dead = waiter.poll(timeout * 1000)
    os.close(fd)
    return dead


def _reap(p):
    """Take a dead child's status; returns the seconds of processor time that it and its children took."""
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _kill_group(p):
    """The session of a child that we started and have not reaped yet."""
    if p.returncode is None:
        os.killpg(p.pid, signal.SIGKILL)


class Task:
    """name: GROUP/WHAT; needs: builds; work(suite): returns nothing, reports to the suite. seconds: about how long, long ones go first."""

    def __init__(self, name, needs, work, seconds=10):
        self.name, self.needs, self.work, self.seconds = name, needs, work, seconds


# --- builds ---
_build_locks = {kind: threading.Lock() for kind in BUILDS}
_built = {}


def build(suite, kind):
    """Configure and compile once; reports as a test of its own. True when it worked."""
    with _build_locks[kind]:
        if kind in _built:
            return _built[kind]
        began = time.monotonic()
        folder, options = OUT / kind, COMMON + BUILDS[kind]
        env = {"CC": "clang"} if kind == "clang" else {}
        stamp = folder / ".options"
        status, log = 0, LOGS / f"build-{kind}.log"
        if not (folder / "build.ninja").exists() or not stamp.exists() or stamp.read_text() != " ".join(options):
            cache.remove(folder)
            status, _, log = suite.run(f"setup-{kind}", ["meson", "setup", folder, TOP, *options], 300, env)
            if status == 0:
                stamp.write_text(" ".join(options))
        if status == 0:
            fuzzers = [f"tests/fuzz/{p.stem}" for p in FUZZERS] if kind == "clang" else []
            status, _, log = suite.run(f"build-{kind}", ["ninja", "-C", folder, f"-j{CPUS}", "all", *fuzzers], 1200)
        _built[kind] = status == 0
        suite.times[f"build/{kind}"] = (time.monotonic() - began, getattr(suite.cpu, "seconds", 0))
        suite.cpu.seconds = 0
        suite.report("build", [tap.Point(f"{kind} ({' '.join(BUILDS[kind])})", "passed" if status == 0 else "failed")], time.monotonic() - began, log)
        return _built[kind]


_staged = {}
_stage_lock = threading.Lock()


def stage(suite, kind):
    """Path of `meson install --destdir` of a build."""
    with _stage_lock:
        if kind not in _staged:
            to = OUT / f"stage-{kind}"
            cache.remove(to)
            status, text, _ = suite.run(f"install-{kind}", ["meson", "install", "-C", OUT / kind, "--no-rebuild", "--destdir", to], 300)
            if status != 0:
                raise cache.Failed(f"meson install of the {kind} build failed: {text[-2000:]}")
            _staged[kind] = to
        return _staged[kind]


# --- tasks ---
def unit_tests(kind):
    def work(suite):
        began = time.monotonic()
        env = dict(SANITIZERS) if kind == "asan" else {}
        status, text, log = suite.run(f"unit-{kind}", ["meson", "test", "-C", OUT / kind, "--no-rebuild", "--num-processes", "1", "--print-errorlogs", "--logbase", "suite"], UNIT_TIMEOUT, env)
        results = OUT / kind / "meson-logs/suite.json"
        points = []
        for line in results.read_text().splitlines() if results.exists() else []:
            one = json.loads(line)
            outcome = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(one["result"], "failed")
            name = one["name"].split(" / ")[-1]
            inner = [p for p in map(tap.parse_line, (one.get("stdout") or "").splitlines()) if p]
            for p in inner:
                p.name = f"{name}: {sentence(p.name)}"
            if not inner or (outcome == "failed" and all(p.outcome != "failed" for p in inner)):
                why = (one.get("stdout") or "no reason given").strip().splitlines()[-1] if outcome == "skipped" else ""
                inner.append(tap.Point(name, outcome, why))
            points += inner
        if not points:
            points = [tap.Point("no unit test was run" if status == 0 and "No tests defined" not in text else "meson test ran nothing", "failed")]
        elif status != 0 and all(p.outcome != "failed" for p in points):
            points.append(tap.Point(f"meson test ended with {status}", "failed"))
        suite.report(f"unit, {kind}", points, time.monotonic() - began, log)
    return Task(f"unit/{kind}", [kind], work, 60)


def sentence(text):
    """Check's "FILE:SUITE:TEST: Passed" as TEST's sentence."""
    found = re.match(r"\S+\.c:(?:.*:)?([a-z0-9_]+): (?:Passed|(.*))$", text)
    return (found[1].replace("_", " ") + (f": {found[2]}" if found[2] else "")) if found else text


def program(group, path, kind, timeout, extra_env=None, seconds=60):
    """A test program of tests/integration, against the installed build."""
    def work(suite):
        began = time.monotonic()
        env = {"RAST_STAGE": str(stage(suite, kind)), "RASTOS_BUILD": str(OUT / kind), "RAST_BUILD": str(OUT / kind), **(extra_env or {})}
        status, text, log = suite.run(f"{group}-{path.stem}-{kind}", [path], timeout, env)
        suite.report(f"{group}, {kind}", [named(path.stem, p) for p in tap.judge(path.stem, text, status)], time.monotonic() - began, log)
    builds = [kind, "faults"] if "crash points" in path.read_text() else [kind]
    return Task(f"{group}/{path.stem}/{kind}", builds, work, seconds)


def named(stem, point):
    point.name = point.name if point.name.startswith(stem) else f"{stem}: {point.name}"
    return point


def vm_test(path, function):
    def work(suite):
        began = time.monotonic()
        env = {"RASTOS_BUILD": str(OUT / "release"), "RASTOS_LOG_DIR": str(LOGS), **images(suite)}
        status, text, log = suite.run(f"vm-{path.stem}-{function}", ["/usr/bin/python3", path, function], VM_TIMEOUT, env)
        suite.report(f"vm, {path.stem.removeprefix('test_')}", tap.judge(function.replace("_", " "), text, status), time.monotonic() - began, log)
    return Task(f"vm/{path.stem}/{function}", ["release"], work, 30)


_images = {}
_image_lock = threading.Lock()


def images(suite):
    """The images are made once; a test finds them through the environment."""
    with _image_lock:
        if not _images:
            os.environ["RASTOS_BUILD"] = str(OUT / "release")
            from rastvm import image, snapshot
            tiny = image.get("tiny", OUT / "release")
            snapshot.gate(tiny, 256, tiny.disk.stat().st_size)
            _images["RASTOS_IMAGE_TINY"] = tiny.reference
        return dict(_images)


def boot_check():
    def work(suite):
        began = time.monotonic()
        status, text, log = suite.run("qemu-boot-check", [TOP / "qemu/boot", "--check"], 1800, {"RASTOS_BUILD": str(OUT / "release")})
        points = [tap.Point(line[8:], "passed" if line.startswith("ok ") else "failed") for line in text.splitlines() if re.match(r"(ok|FAILED)  ", line)]
        if status != 0 and all(p.outcome != "failed" for p in points):
            points.append(tap.Point(f"qemu/boot --check ended with {status}", "failed"))
        suite.report("the Debian image", points, time.monotonic() - began, log)
    return Task("vm/debian/boot", ["release"], work, 90)


def fuzzer(path):
    name = path.stem

    def work(suite):
        began = time.monotonic()
        binary, found, corpus = OUT / "clang/tests/fuzz" / name, OUT / "fuzz" / name, TOP / "tests/fuzz/corpus" / name
        (found / "new").mkdir(parents=True, exist_ok=True)
        argv = [binary, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={found}/", found / "new", corpus]
        status, text, log = suite.run(f"fuzz-{name}", argv, FUZZ_SECONDS * 10 + 60, SANITIZERS)
        runs = re.search(r"Done (\d+) runs", text)
        good = status == 0 and runs and int(runs[1]) > 0
        suite.report("fuzz", [tap.Point(f"{name}, {runs[1] if runs else 'no'} runs, {sum(1 for _ in corpus.iterdir())} in the corpus", "passed" if good else "failed")], time.monotonic() - began, log)
    return Task(f"fuzz/{name}", ["clang"], work, FUZZ_SECONDS + 2)


@functools.cache
def headers_of():
    """Source file -> those of our files that it includes, as the compiler has told ninja."""
    found, name = {}, None
    for line in subprocess.run(["ninja", "-C", OUT / "clang", "-t", "deps"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode().splitlines():
        if not line.startswith("    "):
            name = None
            continue
        path = pathlib.Path(os.path.normpath((OUT / "clang").resolve() / line.strip()))
        if not path.is_relative_to(TOP) or not path.exists():
            continue
        name = name or path  # the source comes before what it includes
        if name.suffix == ".c":
            found.setdefault(name, set()).add(path)
    return found


@functools.cache
def content(path):
    return path.read_bytes()


def tidy_key(f):
    """What decides on the verdict: the file, what it includes, the checks. Without a list of what it includes, all headers."""
    headers = headers_of().get(f) or {p for p in TOP.glob("*/**/*.h") if not p.is_relative_to(OUT)}
    return hashlib.sha256(b"\0".join(str(p.relative_to(TOP)).encode() + b"\0" + content(p) for p in sorted({f, TOP / ".clang-tidy", *headers}))).hexdigest()[:24]


def tidy(files, part, parts):
    """clang-tidy over some of the files. What was clean, with the same headers and checks, is not looked at again."""
    def work(suite):
        began = time.monotonic()
        good = cache.root() / "tidy"
        good.mkdir(exist_ok=True)
        stamps = {f: good / tidy_key(f) for f in files}
        todo = [f for f, s in stamps.items() if not s.exists()]
        points, log = [], LOGS / f"tidy-{part}.log"
        for f in todo:
            status, text, log = suite.run(f"tidy-{f.relative_to(TOP)}", ["clang-tidy", "--quiet", "-p", OUT / "clang", f], 300)
            if status == 0 and "error:" not in text:
                stamps[f].touch()
            else:
                points.append(tap.Point(str(f.relative_to(TOP)), "failed"))
                suite.report("clang-tidy", points[-1:], time.monotonic() - began, log)
        if not points:
            suite.report("clang-tidy", [tap.Point(f"part {part} of {parts}, {len(files)} files, {len(files) - len(todo)} unchanged", "passed")], time.monotonic() - began, log)
    return Task(f"tidy/{part}", ["clang"], work, 5 * len(files))


def c_files():
    tracked = subprocess.run(["git", "-C", str(TOP), "ls-files", "*.c"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode().split()
    found = [TOP / f for f in tracked] or [p for p in TOP.glob("*/**/*.c") if not p.is_relative_to(OUT) and ".cache" not in p.parts]
    return sorted(f for f in found if f.exists())


def compiled(files):
    """Those that the clang build compiles; others (a bench's, say) are not checked."""
    return [f for f in files if f.relative_to(TOP).parts[0] in ("base", "init", "supervisor", "services", "storage", "runtime", "vecstore")]


def functions_of(path):
    """Names of a VM test file's tests, without running it: functions whose names are sentences, and which take nothing (vmtest.run does the same)."""
    tree = ast.parse(path.read_text())
    return [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and "_" in n.name and not n.name.startswith("_") and not (n.args.args or n.args.vararg)]


def all_tasks():
    tasks = [unit_tests(kind) for kind in ("release", "asan", "faults")]
    for path in sorted((TOP / "tests/integration").iterdir()):
        if path.is_file() and path.read_bytes()[:2] == b"#!":  # others are helpers; a program without its x bit is run all the same, and fails
            tasks += [program("integration", path, "release", INTEGRATION_TIMEOUT, seconds=120), program("integration", path, "asan", INTEGRATION_TIMEOUT, SANITIZERS, seconds=180)]
    for path in sorted((TOP / "tests/vm").glob("test_*.py")):
        tasks += [vm_test(path, f) for f in functions_of(path)]
    tasks.append(boot_check())
    tasks += [fuzzer(path) for path in FUZZERS]
    files = compiled(c_files())
    parts = max(1, len(files) // 12)
    tasks += [tidy(files[i::parts], i + 1, parts) for i in range(parts)]
    return tasks


def arguments():
    p = argparse.ArgumentParser(prog="tests/run", formatter_class=argparse.RawDescriptionHelpFormatter, description="""Builds rastOS (release with warnings as errors, with sanitizers, with fault injection, with clang) and runs its tests:
unit tests, integration tests on this machine in namespaces of their own, VM tests, a short run of each fuzzer, clang-tidy.
The last line says `N passed, N failed, N skipped`; the exit status is 1 when one has failed. Logs are in build-tests/logs.""")
    p.add_argument("--only", metavar="PATTERN", action="append", help="run only tasks whose name matches this regular expression, e.g. 'vm/' or 'unit/asan'; may be repeated")
    p.add_argument("--list", action="store_true", help="print the tasks' names")
    p.add_argument("--jobs", type=int, default=max(2, CPUS), metavar="N", help="how many at a time (default %(default)s)")
    p.add_argument("--no-vm", action="store_true", help="leave the VM tests out")
    args = p.parse_args()
    if args.jobs < 1:
        p.error("--jobs: at least one at a time")
    for pattern in args.only or ():
        try:
            re.compile(pattern)
        except re.error as e:
            p.error(f"--only: '{pattern}' is no regular expression: {e}")
    return args


def wanted(tasks, args):
    chosen = [t for t in tasks if not args.only or any(re.search(o, t.name) for o in args.only)]
    return [t for t in chosen if not (args.no_vm and t.name.startswith("vm/"))]


def run_task(suite, task):
    suite.cpu.seconds = 0
    began = time.monotonic()
    try:
        if all([build(suite, kind) for kind in task.needs]):
            task.work(suite)
        else:
            suite.report(task.name.split("/")[0], [tap.Point(f"{task.name}: not run, its build failed", "failed")], 0, LOGS / f"build-{task.needs[0]}.log")
    except Exception as e:  # pylint: disable=broad-except
        suite.report(task.name.split("/")[0], [tap.Point(f"{task.name}: {e}", "failed")], time.monotonic() - began, LOGS / "none")
    suite.times[task.name] = (time.monotonic() - began, suite.cpu.seconds)


def last_times():
    """What each task took in the last run: the longest begin first, so that none runs alone at the end."""
    try:
        return json.loads((OUT / "times.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def print_times(suite, longest=12):
    """Where the time went: seconds of the clock and of the processors, per group, and of the tasks that took longest."""
    (OUT / "times.json").write_text(json.dumps({**last_times(), **suite.times}))
    groups = {}
    for name, (wall, cpu) in suite.times.items():
        before = groups.setdefault(name.split("/")[0], [0, 0, 0])
        groups[name.split("/")[0]] = [before[0] + wall, before[1] + cpu, before[2] + 1]
    print("\n  elapsed processor")
    for name, (wall, cpu, n) in sorted(groups.items(), key=lambda g: -g[1][0]):
        print(f"{wall:7.0f} s {cpu:7.0f} s  {name} ({n})")
    for name, (wall, cpu) in sorted(suite.times.items(), key=lambda t: -t[1][0])[:longest]:
        print(f"{wall:7.1f} s {cpu:7.1f} s  {name}")


def main():
    args = arguments()
    tasks = wanted(all_tasks(), args)
    if args.list:
        print("\n".join(t.name for t in tasks))
        return 0
    if not tasks:
        sys.exit(f"tests/run: nothing matches {args.only} (tests/run --list names all)")
    LOGS.mkdir(parents=True, exist_ok=True)
    suite = Suite()
    began = time.monotonic()
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    try:
        for kind in [k for k in BUILDS if any(k in t.needs for t in tasks)]:
            build(suite, kind)  # each gets the whole machine: a task that waits for another's build would keep a place for nothing
        known = last_times()
        futures = [pool.submit(run_task, suite, t) for t in sorted(tasks, key=lambda t: -known.get(t.name, [t.seconds])[0])]
        concurrent.futures.wait(futures)
    except KeyboardInterrupt:
        suite.stop()
        os._exit(130)  # tasks in other threads would go on to their next program
    print_times(suite)
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    print(f"\n{minutes} min {seconds} s")
    for name, log in suite.failures:
        print(f"failed: {name}\n        {log}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**suite.counts))
    return 1 if suite.counts["failed"] else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    sys.exit(main())
