#!/usr/bin/python3
"""A longrun that dies is started again in its cgroup, if that is as good as new; and what it left behind is gone before."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

GROUP = "/sys/fs/cgroup/rastos.service"


def service(script, more=""):
    return f"[service]\ntype = longrun\nexec = sh -c '{script}'\n[restart]\ndelay = 0\nlimit = 1000\n{more}"


def die_and_return(m, name):
    """SIGKILL to the main process; until another one is up. Its pid."""
    pid = m.service(name)["pid"]
    m.sh("kill", "-KILL", str(pid), check=True)
    m.until(lambda: m.service(name).get("pid") not in (None, 0, pid) and m.state(name) == "up", 20, lambda: m.service(name))
    return m.service(name)["pid"]


def inode(m, name):
    return m.sh(f"stat -c %i {GROUP}/{name}", check=True).out.strip()


def members(m, name):
    return m.read(f"{GROUP}/{name}/cgroup.procs").split()


def a_cgroup_in_which_nothing_was_changed_is_kept_for_the_next_run():
    with Machine({"web.ini": service("exec sleep 1000")}) as m:
        m.booted()
        before = inode(m, "web")
        for _ in range(3):
            pid = die_and_return(m, "web")
            assert members(m, "web") == [str(pid)]
        assert inode(m, "web") == before
        m.ctl("stop", "web")
        assert not m.sh(f"test -e {GROUP}/web").ok


def a_cgroup_with_groups_below_is_made_anew_without_them():
    with Machine({"web.ini": service(f"test -e {GROUP}/web/mine && exit 7; echo >> /run/n; test $(wc -l < /run/n) = 1 && mkdir {GROUP}/web/mine; exec sleep 1000")}) as m:
        m.booted()
        m.until(lambda: m.sh(f"test -e {GROUP}/web/mine").ok, 10)
        pid = die_and_return(m, "web")
        assert members(m, "web") == [str(pid)] and not m.sh(f"test -e {GROUP}/web/mine").ok
        assert m.service("web")["restarts"] == 1


def a_frozen_cgroup_is_made_anew():
    with Machine({"web.ini": service("exec sleep 1000")}) as m:
        m.booted()
        m.write(f"{GROUP}/web/cgroup.freeze", "1\n")
        m.until(lambda: "frozen 1" in m.read(f"{GROUP}/web/cgroup.events"), 10)
        die_and_return(m, "web")
        assert "frozen 0" in m.read(f"{GROUP}/web/cgroup.events")


def what_the_main_process_left_is_killed_before_the_next_run():
    with Machine({"web.ini": service("pgrep -xf sleep.4711 && exit 7; sleep 4711 & exec sleep 1000")}) as m:
        m.booted()
        m.until(lambda: len(members(m, "web")) == 2, 10)
        left = [p for p in members(m, "web") if p != str(m.service("web")["pid"])]
        die_and_return(m, "web")
        m.until(lambda: len(members(m, "web")) == 2, 10)
        assert not set(left) & set(members(m, "web")) and m.service("web")["restarts"] == 1


def somebody_else_s_kill_of_the_whole_cgroup_is_one_death_and_no_more():
    with Machine({"web.ini": service("exec sleep 1000")}) as m:
        m.booted()
        for deaths in range(1, 4):
            pid = m.service("web")["pid"]
            m.write(f"{GROUP}/web/cgroup.kill", "1\n")
            m.until(lambda: m.service("web").get("pid") not in (None, 0, pid) and m.state("web") == "up", 20, lambda: m.service("web"))
            assert m.service("web")["restarts"] == deaths
        assert members(m, "web") == [str(m.service("web")["pid"])]


def a_stop_while_it_waits_to_be_started_again_leaves_no_cgroup():
    with Machine({"web.ini": "[service]\ntype = longrun\nexec = sleep 1000\n[restart]\ndelay = 300s\ndelay-max = 300s\n"}) as m:
        m.booted()
        m.sh("kill", "-KILL", str(m.service("web")["pid"]), check=True)
        m.wait_state("web", "backoff", 20)
        m.ctl("stop", "web")
        assert not m.sh(f"test -e {GROUP}/web").ok


run([v for v in list(globals().values()) if callable(v) and getattr(v, "__module__", "") == "__main__" and v.__name__.startswith(("a_", "what_", "somebody_"))])
