"""Tables in Markdown, so that they can be pasted into a document."""


def markdown(head, rows):
    rows = [[str(c) for c in row] for row in rows]
    width = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(c.ljust(width[i]) if i == 0 else c.rjust(width[i]) for i, c in enumerate(r)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (w + 2) for w in width) + "|"] + [line(r) for r in rows])


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(value, base):
    return "-" if value is None or not base else f"{value / base:.2f}"


def least_cpu(results, kind, prefix):
    found = [r["jobs"][kind]["cpu_ms"] for name, r in results.items() if name.startswith(prefix) and "cpu_ms" in r["jobs"].get(kind, {})]
    return min(found) if found else None


def supervisors(results, a):
    parts = []
    for kind in a.jobs.split(","):
        n = a.chain if kind == "chain" else a.n
        floor, dinit = least_cpu(results, kind, "floor"), least_cpu(results, kind, "dinit")
        rows = []
        for name, r in results.items():
            job = r["jobs"].get(kind)
            if job is None:
                continue
            title = f"{name} {r['version']}".strip()
            if "failed" in job:
                rows.append([title, f"failed: {job['failed']}", "-", "-", "-"])
            else:
                rows.append([title, number(job["wall_ms"], 0), number(job["cpu_ms"], 0), ratio(job["cpu_ms"], floor), ratio(job["cpu_ms"], dinit)])
        parts.append(f"{n} {'in a chain' if kind == 'chain' else kind}\n\n" + markdown(["", "wall ms", "CPU ms", "CPU / floor", "CPU / dinit"], rows))
    if "longruns" in a.jobs.split(","):
        rows = []
        for name, r in results.items():
            job = r["jobs"].get("longruns", {})
            if "pss_kb_per_service" in job:
                rows.append([name, job["processes"], number(job["pss_kb_per_service"], 2), number(job.get("run_kb_per_service"), 2), job["pss_kb_pid1"], number(job.get("restart_ms"), 2), job.get("wakeups", "-")])
        parts.append(f"at {a.n} longruns\n\n" + markdown(["", "processes", "PSS KiB/service", "files in /run KiB/service", "PSS KiB of PID 1", "restart ms, median", f"wakeups in {a.idle:.0f} s"], rows))
    return "\n\n".join(parts)
