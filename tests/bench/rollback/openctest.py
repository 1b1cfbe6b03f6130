#!/usr/bin/python3
"""The risk of a change on real material: the openctest data (Sun et al., OSDI 2020; MIT licence), which is not part of this repository.

usage: openctest.py CLONE BENCH-OPENCTEST     CLONE: a clone of https://github.com/xlab-uiuc/openctest, bare or not; BENCH-OPENCTEST: our program

Changes are a parameter's default -> a value. Bad: the 1,154 injected values. Good: values that are as far from the default as the project's own value
generator goes (double, half, flipped, the same with another last element), and what files of Docker images set without having been found wrong. Real: those
that were (docker_misconfig.tsv), against the rest of the same files. Each project is judged by the other four alone."""
import re
import subprocess
import sys

PROJECTS = ("hadoop-common", "hadoop-hdfs", "hbase-server", "zookeeper-server", "alluxio-core")
PROPERTY = re.compile(r"<property>.*?<name>\s*(.*?)\s*</name>.*?<value>\s*(.*?)\s*</value>.*?</property>", re.S)


def git(clone, *args):
    return subprocess.run(["git", "-C", clone, *args], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")


def show(clone, path):
    return git(clone, "show", f"HEAD:{path}")


def clean(text):
    return re.sub(r"\s+", " ", text).strip()


def settings(text, xml):
    if xml:
        return {clean(k): clean(v) for k, v in PROPERTY.findall(re.sub(r"<!--.*?-->", "", text, flags=re.S))}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.strip().startswith("#"))
    return {clean(k): clean(v) for k, v in pairs}


def good_values(value):
    """Other values that a sane person might set."""
    if re.fullmatch(r"-?\d+", value):
        n = int(value)
        return [str(n * 2), str(max(n // 2, 1))] if n > 1 else [str(abs(n) + 1)]
    if re.fullmatch(r"\d*\.\d+f?", value):
        x = float(value.rstrip("f"))
        return [f"{x * 0.8:g}", f"{x / 2:g}"]
    if value in ("true", "false"):
        return ["false" if value == "true" else "true"]
    size = re.fullmatch(r"(\d+)\s*([a-zA-Z]+)", value)
    if size:
        return [f"{int(size[1]) * 2}{size[2]}", f"{max(int(size[1]) // 2, 1)}{size[2]}"]
    if value.startswith("/") or "${" in value:
        return [value.rstrip("/") + "2"]
    if "," in value:
        return [",".join(value.split(",")[:-1])]
    return []


def rows(clone):
    defaults, docker = {}, {}
    for p in PROJECTS:
        table = (line.split("\t") for line in show(clone, f"core/default_configs/{p}-default.tsv").splitlines())
        defaults[p] = {clean(r[0]): clean(r[1]) if len(r) > 1 else "" for r in table}
    for line in show(clone, "data/injected_misconfig_eval/injected_misconfig.tsv").splitlines()[1:]:
        p, key, value = (line.split("\t") + ["", ""])[:3]
        if p in defaults:
            yield p, "injected", key, defaults[p].get(key, ""), clean(value), 1
    for p in PROJECTS:
        for key, value in defaults[p].items():
            for good in good_values(value):
                yield p, "injected", key, value, good, 0
    bad = {(r[0], r[1], r[4].strip()) for r in (line.split("\t") for line in show(clone, "data/docker_config_file_eval/docker_misconfig.tsv").splitlines()[1:])
           if len(r) > 4 and r[2].startswith("Misconfig")}
    other = {(r[0], r[1], r[4].strip()) for r in (line.split("\t") for line in show(clone, "data/docker_config_file_eval/docker_misconfig.tsv").splitlines()[1:]) if len(r) > 4} - bad
    for path in git(clone, "ls-tree", "-r", "--name-only", "HEAD", "data/docker_config_file_eval").splitlines():
        parts = path.split("/")
        if len(parts) != 4:
            continue
        p, name = parts[2:]
        docker[path] = settings(show(clone, path), name.endswith(".xml"))
        for key, value in docker[path].items():
            if key in defaults[p] and value != defaults[p][key] and (p, name, key) not in other:
                yield p, "real", key, defaults[p][key], value, int((p, name, key) in bad)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table = "".join("\t".join(map(str, r)) + "\n" for r in rows(sys.argv[1]))
    sys.exit(subprocess.run([sys.argv[2]], input=table.encode(), check=False).returncode)


main()
