#!/usr/bin/python3
"""Everything that sd_notify(3) lists, said by a service that says what the test wants, works, or is refused aloud; and outlives rastd."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from machine import Machine, run  # noqa: E402

# The service: each line of the FIFO /run/NAME is a message to be sent (JSON: text, and descriptors by what they are), or something to do.
SPEAKER = r"""#!/usr/bin/python3
import array, json, os, signal, socket, subprocess, sys, time
name = os.environ["SERVICE_NAME"]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
kept, heard = {}, []
def fd(what):
    if what in kept: return kept[what]
    if what == "pipe":
        r, w = os.pipe(); kept["far-end"] = r; kept["pipe"] = w; return w
    if what == "file": kept["file"] = os.open("/run/" + name + ".file", os.O_RDWR | os.O_CREAT); return kept["file"]
    if what.startswith("pidfd:"): return os.pidfd_open(int(what[6:]))
    return int(what)
def say(text, fds=()):
    text = text.replace("NOW", str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd(f) for f in fds]))] if fds else []
    notify.sendmsg([text.encode("latin1")], rights)
def on_hup(*_):
    for text in json.loads(open("/run/" + name + ".hup").read()) if os.path.exists("/run/" + name + ".hup") else []:
        say(text)
signal.signal(signal.SIGHUP, on_hup)
if os.environ.get("IGNORE_TERM"): signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open("/run/" + name + ".env", "w") as f: json.dump(dict(os.environ), f)
fifo = "/run/" + name + ".fifo"
if not os.path.exists(fifo): os.mkfifo(fifo)
say(os.environ.get("FIRST", "READY=1"))
while True:
    with open(fifo) as f:
        for line in f:
            c = json.loads(line)
            try:
                if "say" in c: say(c["say"], c.get("fds", ()))
                if "close" in c: os.close(kept.pop(c["close"]))
                if "child" in c: kept["child"] = subprocess.Popen(["sleep", "1000"]).pid
                if "barrier" in c:
                    r, w = os.pipe(); kept["w"] = w; say("BARRIER=1", ["w"]); os.close(w); del kept["w"]; os.read(r, 1); os.close(r)
                if "exit" in c: os._exit(c["exit"])
                answer = kept.get("child", "ok")
            except Exception as e:
                answer = repr(e)
            with open("/run/" + name + ".done.new", "w") as d: d.write(str(answer))
            os.rename("/run/" + name + ".done.new", "/run/" + name + ".done")
