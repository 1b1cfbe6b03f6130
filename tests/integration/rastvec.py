#!/usr/bin/env python3
"""rastvec as a user has it: each command does what its help says, and says so by its exit status."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
STAGE = os.environ.get("RAST_STAGE")
RASTVEC = pathlib.Path(STAGE) / "usr/bin/rastvec" if STAGE else pathlib.Path(os.environ.get("RAST_BUILD", TOP / "build")) / "vecstore/tool/rastvec"
OK, FAILED, USAGE, NOT_THERE = 0, 1, 2, 4


class Store:
    """A folder with a store, and rastvec on it."""

    def __init__(self, path):
        self.path = path / "store"

    def run(self, status, *argv, text=None):
        p = subprocess.run([RASTVEC, "--store", self.path, *map(str, argv)], input=text, capture_output=True, text=True, timeout=60, check=False)
        assert p.returncode == status, f"{argv}: exit status {p.returncode} instead of {status}: {p.stdout}{p.stderr}"
        assert status == OK or p.stderr or p.stdout, f"{argv} failed without a word"
        return p.stdout

    def lines(self, *argv):
        return [json.loads(line) for line in self.run(OK, "--json", *argv).splitlines()]

    def fill(self):
        self.run(OK, "create", "c", "--dim", 3)
        for i in range(1, 6):
            self.run(OK, "put", "c", f"r{i}", f"n={i}", "kind=even" if i % 2 == 0 else "kind=odd", "--vector", f"{i},1,0")
        return self


def records_are_written_read_found_and_deleted(s, _):
    s.fill()
    assert [r["id"] for r in s.lines("each", "c")] == ["r1", "r2", "r3", "r4", "r5"]
    assert [r["id"] for r in s.lines("each", "c", "--newest", "--limit", 2)] == ["r5", "r4"]
    assert [r["id"] for r in s.lines("search", "c", "--like", "r1", "-k", 2)] == ["r1", "r2"]
    assert [r["id"] for r in s.lines("search", "c", "--vector", "9 1 0", "--filter", 'kind = "even" and n < 4')] == ["r2"]
    assert s.lines("get", "c", "r3")[0]["meta"] == {"kind": "odd", "n": 3}
    s.run(OK, "delete", "c", "r3")
    s.run(NOT_THERE, "get", "c", "r3")
    s.run(FAILED, "put", "c", "r1", "--vector", "1,2,3", "--mode", "insert")
    s.run(NOT_THERE, "put", "c", "r9", "--vector", "1,2,3", "--mode", "update")


def an_older_version_is_read_until_it_is_purged(s, _):
    s.fill()
    s.run(OK, "put", "c", "r1", "n=100", "--vector", "7,7,7")
    assert s.lines("get", "c", "r1", "--version", 6)[0]["meta"]["n"] == 1
    assert [r["version"] for r in s.lines("history", "c", "r1")] == [7, 2]
    s.run(OK, "tag", "before", 3)
    assert s.lines("tags") == [{"tag": "before", "version": 3}]
    assert s.lines("purge", "--before", 99) == [{"forgotten": 0}]
    s.run(OK, "untag", "before")
    assert s.lines("purge", "--before", 99)[0]["forgotten"] == 1
    s.run(FAILED, "get", "c", "r1", "--version", 6)


def wrong_usage_is_refused_with_status_2_and_what_is_missing_with_4(s, _):
    s.run(NOT_THERE, "list")
    s.fill()
    for argv in (["frob"], ["get", "c"], ["search", "c"], ["search", "c", "--vector", "1,2"], ["search", "c", "--vector", "1,x,2"], ["each", "c", "--filter", "n ="], ["create", "d", "--metric", "x"],
                 ["search", "c", "--like", "r1", "--plan", "x"], ["put", "c", "r1", "=3", "--vector", "1,2,3"], ["purge"], ["watch"], ["tag", "t", "x"], ["create", "bad/name"]):
        s.run(USAGE, *argv)
    for argv in (["each", "none"], ["delete", "c", "none"], ["drop", "none"], ["untag", "none"], ["import", "/nonexistent"], ["backup", "/nonexistent/x"]):
        s.run(NOT_THERE, *argv)


def damage_is_found_and_repaired_and_a_backup_comes_back(s, tmp):
    s.fill()
    s.run(OK, "backup", tmp / "backup")
    s.run(OK, "check")
    data = s.path / "data.mdb"
    good = data.read_bytes()
    assert b"r3\0" in good
    data.write_bytes(good.replace(b"r3\0", b"rX\0"))
    found = s.run(FAILED, "check")
    assert "problem" in found and "page" in found, found
    s.run(OK, "repair")
    s.run(OK, "check")
    assert (s.path / "data.mdb.damaged").exists()
    assert len(s.lines("each", "c")) >= 4
    s.run(FAILED, "restore", tmp / "backup")
    s.run(OK, "restore", tmp / "backup", "--replace")
    assert len(s.lines("each", "c")) == 5
    (tmp / "backup").write_bytes(good[:-4096])
    s.run(FAILED, "restore", tmp / "backup", "--replace")
    assert len(s.lines("each", "c")) == 5


def what_is_exported_is_imported_elsewhere_once(s, tmp):
    s.fill()
    (tmp / "other").mkdir()
    other = Store(tmp / "other")
    lines = s.run(OK, "export")
    assert "6 applied in 6 versions" in other.run(OK, "import", text=lines)
    assert "0 applied in 0 versions" in other.run(OK, "import", text=lines)
    assert [r["meta"] for r in other.lines("each", "c")] == [r["meta"] for r in s.lines("each", "c")]
    s.run(OK, "delete", "c", "r2")
    (tmp / "new").write_text(s.run(OK, "export", "--since", 6))
    other.run(OK, "import", tmp / "new")
    other.run(NOT_THERE, "get", "c", "r2")
    other.run(FAILED, "import", text=lines.replace('"n":4', '"n":5'))


def numpy_arrays_go_out_and_in(s, tmp):
    s.fill()
    s.run(OK, "export-npy", "c", tmp / "a.npy", "--ids", tmp / "ids")
    raw = (tmp / "a.npy").read_bytes()
    assert raw[:6] == b"\x93NUMPY" and len(raw) == 128 + 5 * 12 and b"(5, 3)" in raw
    assert struct.unpack("<3f", raw[128:140]) == (1.0, 1.0, 0.0)
    s.run(OK, "create", "d", "--dim", 3)
    s.run(OK, "import-npy", "d", tmp / "a.npy", "--ids", tmp / "ids")
    assert [r["vector"] for r in s.lines("each", "d", "--vectors")] == [r["vector"] for r in s.lines("each", "c", "--vectors")]
    s.run(OK, "import-npy", "c", tmp / "a.npy", "--ids", tmp / "ids")
    assert s.lines("get", "c", "r3")[0]["meta"] == {"kind": "odd", "n": 3}
    s.run(OK, "create", "e", "--dim", 2)
    s.run(USAGE, "import-npy", "e", tmp / "a.npy")


def an_index_is_built_and_figures_are_told(s, _):
    s.fill()
    assert s.lines("index") == [{"built": 0}]
    assert s.lines("index", "c") == [{"built": 1}]
    assert "graph" not in s.run(OK, "search", "c", "--like", "r1", "--plan", "flat")
    figures = {(f["figure"], f.get("collection")): f["value"] for f in s.lines("stats")}
    assert figures["rows", "c"] == 5 and figures["recall", "c"] == 1 and figures["index_rows", "c"] == 5
    text = s.run(OK, "stats", "--prometheus")
    assert 'rastvec_rows{collection="c"} 5' in text and text.count("# TYPE rastvec_rows ") == 1


def a_threshold_that_is_crossed_is_an_event(s, tmp):
    s.fill()
    (tmp / "t.ini").write_text("[many]\nfigure = rows\ncollection = c\nabove = 4\n[few]\nfigure = rows\nbelow = 1\n")
    out = s.run(FAILED, "watch", "--thresholds", tmp / "t.ini", "--exec", f"cat > {tmp}/event")
    event = json.loads(out)
    assert event["event"] == "many" and event["state"] == "crossed" and event["value"] == 5
    assert json.loads((tmp / "event").read_text()) == event
    s.run(OK, "delete", "c", "r1", "r2")
    assert s.run(OK, "watch", "--thresholds", tmp / "t.ini") == ""
    (tmp / "t.ini").write_text("[x]\nfigure = rows\nabowe = 4\n")
    assert s.run(FAILED, "watch", "--thresholds", tmp / "t.ini") == ""
    (tmp / "t.ini").write_text("[many]\nfigure = rows\ncollection = c\nabove = 2\n")
    with subprocess.Popen([RASTVEC, "--store", s.path, "watch", "--thresholds", tmp / "t.ini", "--follow", "--interval", "50ms"], stdout=subprocess.PIPE, text=True) as p:
        assert json.loads(p.stdout.readline())["state"] == "crossed"
        s.run(OK, "delete", "c", "r3")
        assert json.loads(p.stdout.readline())["state"] == "back"
        p.kill()


def completion_and_help_name_every_command(s, _):
    help_text = s.run(OK, "--help")
    for shell in ("bash", "zsh", "fish"):
        text = s.run(OK, f"--completion={shell}")
        for word in ("search", "export-npy", "repair", "watch"):
            assert word in text and word in help_text, (shell, word)


TESTS = [records_are_written_read_found_and_deleted, an_older_version_is_read_until_it_is_purged, wrong_usage_is_refused_with_status_2_and_what_is_missing_with_4,
         damage_is_found_and_repaired_and_a_backup_comes_back, what_is_exported_is_imported_elsewhere_once, numpy_arrays_go_out_and_in, an_index_is_built_and_figures_are_told,
         a_threshold_that_is_crossed_is_an_event, completion_and_help_name_every_command]


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for i, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory(prefix="rastvec-") as d:
            try:
                test(Store(pathlib.Path(d)), pathlib.Path(d))
                print(f"ok {i} {name}", flush=True)
            except (AssertionError, KeyError, IndexError, ValueError, subprocess.TimeoutExpired) as e:
                failed += 1
                print(f"not ok {i} {name}\n# " + str(e).replace("\n", "\n# "), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
