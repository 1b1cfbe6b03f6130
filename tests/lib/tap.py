"""Reads what test programs print: TAP lines, or nothing but an exit status."""
import re

POINT = re.compile(r"^(not )?ok\b *\d* *-? *(.*?)(?: *# *(SKIP\b *(.*)|.*))?$")


class Point:
    """One test: what it says, how it ended ("passed", "failed", "skipped") and, when skipped, why."""

    def __init__(self, name, outcome, why=""):
        self.name, self.outcome, self.why = name, outcome, why


def parse_line(line):
    """The Point of a line, or None."""
    found = POINT.match(line)
    if not found:
        return None
    failed, name, directive, why = found.groups()
    if directive and directive.upper().startswith("SKIP"):
        return Point(name, "skipped", why or "")
    return Point(name, "failed" if failed else "passed")


def planned(text):
    """How many tests the program said it would run, None if it said nothing."""
    found = re.search(r"^1\.\.(\d+)", text, re.M)
    return int(found[1]) if found else None


def judge(name, text, status):
    """The Points of a finished program. A program that dies in between, or prints fewer than planned, has failed, whatever it printed before."""
    points = [p for p in map(parse_line, text.splitlines()) if p]
    plan = planned(text)
    if not points and status == 77:
        lines = text.strip().splitlines()
        return [Point(name, "skipped", lines[-1] if lines else "it gave no reason")]
    if not points:
        return [Point(name, "passed" if status == 0 and plan in (None, 0) else "failed")]
    if plan is not None and len(points) < plan:
        points.append(Point(f"{name}: only {len(points)} of {plan} tests were run", "failed"))
    elif status != 0 and all(p.outcome != "failed" for p in points):
        points.append(Point(f"{name}: ended with status {status}", "failed"))
    return points
