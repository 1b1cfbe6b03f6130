#!/usr/bin/python3
"""The boot ledger by its tool, on a file system of its own: a full disk, and many writers at once."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from machine import run  # noqa: E402

INIT = os.environ.get("RAST_INIT") or os.environ.get("RAST_STAGE", "") + "/usr/lib/rastos/rastinit"


def tool(path, *args):
    return subprocess.run([INIT, "--ledger-file", path, *args], capture_output=True, text=True, timeout=60, check=False)


def shown(path):
    return json.loads(tool(path, "--ledger", "show", "--json").stdout)


def on_a_full_disk(script):
    """Run a shell script with $top a btrfs that has no room left, in a mount namespace of its own; returns its output."""
    with tempfile.TemporaryDirectory(prefix="rast-ledger-") as d:
        subprocess.run(["truncate", "-s", "130M", f"{d}/img"], check=True)
        subprocess.run(["mkfs.btrfs", "-q", f"{d}/img"], check=True, capture_output=True)
        os.mkdir(f"{d}/top")
        whole = f"""set -e; mount -o loop {d}/img {d}/top; top={d}/top; led="{INIT} --ledger-file $top/x/ledger"; mkdir $top/x; $led --deploy 1
            dd if=/dev/zero of=$top/fill bs=64k 2>/dev/null || true
            if echo x > $top/more 2>/dev/null && [ -s $top/more ]; then dd if=/dev/zero of=$top/fill2 bs=1 count=100000 2>/dev/null || true; fi
            {script}
            umount $top"""
        p = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", whole], capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode == 0, p
        return p.stdout


def a_full_disk_does_not_keep_a_boot_from_being_recorded():
    out = on_a_full_disk("i=0; while [ $i -lt 40 ]; do $led --mark failed 1; $led --mark good 1; i=$((i+1)); done; $led --ledger show --json")
    assert json.loads(out)["deployments"][0]["goods"] == 40


def writers_at_the_same_time_lose_nothing_of_each_other():
    with tempfile.TemporaryDirectory(prefix="rast-ledger-") as d:
        path = f"{d}/ledger"
        script = f"i=0; while [ $i -lt 15 ]; do for r in failed good; do {INIT} --ledger-file {path} --mark $r $1 || exit 1; done; i=$((i+1)); done"
        writers = [subprocess.Popen(["sh", "-c", script, "sh", str(s)]) for s in range(6)]
        assert [w.wait(120) for w in writers] == [0] * 6
        assert {e["snapshot"]: e["goods"] for e in shown(path)["deployments"]} == {s: 15 for s in range(6)}


def the_tool_says_what_was_wrong():
    with tempfile.TemporaryDirectory(prefix="rast-ledger-") as d:
        path = f"{d}/ledger"
        missing = tool(path, "--ledger", "show")
        assert missing.returncode == 1 and "there is no boot ledger" in missing.stderr
        for args in (("--mark", "splendid", "1"), ("--mark", "good"), ("--mark", "good", "x"), ("--deploy", "-1"), ("--ledger", "burn"), ()):
            assert tool(path, *args).returncode == 2, args
        assert tool(path, "--deploy", "7").returncode == 0 and tool(path, "--deploy", "8", "--once").returncode == 0
        now = shown(path)
        assert (now["default"], now["once"], now["last_good"]) == (7, 8, None)
        assert tool(path, "--mark", "good", "7").returncode == 0
        before = pathlib.Path(path).read_bytes()
        assert tool(path, "--mark", "left", "7").returncode == 0 and pathlib.Path(path).read_bytes() == before, "judged already: nothing is written"
        data = bytearray(before)
        data[100] ^= 1
        data[4196] ^= 1
        pathlib.Path(path).write_bytes(data)
        broken = tool(path, "--ledger", "show")
        assert broken.returncode == 1 and "both slots are damaged" in broken.stderr


if not os.access(INIT, os.X_OK):
    raise SystemExit(f"{INIT} is not there: RAST_STAGE names a staged installation, or RAST_INIT the program")
run([a_full_disk_does_not_keep_a_boot_from_being_recorded, writers_at_the_same_time_lose_nothing_of_each_other, the_tool_says_what_was_wrong])
