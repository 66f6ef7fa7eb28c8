"""``fastconv bench``: check, then time, fastconv against the libraries installed here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument, nearest, shown
from ..files import display
from ..interrupts import exit_status
from . import figures, use_threads
from .choices import Choice
from .console import JSON_HELP, check_target, progress, say, write_json

if TYPE_CHECKING:
    from ..measure import Peaks, Problem, Rival, Row

SUITES = ("layers", "first", "double", "backward", "filters", "signal", "pool", "small", "quick", "all")
AGAINST_HELP = "Rivals to time as well, by comma: torch, scipy, opencv; none for none.  [default: those installed]"
LOAD_HELP = "Keep N processes busy beside the measurement: the times of a machine that others use."
METHOD_HELP = "Methods to time, by comma: auto, plan (auto with weights packed before), direct, im2col, winograd, fft."


@click.command()
@click.option(
    "--quick", is_flag=True, help="A short run: the quick suite (unless one is named) and less time for each problem."
)
@click.option(
    "--suite", "suites", type=Choice(SUITES), multiple=True, help="Suite to run (repeatable).  [default: layers]"
)
@click.option(
    "--problem",
    "problems",
    metavar="STRING",
    multiple=True,
    help="Problem such as conv:n8c64h56w56_o64k3s1p1 (repeatable).",
)
@click.option("--against", metavar="NAMES", help=AGAINST_HELP)
@click.option("--method", "methods", metavar="NAMES", default="auto,plan,direct", show_default=True, help=METHOD_HELP)
@click.option(
    "--layout",
    type=Choice(["NHWC", "NCHW"]),
    help="Layout of all problems.  [default: NHWC for --problem, a suite's own]",
)
@click.option(
    "--dtype",
    type=Choice(["float32", "float64"]),
    help="Dtype of all problems.  [default: float32 for --problem, a suite's own]",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="Time for each problem.  [default: 2; quick: 0.4]"
)
@click.option("--threads", type=click.IntRange(1), help="Threads for fastconv and its rivals.  [default: all]")
@click.option("--load", type=click.IntRange(0, 64), default=0, metavar="N", help=LOAD_HELP)
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
@click.option("--plot", "plot_dir", metavar="DIR", help="Draw roofline.png and ratios.png into this folder.")
def bench(
    quick: bool,
    suites: tuple[str, ...],
    problems: tuple[str, ...],
    against: str | None,
    methods: str,
    layout: str | None,
    dtype: str | None,
    seconds: float | None,
    threads: int | None,
    load: int,
    json_file: str | None,
    plot_dir: str | None,
) -> None:
    """Measure fastconv against PyTorch, SciPy and OpenCV on this machine.

    Every result is first checked against float64 values computed from the definition. Then all contenders take turns
    in one process. A user's calls are timed: NumPy in, NumPy out, weights packed in every call but those of "plan".
    PyTorch gets tensors prepared in both of its layouts, and the better one counts.
    """
    from .. import measure
    from .bench_tables import complain, show_foot, show_head, show_rows, warn_of_others

    check_target(json_file)
    _check_plots(plot_dir)
    use_threads(threads)
    if not suites and not problems:
        suites = ("quick",) if quick else ("layers",)
    parts = _parts(suites, problems, layout, dtype)
    rivals, missing = measure.find_rivals(None if against is None else tuple(_names(against, none=True)))
    options = {"methods": _methods(methods), "seconds": seconds or (0.4 if quick else 2.0)}
    dtypes = list(dict.fromkeys(p.spec.dtype for part in parts.values() for p in part))
    peaks = {kind: measure.measure_peaks(kind) for kind in dtypes}
    found, interrupt = _measure(parts, rivals, options, load)
    peaks = {kind: peak.or_better(measure.measure_peaks(kind)) for kind, peak in peaks.items()}
    found = {name: [replace(row, peaks=peaks[row.problem.spec.dtype]) for row in part] for name, part in found.items()}
    rows = [row for part in found.values() for row in part]
    if json_file:
        write_json(_report(found, peaks, load), json_file)
    if plot_dir and rows:
        _draw(Path(plot_dir), rows, rivals, peaks)
    if json_file != "-":
        show_head(measure.environment(), peaks.values(), load)
        for name, part in found.items():
            show_rows(part, rivals, _title(name, found))
        if rows:
            show_foot(rows[0], [rival for rival in rivals if any(row.best(rival.name) for row in rows)])
    for rival in missing:
        say(f"{rival.name} is not installed ({rival.install})")
    if interrupt is not None:
        sys.exit(exit_status(interrupt))
    warn_of_others("the peaks were measured", [peak.disturbance for peak in peaks.values()])
    warn_of_others("problems were timed", [row.disturbance for row in rows])
    if complain(rows):
        sys.exit(1)


def _parts(
    suites: Sequence[str], problems: Sequence[str], layout: str | None, dtype: str | None
) -> dict[str, list[Problem]]:
    """The problems of each suite, and under "" those named one by one; none twice."""
    from .. import measure

    wanted = [(name, measure.suite(name)) for name in dict.fromkeys(suites)]
    wanted.append(("", [measure.parse_problem(text) for text in problems]))
    parts: dict[str, list[Problem]] = {}
    seen: set[Problem] = set()
    for name, part in wanted:
        for problem in part:
            problem = measure.in_layout(problem, layout) if layout else problem
            problem = measure.in_dtype(problem, dtype) if dtype else problem
            if problem not in seen:
                seen.add(problem)
                parts.setdefault(name, []).append(problem)
    return parts


def _measure(
    parts: Mapping[str, list[Problem]], rivals: list[Rival], options: Mapping[str, Any], load: int
) -> tuple[dict[str, list[Row]], KeyboardInterrupt | None]:
    """The rows of each part, and what interrupted the measurement."""
    from .. import measure
    from ..measure.load import Load

    found: dict[str, list[Row]] = {}
    total, done = sum(map(len, parts.values())), 0
    busy = Load(load)
    try:
        with busy, progress(total, "problems") as announce:
            for name, problems in parts.items():
                for problem in problems:
                    announce(str(problem))
                    row = replace(measure.compare(problem, rivals, **options), load=load)
                    found.setdefault(name, []).append(row)
                    done += 1
    except KeyboardInterrupt as interrupt:
        say(f"Interrupted after {done} of {total} problems.")
        return found, interrupt
    if busy.lost:
        say(f"{busy.lost} of the {load} busy processes ended before the measurement did: take the figures with care.")
    return found, None


def _check_plots(folder: str | None) -> None:
    """Fail now, not after the work, if the pictures cannot be drawn."""
    if folder is None:
        return
    if not figures.available():
        raise InvalidArgument("--plot needs matplotlib, which is not installed: pip install 'fastconv[plots]'")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InvalidArgument(
            f"--plot is {shown(display(folder))}, which is no folder and cannot be made one: {reason}"
        ) from None


def _draw(folder: Path, rows: list[Row], rivals: list[Rival], peaks: dict[str, Peaks]) -> None:
    from .bench_plots import draw_ratios, draw_roofline

    draw_roofline(folder / "roofline.png", rows, peaks)
    seen = [rival.name for rival in rivals if any(row.best(rival.name) for row in rows)]
    draw_ratios(folder / "ratios.png", rows, seen)
    say(f"Drawn: {display(folder / 'roofline.png')}, {display(folder / 'ratios.png')}")


def _names(text: str, none: bool = False) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return [] if none and names == ["none"] else names


def _methods(text: str) -> list[str]:
    from ..dispatch import METHODS
    from ..measure.rows import PLAN

    names = list(dict.fromkeys(_names(text)))
    known = (*METHODS, PLAN)
    if not names or not set(names) <= set(known):
        unknown = next((name for name in names if name not in known), "")
        raise InvalidArgument(
            f"--method is {shown(text)}; expected some of {', '.join(known)}, by comma{nearest(unknown, known)}"
        )
    return names


def _report(found: Mapping[str, list[Row]], peaks: Mapping[str, Peaks], load: int) -> dict[str, Any]:
    """Everything, for --json; with the summary of all rows, and of each suite's."""
    from ..measure import environment, summary

    rows = [row for part in found.values() for row in part]
    return {
        "command": shlex.join(["fastconv", *sys.argv[1:]]),
        "environment": environment(),
        "load": load,
        "peaks": [asdict(peak) for peak in peaks.values()],
        "rows": [row.as_dict() for row in rows],
        "summary": summary(rows),
        "suites": {name: summary(part) for name, part in found.items() if name},
    }


def _title(name: str, found: Mapping[str, Any]) -> str:
    """The heading of a table, where there is more than one."""
    return "" if len(found) < 2 else f"suite {name}" if name else "--problem"
