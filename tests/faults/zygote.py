"""A process that has imported everything and forks for each command: a try takes a moment.

Reads a line of JSON a try from standard input and answers with one of what came of it. Nothing is
computed before the fork, so that no thread of a library is lost in it.
"""

import errno
import json
import os
import resource
import signal
import sys
import warnings

MEGABYTE = 1 << 20
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def preload() -> None:
    """Import what commands import when they run."""
    import regard.cli.main
    import regard.data.describe
    import regard.deployment.export
    import regard.deployment.prune
    import regard.importers.coco
    import regard.importers.folder
    import regard.reports.compare_report
    import regard.reports.report
    import regard.runs.averages
    import regard.runs.bench
    import regard.runs.compare
    import regard.runs.evaluate
    import regard.runs.explain
    import regard.runs.scored
    import regard.screening.screen
    import regard.server.serving
    import regard.studies.runner
    import regard.training.train  # noqa: F401


def failing(root: str, first: int, code: int) -> list[int]:
    """Let the `first` writing call below a folder fail, and all after it, as on a full disk.

    Returns:
        One number, which counts the calls.
    """
    count = [0]

    def one(path: object) -> None:
        if isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(root):
            count[0] += 1
            if count[0] >= first:
                raise OSError(code, os.strerror(code), os.fsdecode(path))

    def hook(event: str, args: tuple) -> None:
        if event == "open" and isinstance(args[2], int) and args[2] & WRITING:
            one(args[0])
        elif event in ("os.mkdir", "os.truncate"):
            one(args[0])
        elif event in ("os.rename", "os.link", "os.symlink"):
            one(args[1])

    sys.addaudithook(hook)
    return count


def limit(told: dict) -> None:
    """Take away from this process what a try says."""
    signal.alarm(told.get("seconds", 120))
    if "file_size" in told:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["file_size"], resource.RLIM_INFINITY))
    if "megabytes" in told:  # more than this process has now
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + told["megabytes"] * MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if "user" in told:
        os.setgroups([])
        os.setgid(told["user"])
        os.setuid(told["user"])


def child(told: dict) -> int:
    """Run one command; its exit status."""
    os.environ.update(told.get("environment", {}))
    os.chdir(told["cwd"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        target = told.get(name) or os.path.join(told["notes"], name)
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    count = [0]
    if "code" in told:  # a snippet in place of a command
        limit(told)
        exec(compile(told["code"], "try", "exec"), {"__name__": "__try__"})
        return 0
    from regard.cli.main import main

    sys.argv = ["regard", *told["words"]]
    limit(told)
    if "nth" in told:
        count = failing(told["root"], told["nth"], told.get("errno", errno.ENOSPC))
    try:
        main()
    finally:
        sys.stdout.flush()
        if "nth" in told:
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            os.write(COUNTED, str(count[0]).encode())
    return 0


COUNTED = 3


def attempt(told: dict) -> dict:
    """Fork for one try, and what came of it."""
    reading, writing = os.pipe()
    own = os.fork()
    if own == 0:
        status = 1
        try:
            os.setsid()
            os.dup2(writing, COUNTED)
            status = child(told)
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            except OSError:
                pass
            os._exit(status)
    os.close(writing)
    _, status, used = os.wait4(own, 0)
    counted = os.read(reading, 32)
    os.close(reading)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "megabytes": used.ru_maxrss // 1024,
        "seconds": used.ru_utime + used.ru_stime,
        "writes": int(counted or 0),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    preload()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line))), flush=True)
