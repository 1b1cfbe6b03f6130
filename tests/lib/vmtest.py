"""For the files of tests/vm: functions whose names are the sentences that they check, each in machines of its own.

    from vmtest import VM, run, skip

    def a_service_is_up_after_boot():
        with VM(services={"web": WEB}) as vm:
            vm.wait_state("web", "up")

    run(globals())
"""
import inspect
import json
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "qemu"))
from rastvm.cache import Failed  # noqa: E402,F401
from rastvm.console import Console  # noqa: E402,F401
from rastvm.vm import VM, put_file, writable  # noqa: E402,F401
from rastvm import disk, replay  # noqa: E402,F401


class Skipped(Exception):
    pass


def skip(why):
    """Leave the test: this machine lacks something, and why says what."""
    raise Skipped(why)


def has_process(words):
    """A shell command that succeeds while a process whose command line begins with these words runs; small guests have no pgrep."""
    pattern = words.replace(" ", ".")
    return f"grep -l '^{pattern}' /proc/[0-9]*/cmdline 2>/dev/null"


def sentence(name):
    return name.replace("_", " ")


def run(names):
    """TAP on stdout. Arguments: names of functions to run, or --list."""
    cases = [f for n, f in names.items() if inspect.isfunction(f) and f.__module__ == "__main__" and not n.startswith("_") and "_" in n
             and not inspect.signature(f).parameters]
    if sys.argv[1:] == ["--list"]:
        print(json.dumps([f.__name__ for f in cases]))
        return
    chosen = [f for f in cases if not sys.argv[1:] or f.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}", flush=True)
    failed = False
    for i, case in enumerate(chosen, 1):
        began = time.monotonic()
        try:
            case()
            print(f"ok {i} - {sentence(case.__name__)} # {time.monotonic() - began:.1f} s", flush=True)
        except Skipped as e:
            print(f"ok {i} - {sentence(case.__name__)} # SKIP {e}", flush=True)
        except (AssertionError, Failed) as e:
            failed = True
            _, _, where = sys.exc_info()
            frame = traceback.extract_tb(where)
            here = next((f for f in reversed(frame) if f.filename.endswith(pathlib.Path(sys.argv[0]).name)), frame[-1])
            print(f"not ok {i} - {sentence(case.__name__)}\n{pathlib.Path(here.filename).name}:{here.lineno}: {here.line}\n{e}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed = True
            print(f"not ok {i} - {sentence(case.__name__)}\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)
