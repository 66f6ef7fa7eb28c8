"""Everything there is to do on a machine with a GPU, in one run: ``python bench/gpu.py`` (or ``make gpu``).

Checks every CUDA row of the dispatch table against the oracle, runs some of that under compute-sanitizer, times
convolutions and pools beside PyTorch/cuDNN and CuPy where these are installed, trains, and writes all of it with date,
card and versions to docs/gpu, as it goes: a run that is cut off leaves what it has. Each part is a process of its own
with a time limit, for an illegal access makes a process useless.

Exit status: 0 if all that ran was right, 1 if something was wrong or failed, 2 if there is no GPU. A target of speed
that is missed is told of; it is not wrong.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from gpu_report import ROOT, Line, Report

PACKAGES = (
    "fastconv", "numpy", "numba", "llvmlite", "numba-cuda", "numba-cuda-mlir", "cuda-bindings", "cuda-toolkit",
    "nvidia-nvvm", "ml_dtypes", "torch", "cupy-cuda13x", "cupy-cuda12x",
)  # fmt: skip
MARK = "@@"  # begins what a part says; the rest of its output is the libraries'
AT_ONCE = 8  # parts that only check share the GPU


class Part(NamedTuple):
    """A piece of the run: its name, the command line's arguments for it, seconds it may take."""

    name: str
    arguments: tuple[str, ...]
    limit: float
    prefix: tuple[str, ...] = ()  # a command that runs it


def run_part(part: Part, report: Report, section: str) -> None:
    """Run a part in a process and add what it says; that it fails or takes too long is a line too."""
    command = [*part.prefix, sys.executable, str(Path(__file__).resolve()), "--part", *part.arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment,
        errors="replace",
    ) as process:
        late = threading.Event()
        timer = threading.Timer(part.limit, lambda: (late.set(), process.kill()))
        timer.start()
        other: list[str] = []
        assert process.stdout is not None
        for text in process.stdout:
            if text.startswith(MARK):
                report.add(section, Line(*json.loads(text[len(MARK) :])))
            else:
                other = [*other[-11:], text.rstrip()]
        status = process.wait()
        timer.cancel()
    if late.is_set():
        report.add(section, Line(f"{part.name}: stopped after {part.limit:.0f} s", "wrong"))
    elif status:
        report.add(section, Line(f"{part.name}: exit status {status}: {' / '.join(other)[-900:]}", "wrong"))


def say(lines: Iterator[Line]) -> None:
    """Print a part's lines for `run_part`; an error ends it with what was said so far."""
    for line in lines:
        print(MARK + json.dumps(line), flush=True)


def together(parts: Sequence[Part], report: Report, section: str, run: Callable[..., None]) -> None:
    """Run parts that only check at the same time."""
    with ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, (os.cpu_count() or 2) // 2))) as pool:
        list(pool.map(lambda part: run(part, report, section), parts))


def sections(rows: Sequence[str], sanitizer: str | None) -> dict[str, list[Part]]:
    """What is run, in order; parts of the first sections run together, those of the others alone."""
    checks = [Part(row, ("row", row), 600) for row in rows]
    tools = ("memcheck", "racecheck", "initcheck")
    options = ("--error-exitcode", "9", "--target-processes", "all")
    sanitized = [Part(t, ("small",), 150, (sanitizer, "--tool", t, *options)) for t in tools] if sanitizer else []
    return {
        "Smoke": [Part("smoke", ("smoke",), 90)],
        "Correctness": checks,
        "Sanitizer": sanitized,
        "What memory bounds": [Part("memory", ("memory",), 90)],
        "Convolutions": [Part("times", ("times",), 220)],
        "Training": [Part("training", ("training",), 120)],
    }


ALONE = ("What memory bounds", "Convolutions", "Training")


def machine(name: str) -> list[str]:
    """Card, driver and versions."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem",
        "--format=csv,noheader",
    ]
    smi = subprocess.run(query, capture_output=True, text=True).stdout.strip() if shutil.which(query[0]) else ""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    lines = [f"- card: {name}", f"- nvidia-smi: {smi or 'not installed'}", f"- Python {sys.version.split()[0]}"]
    lines += [f"- commit {commit.strip()}"] if commit else []
    for package in PACKAGES:
        try:
            lines.append(f"- {package} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"- {package}: not installed")
    return lines


def full_run(name: str, folder: Path, run: Callable[..., None] = run_part) -> bool:
    """Run all parts and write what they say; True if nothing is wrong."""
    import gpu_checks

    start, now = time.monotonic(), datetime.datetime.now(datetime.UTC)
    path = folder / f"{now:%Y-%m-%d}-{name.replace(' ', '-').lower()}.md"
    report = Report(path, [f"# {name}, {now:%Y-%m-%d %H:%M} UTC", "", *machine(name)])
    sanitizer = shutil.which("compute-sanitizer")
    for section, parts in sections(gpu_checks.row_names(), sanitizer).items():
        if section in ALONE:
            for part in parts:
                run(part, report, section)
        elif parts:
            together(parts, report, section, run)
        else:
            report.add(section, Line("compute-sanitizer is not installed: not run"))
    report.add(
        "Summary",
        Line(f"{'nothing is wrong' if report.right else 'something is wrong'}; {time.monotonic() - start:.0f} s"),
    )
    print(path)
    return report.right


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a part, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gpu", help="folder of the report (docs/gpu)")
    parser.add_argument(
        "--part", nargs="+", metavar="NAME", help="one part alone: smoke, row ROW, small, memory, times, training"
    )
    options = parser.parse_args(arguments)
    from fastconv.cuda import backend
    from fastconv.errors import DeviceMissing

    try:
        if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
            raise DeviceMissing("NUMBA_ENABLE_CUDASIM is set: that is a simulator, not a GPU")
        name = backend.require()
    except DeviceMissing as error:
        print(f"no GPU: {error}", file=sys.stderr)
        return 2
    if not options.part:
        return 0 if full_run(name, options.out) else 1
    import gpu_checks
    import gpu_memory
    import gpu_times
    import gpu_training

    parts = {
        "smoke": gpu_checks.smoke,
        "row": gpu_checks.one_row,
        "small": gpu_checks.small,
        "memory": gpu_memory.memory,
        "times": gpu_times.times,
        "training": gpu_training.training,
    }
    say(parts[options.part[0]](*options.part[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
