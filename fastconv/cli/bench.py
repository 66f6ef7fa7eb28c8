"""``fastconv bench``: check, then time, fastconv against the libraries installed here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument, nearest, shown
from ..files import display
from ..interrupts import exit_status
from . import figures, use_threads
from .choices import Choice
from .console import JSON_HELP, Column, check_target, progress, say, show_table, tell, write_json

if TYPE_CHECKING:
    from ..measure import Entry, Peaks, Rival, Row

SUITES = ("layers", "first", "double", "backward", "filters", "signal", "pool", "quick", "all")
AGAINST_HELP = "Rivals to time as well, by comma: torch, scipy, opencv; none for none.  [default: those installed]"
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
    json_file: str | None,
    plot_dir: str | None,
) -> None:
    """Measure fastconv against PyTorch, SciPy and OpenCV on this machine.

    Every result is first checked against float64 values computed from the definition. Then all contenders take turns
    in one process. A user's calls are timed: NumPy in, NumPy out, weights packed in every call but those of "plan".
    PyTorch gets tensors prepared in both of its layouts, and the better one counts.
    """
    from .. import measure

    check_target(json_file)
    _check_plots(plot_dir)
    use_threads(threads)
    if not suites and not problems:
        suites = ("quick",) if quick else ("layers",)
    chosen = [p for name in suites for p in measure.suite(name)]
    chosen += [measure.parse_problem(text) for text in problems]
    chosen = [measure.in_layout(p, layout) if layout else p for p in chosen]
    chosen = list(dict.fromkeys(measure.in_dtype(p, dtype) if dtype else p for p in chosen))
    rivals, missing = measure.find_rivals(None if against is None else tuple(_names(against, none=True)))
    wanted = _methods(methods)
    rows: list[Row] = []
    peaks = {kind: measure.measure_peaks(kind) for kind in dict.fromkeys(p.spec.dtype for p in chosen)}
    interrupt: KeyboardInterrupt | None = None
    try:
        with progress(len(chosen), "problems") as announce:
            for problem in chosen:
                announce(str(problem))
                rows.append(
                    measure.compare(problem, rivals, methods=wanted, seconds=seconds or (0.4 if quick else 2.0))
                )
    except KeyboardInterrupt as error:
        interrupt = error
        say(f"Interrupted after {len(rows)} of {len(chosen)} problems.")
    peaks = {kind: peak.or_better(measure.measure_peaks(kind)) for kind, peak in peaks.items()}
    rows = [replace(row, peaks=peaks[row.problem.spec.dtype]) for row in rows]
    if json_file:
        write_json(_report(rows, peaks.values()), json_file)
    if plot_dir and rows:
        _draw(Path(plot_dir), rows, rivals, peaks)
    if json_file != "-":
        _print_report(rows, rivals, peaks.values())
    for rival in missing:
        say(f"{rival.name} is not installed ({rival.install})")
    if interrupt is not None:
        sys.exit(exit_status(interrupt))
    _warn_of_others("the peaks were measured", [peak.disturbance for peak in peaks.values()])
    _warn_of_others("problems were timed", [row.disturbance for row in rows])
    if _complain(rows):
        sys.exit(1)


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


def _report(rows: list[Row], peaks: Iterable[Peaks]) -> dict[str, Any]:
    from dataclasses import asdict

    from ..measure import environment, summary

    return {
        "command": shlex.join(["fastconv", *sys.argv[1:]]),
        "environment": environment(),
        "peaks": [asdict(peak) for peak in peaks],
        "rows": [row.as_dict() for row in rows],
        "summary": summary(rows),
    }


def _print_report(rows: list[Row], rivals: list[Rival], peaks: Iterable[Peaks]) -> None:
    from ..measure import environment, summary

    facts = environment()
    machine = facts["machine"]
    tell(f"{machine['processor']}, {machine['instruction_set']}, {facts['threads']} threads, {facts['date']}")
    for peak in peaks:
        tell(f"measured peak: {peak.gflops:.0f} GFLOP/s {peak.dtype}, copy {peak.copy_gbytes:.0f} GB/s")
    tell(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    tell("")
    seen = [rival.name for rival in rivals if any(row.best(rival.name) for row in rows)]
    show_table(_columns(seen), [line for row in rows for line in _lines(row, seen)])
    means = summary(rows)
    for method, ratios in means.items():
        for rival, mean in ratios.items():
            tell(
                f"{method}: {mean['minimum']:.2f}× {rival} (by median {mean['median']:.2f}×, "
                f"least {mean['least']:.2f}×), geometric mean over {mean['rows']}"
            )
    if rows:
        tell(f"\n× is the rival's time / ours. To measure a problem again: {rows[0].command(seen)}")


def _columns(rivals: list[str]) -> list[Column]:
    columns = [
        Column("layer", text=True),
        Column("problem", text=True, spare=9),
        Column("layout", text=True, spare=5),
        Column("method", text=True),
        Column("min ms"),
        Column("median", spare=6),
        Column("±", spare=7),
        Column("speed"),
        Column("of peak", spare=3),
    ]
    for rival in rivals:
        columns += [Column(f"{rival} ms", spare=4), Column(f"× {rival}"), Column("by median", spare=8)]
    return columns


def _lines(row: Row, rivals: list[str]) -> list[list[str]]:
    """One line for each method that was timed; "auto" and the method it chose share theirs."""
    lines = []
    shown: set[str] = set()
    for method, entry in row.ours.items():
        if entry.variant in shown:
            continue
        shown.add(entry.variant)
        name = f"auto: {entry.variant}" if method == "auto" else method
        line = [row.problem.label, str(row.problem), row.problem.layout, name, *_figures(row, entry)]
        for rival in rivals:
            best, ratio = row.best(rival), row.ratio(method, rival)
            by_median = row.ratio(method, rival, "median")
            line += [_ms(best.timing.minimum) if best and best.timing else "-", _times(ratio), _times(by_median)]
        lines.append(line)
    return lines


def _figures(row: Row, entry: Entry) -> list[str]:
    if entry.timing is None:
        return ["-", "-", "-", "n/a", "-"]
    speed, unit = row.speed(entry)
    fraction = row.fraction(entry)
    return [
        _ms(entry.timing.minimum),
        _ms(entry.timing.median),
        f"{entry.timing.spread:.0%}",
        f"{speed:.{0 if speed >= 10 else 1}f} {unit}",
        "-" if fraction is None else f"{fraction:.0%}",
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _complain(rows: list[Row]) -> bool:
    """Tell of wrong results and of methods that could not serve; True where fastconv was wrong."""
    failed = False
    for row in rows:
        for entry in row.wrong:
            failed = failed or entry.who == "fastconv"
            say(f"{row.problem}: {entry.who} {entry.variant}: {entry.note}, tolerance {row.tolerance:.3g}; not timed")
        for entry in row.ours.values():
            if entry.note and entry not in row.wrong:
                say(f"{row.problem}: {entry.note}")
    return failed


def _warn_of_others(what: str, disturbances: list[float | None]) -> None:
    busy = [fraction for fraction in disturbances if fraction is not None and fraction > 0.1]
    if busy:
        say(f"Other processes used up to {max(busy):.0%} of the machine while {what}: take the figures with care.")
