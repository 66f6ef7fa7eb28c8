"""``fastconv bench``: check, then time, fastconv against the libraries installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import InvalidArgument, nearest, shown
from ..files import display
from ..interrupts import exit_status
from ..show import figures
from . import use_threads
from .bench_steps import OTHER_SUITES, PROBLEM_SUITES, Findings, Wanted, measure_all
from .choices import Choice
from .console import JSON_HELP, check_target, command_line, say, write_json

if TYPE_CHECKING:
    from ..measure import Peaks, Rival, Row

PARTIAL = ("suites", "problems", "methods", "layout", "dtype", "load", "quick")  # parameters that change the figures
SUITES = (*PROBLEM_SUITES, *OTHER_SUITES, "all")
AGAINST_HELP = (
    "Rivals to time as well, by comma: torch, scipy, opencv, onednn, onnxruntime, openvino, jax, skimage (templates "
    "only), keras (which trains only); none for none.  [default: those installed]"
)
LOAD_HELP = "Keep N processes busy beside the measurement: the times of a machine that others use."
CHECKOUT = "docs/measured of the checkout"  # what --save means without a folder
SAVE_HELP = (
    "With --all: keep the figures as this machine's file in a folder.  [without DIR: docs/measured of the checkout, "
    "and the README's table of machines]"
)
METHOD_HELP = "Methods to time, by comma: auto, plan (auto with weights packed before), direct, im2col, winograd, fft."


@click.command()
@click.option(
    "--quick", is_flag=True, help="A short run: the quick suite (unless one is named) and less time for each problem."
)
@click.option(
    "--suite", "suites", type=Choice(SUITES), multiple=True, help="Suite to run (repeatable).  [default: layers]"
)
@click.option("--all", "everything", is_flag=True, help="All suites but quick, as --suite all.")
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
    type=Choice(["float32", "float64", "bfloat16"]),
    help="Dtype of all problems.  [default: float32 for --problem, a suite's own]",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="Time for each problem.  [default: 2; quick: 0.4]"
)
@click.option("--threads", type=click.IntRange(1), help="Threads for fastconv and its rivals.  [default: all]")
@click.option("--load", type=click.IntRange(0, 64), default=0, metavar="N", help=LOAD_HELP)
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
@click.option("--save", "save_dir", is_flag=False, flag_value=CHECKOUT, metavar="[DIR]", help=SAVE_HELP)
@click.option("--plot", "plot_dir", metavar="DIR", help="Draw roofline.png and ratios.png into this folder.")
def bench(
    quick: bool,
    suites: tuple[str, ...],
    everything: bool,
    problems: tuple[str, ...],
    against: str | None,
    methods: str,
    layout: str | None,
    dtype: str | None,
    seconds: float | None,
    threads: int | None,
    load: int,
    json_file: str | None,
    save_dir: str | None,
    plot_dir: str | None,
) -> None:
    """Measure fastconv against PyTorch, SciPy, OpenCV and others on this machine.

    Every result is first checked against float64 values computed from the definition. Then all contenders take turns
    in one process. A user's calls are timed: NumPy in, NumPy out, weights packed in every call but those of "plan".
    PyTorch gets tensors prepared in both of its layouts, and the better one counts. The weights of onednn (PyTorch's
    oneDNN), onnxruntime, openvino and jax are packed before: they are compared with "plan" only.

    Suites of problems are layers, first, double, backward, filters, signal, pool, small, bfloat16 and quick. kernel
    times the emitted functions by themselves, train steps of training and of predicting, scipy calls of SciPy's
    functions and of fastconv's in their place; all is every suite but bfloat16 (which needs ml_dtypes) and quick.
    """
    from .. import measure
    from .bench_tables import complain, show, warn_of_others

    check_target(json_file)
    _check_plots(plot_dir)
    suites = (*suites, "all") if everything else suites
    folder = None if save_dir is None else _save_folder(save_dir)
    use_threads(threads)
    if not suites and not problems:
        suites = ("quick",) if quick else ("layers",)
    rivals, missing = measure.find_rivals(None if against is None else tuple(_names(against, none=True)))
    seconds = seconds or (0.4 if quick else 2.0)
    found = measure_all(Wanted(suites, problems, layout, dtype, _methods(methods), rivals, seconds), load)
    facts = measure.environment()
    if json_file:
        write_json(found.report(command_line(), facts), json_file)
    kept = "" if folder is None else _save(folder, found, facts)  # before anything is printed that could be lost
    if plot_dir and found.rows:
        _draw(Path(plot_dir), found.rows, rivals, found.peaks)
    if json_file != "-":
        show(found, facts, rivals)
    if missing:
        say(f"Not installed: {', '.join(f'{rival.name} ({rival.install})' for rival in missing)}")
    if kept:
        say(kept)
    if found.interrupt is not None:
        sys.exit(exit_status(found.interrupt))
    warn_of_others("the peaks were measured", [peak.disturbance for peak in found.peaks.values()])
    warn_of_others("problems were timed", found.disturbances())
    complain(found)
    if found.failed:
        sys.exit(1)


def _save_folder(given: str) -> Path:
    """The folder for --save; raises now, not after the work, where it could not be used or the figures not compared."""
    from ..measure import record

    given_options = {
        parameter.name: parameter.opts[0]
        for parameter in click.get_current_context().command.params
        if click.get_current_context().get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    }
    different = [given_options[name] for name in PARTIAL if name in given_options]
    if "everything" not in given_options or different:
        wrong = f"; {', '.join(different)} would give others" if different else ""
        raise InvalidArgument(f"--save keeps the figures of all suites as they are: it needs --all{wrong}")
    return record.check_folder("" if given == CHECKOUT else given)


def _save(folder: Path, found: Findings, facts: dict[str, Any]) -> str:
    """Keep the figures, where they are whole and right; returns what came of it."""
    from ..measure import record

    if found.interrupt is not None or found.failed:
        return f"Nothing is saved: {'a result was wrong' if found.interrupt is None else 'not all was measured'}."
    disturbances = [*found.disturbances(), *(peak.disturbance for peak in found.peaks.values())]
    text = record.written(command_line(), facts, found.peaks.values(), found.parts, disturbances)
    return f"Saved: {', '.join(map(display, record.save(folder, text, facts)))}"


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
