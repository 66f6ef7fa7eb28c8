"""Is one checkout slower than another? Both time the same problems in turns, and the ratio of each is printed.

    python bench/turns.py OLD NEW [--groups small,layers] [--repeats 7] [--json FILE]

OLD and NEW are folders that hold a ``fastconv`` folder. In every round each group of problems gets a fresh process of
either checkout, and the two take turns problem by problem: old, new, new, old, then the other way round. What is
printed is old/new, above 1 where NEW is faster: the median over the rounds and the least and greatest of them. Groups
are "small" (calls that are all overhead), "medium" (what no suite holds: pools, layers, a training step), the suites of
``fastconv bench``, as OLD lists them, and "process" (time to import, and to the first result with a warm and, twice,
with an empty cache). Compile first: what a process has to compile counts as disturbance.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

WORKER = Path(__file__).with_name("turns_worker.py")
OWN = ("small", "medium")
SUITES = ("layers", "first", "double", "backward", "filters", "signal", "pool", "quick")
GROUPS = (*OWN, *SUITES, "process")
DEFAULT = tuple(group for group in GROUPS if group != "quick")  # which holds nothing that the others do not
FIRST = (
    "import numpy as np, fastconv as fc; x = np.ones((1, 28, 28, 8), np.float32); "
    "fc.max_pool2d(fc.conv2d(x, np.ones((3, 3, 8, 8), np.float32), layout='NHWC'), 2, layout='NHWC')"
)
PROGRAMS = {"import fastconv": "import fastconv", "first result": FIRST}


class Ratio(NamedTuple):
    """A problem's times, a pair a round."""

    group: str
    name: str
    old: list[float]
    new: list[float]

    @property
    def all(self) -> list[float]:
        return sorted(old / new for old, new in zip(self.old, self.new, strict=True))

    @property
    def median(self) -> float:
        return statistics.median(self.all)

    def __str__(self) -> str:
        times = "  ".join(f"{1e6 * statistics.median(side):12.1f}" for side in (self.old, self.new))
        return f"{self.median:6.3f}  [{self.all[0]:.3f}, {self.all[-1]:.3f}]  {times} us  {self.group}: {self.name}"


class Worker:
    """A process of a checkout that times what it is asked to."""

    def __init__(self, checkout: Path):
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(checkout),
            cwd=checkout,
        )
        hello = self.answer()
        self.named: dict[str, list[str]] = hello["named"]
        if not Path(hello["fastconv"]).is_relative_to(checkout):
            raise SystemExit(f"{checkout} holds no fastconv: {hello['fastconv']} was imported")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def seconds(self, problem: list[str], seconds: float) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"problem": problem, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with {self.process.wait()}; its last words stand above")
        return json.loads(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder of the checkout to compare with")
    parser.add_argument("new", type=Path, help="folder of the checkout in question")
    parser.add_argument("--groups", default=",".join(DEFAULT), help="which to time, divided by commas")
    parser.add_argument("--repeats", type=int, default=7, help="rounds; default: 7")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a problem's turn; default: 0.1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times of every round")
    arguments = parser.parse_args()
    groups = arguments.groups.split(",")
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    checkouts = arguments.old.resolve(), arguments.new.resolve()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}: times of a busy machine tell nothing")
    print("   old/new, median and range       old           new")
    ratios = []
    for group in groups:
        found = processes if group == "process" else problems
        ratios += found(checkouts, group, arguments.repeats, arguments.seconds)
    for group in (*groups, "all") if len(groups) > 1 else groups:
        medians = [ratio.median for ratio in ratios if group in (ratio.group, "all")]
        mean = math.exp(statistics.fmean(map(math.log, medians)))
        print(f"{group}: {len(medians)} problems, geometric mean {mean:.3f}, least {min(medians):.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps([ratio._asdict() for ratio in ratios], indent=1), encoding="utf-8")
    return 0


def environment(checkout: Path, **variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout), **variables}


def problems(checkouts: tuple[Path, Path], group: str, repeats: int, seconds: float) -> Iterator[Ratio]:
    """A group's problems, timed by a pair of fresh processes a round."""
    ratios: list[Ratio] = []
    for turn in range(repeats):
        with Worker(checkouts[0]) as old, Worker(checkouts[1]) as new:
            if not ratios:
                named = listed(checkouts[0], group) if group in SUITES else [[group, name] for name in old.named[group]]
                ratios = [Ratio(group, " ".join(problem[1:]), [], []) for problem in named]
            for ratio, problem in zip(ratios, named, strict=True):
                order = (old, new, new, old) if turn % 2 == 0 else (new, old, old, new)
                times = [(worker, worker.seconds(problem, seconds / 2)) for worker in order]
                for worker, side in ((old, ratio.old), (new, ratio.new)):
                    side.append(min(took for who, took in times if who is worker))
    for ratio in ratios:
        print(ratio, flush=True)
        yield ratio


def listed(checkout: Path, suite: str) -> list[list[str]]:
    """The problems of a suite, as a worker is asked for them."""
    found = subprocess.check_output([sys.executable, str(WORKER), suite], text=True, env=environment(checkout))
    return [["suite", *names] for names in json.loads(found)]


def processes(checkouts: tuple[Path, Path], group: str, repeats: int, seconds: float) -> Iterator[Ratio]:
    """Whole processes, from their start to their end; with an empty cache twice a checkout."""
    ratios = {name: Ratio(group, name, [], []) for name in PROGRAMS}
    for turn in range(2 * repeats + 1):  # the first fills the caches
        for name, program in PROGRAMS.items():
            pair = list(zip(checkouts, (ratios[name].old, ratios[name].new), strict=True))
            for checkout, times in pair[:: 1 if turn % 2 == 0 else -1]:
                took = duration(checkout, program)
                if turn:
                    times.append(took)
    cold = Ratio(group, "first result, empty cache", [], [])
    pair = list(zip(checkouts, (cold.old, cold.new), strict=True))
    for checkout, times in pair + pair[::-1]:
        with tempfile.TemporaryDirectory() as empty:
            times.append(duration(checkout, FIRST, FASTCONV_CACHE_DIR=empty))
    for ratio in (*ratios.values(), cold):
        print(ratio, flush=True)
        yield ratio


def duration(checkout: Path, program: str, **variables: str) -> float:
    """Seconds that a process takes in all."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment(checkout, **variables), cwd=checkout)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
