#!/usr/bin/env python3
"""The man pages say what the programs' own tables say, and are clean for groff.

usage: man-pages.py [--update]

A page has what PROGRAM --help-man prints between two marks; --update puts it there anew. The build is RAST_BUILD, or build/."""

import os, re, shutil, subprocess, sys, tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.environ.get("RAST_BUILD", os.path.join(TOP, "build"))
MARK = re.compile(r'(\.\\" begin: (\S+) --help-man\n)(.*?)(\.\\" end\n)', re.S)
PROGRAMS = {"rast-decide": "vecstore/decide/rast-decide", "rast": "storage/rast/rast", "rastvec": "vecstore/tool/rastvec", "rastrun": "runtime/rastrun", "rastctl": "supervisor/ctl/rastctl", "rastlogd": "services/logger/rastlogd", "shutdown": "supervisor/ctl/rastctl", "reboot": "supervisor/ctl/rastctl",
            "telinit": "supervisor/ctl/rastctl", "rastd": "supervisor/rastd", "rastinit": "init/rastinit"}


def help_man(program):
    """What the program prints under this name."""
    with tempfile.TemporaryDirectory(prefix="rast-man-") as d:
        link = os.path.join(d, program)
        os.symlink(os.path.join(os.path.abspath(BUILD), PROGRAMS[program]), link)
        return subprocess.run([link, "--help-man"], capture_output=True, text=True, check=True, timeout=20).stdout


def missing_options(program, text):
    """For a page that is written by hand: every option and command of the program has to be in it."""
    items = help_man(program).split(".TP\n")
    words = [w for item in items if "\ninternal:" not in item for w in re.findall(r"\\fB(?:\\-\\-)?([a-z][^\s,=]*)\\fR", item)]
    plain = text.replace("\\-", "-")
    return [f"{w} of {program} --help is not in the page" for w in (word.replace("\\-", "-") for word in words) if w not in plain]


def check(path, update):
    with open(path) as f:
        text = f.read()
    program = os.path.basename(path)[:-2]
    if text.startswith(".so "):
        target = os.path.join(os.path.dirname(path), os.path.basename(text.split()[1]))
        return [] if os.path.exists(target) else [f"{target} is not there"]
    problems = missing_options(program, text) if program in PROGRAMS and not MARK.search(text) else []

    def fill(m):
        want = help_man(m[2])
        if m[3] != want and not update:
            missing = [line for line in want.splitlines() if line not in m[3].splitlines()]
            problems.append(f"{m[2]} --help-man has changed; run {os.path.basename(__file__)} --update. New: {missing[:5]}")
        return m[1] + want + m[4]

    new = MARK.sub(fill, text)
    if update and new != text:
        with open(path, "w") as f:
            f.write(new)
    if shutil.which("groff"):
        macros = "-mdoc" if ".Dd" in text else "-man"
        r = subprocess.run(["groff", macros, "-ww", "-b", "-z", "-Tutf8", path], capture_output=True, text=True, timeout=60, cwd=os.path.dirname(path) + "/..")
        problems += r.stderr.splitlines()
    return problems


def main():
    folder = os.path.join(TOP, "docs", "man")
    pages = sorted(p for p in os.listdir(folder) if re.fullmatch(r".*\.[1-8]", p))
    print(f"1..{len(pages)}", flush=True)
    failed = 0
    for i, page in enumerate(pages, 1):
        problems = check(os.path.join(folder, page), "--update" in sys.argv)
        failed += bool(problems)
        print(f"{'not ' if problems else ''}ok {i} {page} says what the programs say", flush=True)
        for p in problems:
            print(f"# {p}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
