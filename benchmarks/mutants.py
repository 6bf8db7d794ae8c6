"""Of random changes to the code of rooms, how many do the tests notice?

    python benchmarks/mutants.py --mutants 400 --seed 1 --out mutants.json

A mutant is a change as cosmic-ray makes them (another operator, comparison, number, a loop of no
rounds ...) somewhere in `scores` or `guidance`, but for annotations, where it would be the end of
the import. Of the tests named below those are run that reach its line,
the fastest first; a line that runs at the import is reached by all that reach its module. A mutant
is killed where a test fails or the tests take five times as long. First the tests are run on the
code as it is, and have to pass. Survivors are listed: some are
no mistake (`>=` for `>` where equal cannot be), the others are tests to write.
"""

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("scores", "guidance")
TESTS = """
tests/scores tests/guidance tests/evaluation/test_gaze.py tests/runs/test_inference.py
tests/training/test_arithmetic.py tests/training/test_preflight.py
tests/training/test_config_mistakes.py
""".split()
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
SLOWER, SLACK = 5, 30


def mutants_of(path):
    """Every mutant of a module: the operator, its occurrence and the line."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast

    source = path.read_text()
    left_out, nodes = annotations(ast.parse(source)), list(ast_nodes(get_ast(source)))
    for name in sorted(plugins.operator_names()):
        kind = plugins.get_operator(name)
        if kind.arguments():
            continue
        operator, occurrence = kind(), 0
        for node in nodes:
            for (line, column), _ in operator.mutation_positions(node):
                if not any(begin <= (line, column) < end for begin, end in left_out):
                    yield {"operator": name, "occurrence": occurrence, "line": line}
                occurrence += 1


def annotations(tree):
    """From where to where each reaches."""
    parts = []
    for node in ast.walk(tree):
        parts += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [
        ((p.lineno, p.col_offset), (p.end_lineno, p.end_col_offset)) for p in parts if p is not None
    ]


def mutated(source, mutant):
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    return mutate_code(source, plugins.get_operator(mutant["operator"])(), mutant["occurrence"])


def coverage_of(folder):
    """Which tests reach which line of which module, and how long each takes."""
    data, report = folder / "coverage", folder / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", *TESTS, "--cov=src/regard", "--cov-context=test",
         "--cov-report=", f"--junitxml={report}", "-o", "junit_family=xunit1"],
        cwd=ROOT, check=True, env=os.environ | {"COVERAGE_FILE": str(data)}, **QUIET,
    )  # fmt: skip
    import xml.etree.ElementTree as ET

    from coverage import CoverageData

    seconds = {}
    for case in ET.parse(report).iter("testcase"):
        seconds[f"{case.get('file')}::{case.get('name')}"] = float(case.get("time"))
    told = CoverageData(str(data))
    told.read()
    reached = {}
    for path in map(Path, told.measured_files()):
        lines = {
            line: {name.partition("|")[0] for name in names if name}
            for line, names in told.contexts_by_lineno(str(path)).items()
        }
        reached[path.relative_to(ROOT / "src/regard").as_posix()] = lines
    return reached, seconds


def tests_for(mutant, reached, seconds):
    lines = reached.get(mutant["module"], {})
    found = lines.get(mutant["line"]) or {name for names in lines.values() for name in names}
    return sorted(found, key=lambda name: seconds.get(name, 1.0))


class Worker:
    """A copy of the source, and a process that has all but the rooms and forks for each mutant."""

    def __init__(self, folder):
        self.source = folder / "src"
        shutil.copytree(ROOT / "src", self.source, ignore=shutil.ignore_patterns("__pycache__"))
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": f"{self.source}:{ROOT / 'tests'}",
                              "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def run(self, tests, limit):
        """What came of the tests: killed, late, survived."""
        self.process.stdin.write(json.dumps({"tests": tests, "limit": limit}) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def ask(self, mutant, tests, limit):
        """What came of the tests of a mutant."""
        path = self.source / "regard" / mutant["module"]
        own = path.read_text()
        changed = mutated(own, mutant)
        mutant["diff"] = "\n".join(list(difflib.unified_diff(
            own.splitlines(), changed.splitlines(), lineterm="", n=0))[2:])  # fmt: skip
        try:
            path.write_text(changed)
            return self.run(tests, limit)
        finally:
            path.write_text(own)


def work():
    """Read orders, fork, run the tests in the child."""
    from jaxtyping import install_import_hook

    # As tests/conftest.py does, which comes too late for what is imported here.
    install_import_hook(
        [f"regard.{r}" for r in ("data.regions", "models", "saliency", *ROOMS)], "shapes.checked"
    )
    import polars  # noqa: F401
    import pytest
    import sklearn.metrics  # noqa: F401

    import regard.models
    import regard.saliency  # noqa: F401

    assert not [name for name in sys.modules if name.split(".")[1:2] in [[r] for r in ROOMS]]
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for own in (0, 1, 2):
                os.dup2(null, own)
            # What pytest would rewrite has been imported already.
            os._exit(pytest.main(["-x", "--assert=plain", *order["tests"]]))
        print(outcome(pid, order["limit"]), flush=True)


def outcome(pid, limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {0: "survived", 5: "no tests"}.get(code, "killed")
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "late"


def main():
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--mutants", type=int, default=400)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--processes", type=int, default=2)
    words.add_argument("--out", type=Path, default=Path("mutants.json"))
    words.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    how = words.parse_args()
    if how.worker:
        return work()
    from regard.evaluation.intervals import wilson_interval

    house = ROOT / "src/regard"
    modules = [path for room in ROOMS for path in sorted((house / room).glob("*.py"))]
    every = [
        {"module": path.relative_to(house).as_posix(), **mutant}
        for path in modules
        for mutant in mutants_of(path)
    ]
    chosen = random.Random(how.seed).sample(every, min(how.mutants, len(every)))
    with tempfile.TemporaryDirectory() as folder:
        reached, seconds = coverage_of(Path(folder))
        workers = [Worker(Path(folder) / str(n)) for n in range(how.processes)]

        def shared(number):
            for at in range(number, len(chosen), len(workers)):
                mutant = chosen[at]
                tests = tests_for(mutant, reached, seconds)
                usual = sum(seconds.get(name, 1.0) for name in tests)
                mutant["outcome"] = (
                    workers[number].ask(mutant, tests, SLACK + SLOWER * usual)
                    if tests
                    else "no tests"
                )
                print(at, mutant["outcome"], mutant["module"], mutant["line"], flush=True)

        with ThreadPoolExecutor(len(workers)) as pool:
            alone = list(pool.map(lambda worker: worker.run(TESTS, 3600), workers))
            assert set(alone) == {"survived"}, f"without a mutant the tests are {alone}"
            list(pool.map(shared, range(len(workers))))
        for worker in workers:
            worker.process.stdin.close()
            worker.process.wait()
    how.out.write_text(json.dumps(chosen, indent=1))
    killed = sum(mutant["outcome"] in ("killed", "late") for mutant in chosen)
    told = wilson_interval(killed, len(chosen))
    print(f"{len(every)} mutants; of {len(chosen)} at random (seed {how.seed}) {killed} killed:")
    print(f"{told.value:.3f}, 95% interval {told.low:.3f} to {told.high:.3f}")
    kinds = {}
    for mutant in chosen:
        kind = mutant["operator"].removeprefix("core/").partition("_")[0]
        kinds.setdefault(kind, []).append(mutant["outcome"] in ("killed", "late"))
    for kind, noticed in sorted(kinds.items()):
        print(f"{kind}: {sum(noticed)} of {len(noticed)}")


if __name__ == "__main__":
    main()