"""


def speaker(extra="", readiness="", environment=(), **sections):
    return ("[service]\ntype = longrun\nexec = /t/speaker\n" + extra + "".join(f"environment = {e}\n" for e in environment) + "[readiness]\nnotify = socket\n" + readiness +
            "".join(f"[{name}]\n{body}\n" for name, body in sections.items()))


class Speakers(Machine):
    def __init__(self, **services):
        super().__init__({f"{n}.ini": t for n, t in services.items()}, files={"/t/speaker": SPEAKER})

    def do(self, name, **what):
        """Have it done; what it answers. A BARRIER=1 behind it makes sure that rastd has read all."""
        for c in (what, {"barrier": 1}):
            self.sh(f"rm -f /run/{name}.done")
            self.sh("sh", "-c", f"cat > /run/{name}.fifo", stdin=json.dumps(c) + "\n", check=True)
            if "exit" in c or "last" in c:
                return None
            answer = self.until(lambda: self.read(f"/run/{name}.done", ""), 20)
            if c is what:
                first = answer
        return first

    def say(self, name, text, *fds):
        return self.do(name, say=text, fds=list(fds))

    def renew(self):
        """Another rastd."""
        old = self.rastd_pid()
        self.sh("kill", "-9", str(old), check=True)
        self.until(lambda: self.rastd_pid() not in (0, old) and self.sh("rastctl", "version").ok, 20)

    def told(self, text, timeout=15):
        return self.until(lambda: text in "\n".join(self.log("rastd")) + self.console_text(), timeout, lambda: f"'{text}' is not in the log: {self.log('rastd')[-5:]}")


def status_and_errors_are_shown_outlive_rastd_and_end_with_the_run():
    with Speakers(a=speaker()) as m:
        m.booted()
        m.say("a", "STATUS=half \xc3\xa4 done\x07\nERRNO=2")
        m.say("a", "STATUS=" + "x" * 3000)
        assert m.service("a")["status_text"] == "x" * 512
        m.say("a", "STATUS=half \xc3\xa4 \xff done\x07\nERRNO=2")
        for again in (False, True):
            s = m.service("a")
            assert s["status_text"] == "half ä ? done?" and s["error_text"] == "No such file or directory (errno 2)", s
            assert "half ä" in m.ctl("status", "a").out and "errno 2" in m.ctl("status", "a").out
            if not again:
                m.renew()
        m.ctl("reexec")
        assert m.service("a")["status_text"].startswith("half")
        m.say("a", "BUSERROR=org.freedesktop.DBus.Error.TimedOut")
        assert m.service("a")["error_text"] == "org.freedesktop.DBus.Error.TimedOut"
        m.say("a", "VARLINKERROR=io.example.Bad\nSTATUS=")
        assert m.service("a")["error_text"] == "io.example.Bad" and not m.service("a").get("status_text")
        m.say("a", "ERRNO=none")
        m.told("ERRNO=none is no error number")
        m.ctl("restart", "a")
        assert not m.service("a").get("error_text") and not m.service("a").get("status_text")
        assert not m.sh("ls /run/rastos/status.d | grep -q .").ok


def a_reload_by_signal_waits_for_its_answer():
    text = speaker("reload-signal = HUP\n", "reload-notify = yes\nstart-timeout = 2s\n")
    with Speakers(a=text, late=text, stale=text, mute=text.replace("2s", "700ms"), dies=text, plain=speaker("reload-signal = HUP\n")) as m:
        m.booted()
        m.write("/run/a.hup", json.dumps(["RELOADING=1\nMONOTONIC_USEC=NOW", "READY=1"]))
        m.ctl("reload", "a", "plain")
        # longer than its time, but it says that it needs that
        m.write("/run/late.hup", json.dumps(["RELOADING=1\nMONOTONIC_USEC=NOW\nEXTEND_TIMEOUT_USEC=30000000"]))
        began = time.monotonic()
        m.sh("(rastctl reload late; echo $? > /run/late.status) > /dev/null 2>&1 &")
        m.until(lambda: "already" in m.ctl("reload", "late", check=False).err, 10)
        time.sleep(max(0, 2.3 - (time.monotonic() - began)))
        assert not m.read("/run/late.status", "")
        m.renew()  # its client asks nobody any more, and the reload goes on
        m.say("late", "READY=1")
        m.until(lambda: m.ctl("reload", "--no-wait", "late", check=False).ok, 10)
        m.write("/run/stale.hup", json.dumps(["RELOADING=1\nMONOTONIC_USEC=1", "READY=1"]))
        for name in ("mute", "stale"):
            r = m.ctl("reload", name, check=False)
            assert r.status == 1 and "start-timeout" in r.err and m.state(name) == "up", r
        m.told("RELOADING=1 was said before")
        r = m.sh("rastctl reload dies & sleep 0.3; kill -9 %s; wait $!" % m.service("dies")["pid"])
        assert r.status == 1 and "SIGKILL" in r.err, r
        m.say("a", "RELOADING=1\nMONOTONIC_USEC=NOW")  # by itself
        r = m.ctl("reload", "a", check=False)
        assert r.status == 1 and "already" in r.err, r
        m.say("a", "READY=1")
        m.ctl("reload", "a")


def exec_reload_has_a_time_limit_too():
    with Machine({"slow.ini": "[service]\ntype = longrun\nexec = sleep 1000\nexec-reload = sh -c 'sleep 1000 & wait'\n[readiness]\nstart-timeout = 700ms\n"}) as m:
        m.booted()
        r = m.ctl("reload", "slow", check=False)
        assert r.status == 1 and "exec-reload failed" in r.err and m.state("slow") == "up", r
        m.ctl("restart", "slow")


def stopping_withdraws_it_and_how_it_ends_still_counts():
    with Speakers(a=speaker(restart="delay = 10ms"), needs="[service]\ntype = longrun\nexec = sleep 1000\n[dependencies]\ndepends = a\n", bad=speaker(restart="policy = on-failure\ndelay = 1min"),
                  deaf=speaker(restart="policy = no", stop="timeout = 700ms")) as m:
        m.booted()
        pid, other = m.service("a")["pid"], m.service("needs")["pid"]
        m.say("a", "STOPPING=1")
        assert m.state("a") == "stopping" and m.service("a")["pid"] == pid
        m.until(lambda: m.service("needs").get("pid") != other, 10)
        m.do("a", exit=0)
        m.until(lambda: m.state("a") == "up" and m.state("needs") == "up" and m.service("a")["pid"] != pid, 10)
        m.say("bad", "STOPPING=1")
        m.do("bad", exit=3)
        m.wait_state("bad", "backoff")
        assert "status 3" in m.service("bad")["reason"]
        m.say("deaf", "STOPPING=1")
        m.wait_state("deaf", "failed")


def the_watchdog_listens_to_1_trigger_and_a_new_interval():
    watched = {"restart": "watchdog = 20s\npolicy = no"}
    with Speakers(a=speaker(**watched), trigger=speaker(**watched), off=speaker(restart="watchdog = 800ms\npolicy = no"), early=speaker(environment=["FIRST=WATCHDOG_USEC=500000"], restart="policy = no"),
                  kept=speaker(restart="policy = no")) as m:
        assert json.loads(m.until(lambda: m.read("/run/a.env", ""), 20))["WATCHDOG_USEC"] == "20000000"
        m.until(lambda: m.state("trigger") == "up", 20)
        m.say("off", "WATCHDOG_USEC=0")
        m.do("trigger", say="WATCHDOG=trigger", last=1)
        m.wait_state("trigger", "failed")
        assert "WATCHDOG=trigger" in m.service("trigger")["reason"], m.service("trigger")
        m.say("a", "WATCHDOG_USEC=400000")
        for _ in range(4):
            m.say("a", "WATCHDOG=1")
            time.sleep(0.1)
            assert m.state("a") == "up"
        m.wait_state("a", "failed")
        assert m.state("early") == "starting"
        m.do("early", say="READY=1", last=1)
        m.wait_state("early", "failed")
        m.say("kept", "WATCHDOG_USEC=2000000")
        m.renew()
        m.say("kept", "WATCHDOG=1")
        m.say("kept", "WATCHDOG=maybe")
        m.told("WATCHDOG=maybe is neither")
        m.wait_state("kept", "failed")
        assert m.state("off") == "up"


def the_main_process_may_be_named_by_number_with_its_id_and_by_descriptor():
    with Speakers(a=speaker(stop="kill-mode = process"), b=speaker(), other="[service]\ntype = longrun\nexec = sleep 1000\n") as m:
        m.booted()
        child = int(m.do("a", child=1))
        m.say("a", f"MAINPID={child}\nMAINPIDFDID=12345678")
        assert m.service("a")["pid"] != child
        m.told("is another process than MAINPIDFDID= says")
        m.say("a", f"MAINPID={m.service('other')['pid']}")
        m.told("is not a process of it")
        m.say("a", "MAINPIDFD=1")
        m.told("one descriptor of a process")
        m.say("a", "MAINPIDFD=1", f"pidfd:{child}")
        assert m.service("a")["pid"] == child
        m.renew()
        assert m.service("a")["pid"] == child
        m.sh("kill", "-9", str(child), check=True)
        m.until(lambda: m.service("a").get("pid") not in (child, None) and m.state("a") == "up", 20)
        child = int(m.do("b", child=1))
        m.say("b", f"MAINPID={child}")
        assert m.service("b")["pid"] == child


def stored_descriptors_are_named_watched_unique_and_removed():
    with Speakers(a=speaker()) as m:
        m.booted()

        def stored():
            m.ctl("restart", "a")
            env = json.loads(m.until(lambda: m.read("/run/a.env", ""), 10))
            m.until(lambda: m.state("a") == "up", 10)
            return [n for n in env.get("LISTEN_FDNAMES", "").split(":") if n]

        m.say("a", "FDSTORE=1\nFDNAME=first", "file")
        m.say("a", "FDSTORE=1\nFDNAME=again", "file")  # the same one: once is enough
        m.say("a", "FDSTORE=1\nFDNAME=hup", "pipe")
        m.say("a", "FDSTORE=1\nFDNAME=no:good", "0")
        m.told("FDNAME= is no name")
        m.say("a", "FDSTORE=1")
        m.told("FDSTORE=1 came without a descriptor")
        assert stored() == ["first", "stored"], "the far end of the pipe is gone with the run before"
        m.say("a", "FDSTORE=1\nFDNAME=deaf\nFDPOLL=0", "pipe")
        m.say("a", "FDSTORE=1\nFDNAME=live", "pipe")
        m.say("a", "FDSTORE=1\nFDNAME=back", "3")  # what it was given
        m.renew()
        m.renew()
        m.say("a", "FDSTOREREMOVE=1\nFDNAME=stored")
        m.say("a", "FDSTOREREMOVE=1")
        m.told("FDSTOREREMOVE=1 needs FDNAME=")
        m.renew()
        assert stored() == ["first", "deaf"], stored()
        m.ctl("stop", "a")
        m.ctl("start", "a")
        assert "LISTEN_FDS" not in json.loads(m.read("/run/a.env"))


def the_rest_is_answered_refused_or_not_ours():
    with Speakers(a=speaker(), none=speaker("", "notify-access = none\nstart-timeout = 500ms\n", restart="policy = no")) as m:
        m.until(lambda: m.state("a") == "up", 20)
        m.say("a", "X_OURS=1\nno equals sign\n\n=\nSTATUS=still there")
        assert m.service("a")["status_text"] == "still there"
        m.say("a", "NOTIFYACCESS=all")
        m.told("NOTIFYACCESS=all is refused")
        m.say("a", "BARRIER=1")
        m.told("BARRIER=1 has to come with one descriptor, and came with 0")
        m.say("a", "EXTEND_TIMEOUT_USEC=soon")
        m.told("EXTEND_TIMEOUT_USEC=soon is no number")
        m.say("a", "STATUS=" + "y" * 9000)
        m.told("is too long")
        m.say("a", "EXIT_STATUS=3\nREADY=0\nRELOADING=0\nSTOPPING=0")
        assert m.state("a") == "up"
        m.wait_state("none", "failed")
        assert "not ready" in m.service("none")["reason"]


if __name__ == "__main__":
    run([f for name, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__" and "_" in name])
