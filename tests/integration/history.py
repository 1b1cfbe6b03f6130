#!/usr/bin/python3
"""The history by its programs, on folders that stand for machines: versions, warnings, restoring; and a store that is damaged in each page in turn."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from machine import run  # noqa: E402

STAGE = os.environ.get("RAST_STAGE", "")
RAST, DECIDE, INIT = f"{STAGE}/usr/bin/rast", f"{STAGE}/usr/lib/rastos/rast-decide", f"{STAGE}/usr/lib/rastos/rastinit"
SSHD = "[service]\ntype = longrun\nexec = {}\nenvironment = API_TOKEN=hunter2hunter2\n"
PAGE = 4096


class Machine:
    """A root with /etc, a history, and what stage 1 would have written."""

    def __init__(self, folder):
        self.dir, self.root, self.boot, self.attempt = f"{folder}/state", pathlib.Path(folder) / "root", f"{folder}/boot", 0
        (self.root / "etc/rastos/services").mkdir(parents=True)
        self.set("sshd -D", "")

    def set(self, sshd, sysctl):
        (self.root / "etc/rastos/services/sshd.ini").write_text(SSHD.format(sshd))
        (self.root / "etc/sysctl.conf").write_text(sysctl)

    def rast(self, *args, status=0):
        p = subprocess.run([RAST, *args, f"--dir={self.dir}"], capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode == status, (args, p)
        return p.stdout

    def here(self):
        return f"--root={self.root}", f"--boot-file={self.boot}"

    def booted(self, snapshot, result, why=""):
        self.attempt += 1
        pathlib.Path(self.boot).write_text(f"snapshot={snapshot}\nattempt={self.attempt}\nreason=default-tries\n")
        self.rast("history", "record", "--quiet", f"--result={result}", f"--why={why}", *self.here())

    def staged(self, snapshot):
        self.rast("history", "record", "--kind=deploy", f"--snapshot={snapshot}", *self.here())

    def list(self):
        return json.loads(self.rast("history", "list", "--json"))


def a_machine():
    """2 failed with a broken sshd, 1 and 3 are healthy, 4 is staged, 5 has the broken sshd again and is about to have failed three times."""
    folder = tempfile.TemporaryDirectory(prefix="rast-history-")
    m = Machine(folder.name)
    m.keep = folder
    m.booted(1, "good")
    m.set("sshd -X", "a = 1\n")
    for _ in range(3):
        m.booted(2, "failed", "service 'sshd' failed: exit status 255")
    m.set("sshd -D", "")
    m.booted(1, "good")
    m.set("sshd -D", "a = 1\n")
    m.booted(3, "good")
    m.set("sshd -D", "a = 1\nb = 1\n")
    m.staged(4)
    m.set("sshd -X", "a = 1\nb = 1\n")
    m.staged(5)
    return m


def ledger_slot(m):
    """A ledger in which 3 is the last known good one and 5 has used up its tries, as its current slot."""
    path = f"{m.dir}/ledger"
    for args in (("--deploy", "3"), ("--mark", "good", "3"), ("--deploy", "5")):
        subprocess.run([INIT, "--ledger-file", path, *args], check=True, timeout=60)
    data = pathlib.Path(path).read_bytes()
    slots = [data[i * PAGE:(i + 1) * PAGE] for i in range(2)]
    return max(slots, key=lambda s: int.from_bytes(s[16:24], "little"))


def decide(m, slot, store):
    p = subprocess.run([DECIDE, f"--store={store}", "--failed=5", "--otherwise=3", "3", "5", "1", "4"], input=slot, capture_output=True, timeout=60, check=False)
    assert p.returncode == 0, p
    return p.stdout.decode(errors="replace").splitlines()[0]


def the_history_says_what_a_change_resembles_and_never_holds_a_secret():
    m = a_machine()
    risk = json.loads(m.rast("risk", "--staged", "--json", *m.here()))
    assert not risk["changes"] or risk["risk"] <= 1
    m.rast("history", "search", "sshd fails")
    listed = m.list()
    assert [v["outcome"] for v in listed if v["snapshot"] == 2] == ["failed"], listed
    pathlib.Path(m.boot).write_text("snapshot=3\nattempt=9\n")
    warning = m.rast("risk", "--staged", "--warn", *m.here())
    assert "resembles" in warning and "sshd" in warning, warning
    for f in pathlib.Path(m.dir).rglob("*"):
        assert not f.is_file() or b"hunter2" not in f.read_bytes(), f


def a_version_can_be_shown_compared_and_restored_with_the_secrets_that_are_still_there():
    m = a_machine()
    first = m.list()[-1]["version"]
    assert "b" in m.rast("history", "diff", str(first), str(m.list()[0]["version"]))
    shown = m.rast("history", "show", str(first), "/etc/rastos/services/sshd.ini")
    assert "exec = sshd -D" in shown and "secret:" in shown, shown
    m.rast("history", "restore", str(first), f"--etc={m.root}/etc", f"--boot-file={m.boot}")
    text = (m.root / "etc/rastos/services/sshd.ini").read_text()
    assert text == SSHD.format("sshd -D"), text
    (m.root / "etc/rastos/services/sshd.ini").write_text("[service]\nexec = other\n")
    m.rast("history", "restore", str(first), f"--etc={m.root}/etc", status=1)
    m.rast("history", "show", "999", status=4)
    m.rast("history", "diff", "1", "x", status=2)


def a_store_damaged_in_any_page_gives_the_right_answer_or_none():
    m = a_machine()
    slot = ledger_slot(m)
    whole = pathlib.Path(m.dir, "store/data.mdb").read_bytes()
    right = decide(m, slot, f"{m.dir}/store")
    assert right == "chosen 3", right
    answers = set()
    with tempfile.TemporaryDirectory(prefix="rast-damaged-") as d:
        data = pathlib.Path(d, "data.mdb")
        for page in range(len(whole) // PAGE):
            for damage in (lambda b: b"\xff" * len(b), lambda b: bytes(len(b)), lambda b: bytes(x ^ 0x10 for x in b)):
                at = slice(page * PAGE, (page + 1) * PAGE)
                broken = bytearray(whole)
                broken[at] = damage(whole[at])
                data.write_bytes(broken)
                answers.add(decide(m, slot, d).split(" ")[0] if decide(m, slot, d) != right else right)
        for size in (0, 1, PAGE, 2 * PAGE, len(whole) // 2, len(whole) - PAGE):
            data.write_bytes(whole[:size])
            answers.add(decide(m, slot, d).split(" ")[0] if decide(m, slot, d) != right else right)
        data.unlink()
        answers.add(decide(m, slot, d).split(" ")[0])
    assert answers == {right, "none"}, answers


for program in (RAST, DECIDE, INIT):
    if not os.access(program, os.X_OK):
        raise SystemExit(f"{program} is not there: RAST_STAGE names a staged installation")
run([the_history_says_what_a_change_resembles_and_never_holds_a_secret, a_version_can_be_shown_compared_and_restored_with_the_secrets_that_are_still_there,
     a_store_damaged_in_any_page_gives_the_right_answer_or_none])
