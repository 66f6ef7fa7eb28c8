"""``fastconv explain``: why auto takes the method it takes."""

from __future__ import annotations

from dataclasses import asdict

import click

from . import use_threads
from .choices import Choice
from .console import JSON_HELP, check_target, tell, write_json


@click.command()
@click.argument("problem")
@click.option("--layout", type=Choice(["NHWC", "NCHW"]), default="NHWC", show_default=True)
@click.option("--dtype", type=Choice(["float32", "float64", "bfloat16"]), default="float32", show_default=True)
@click.option("--plan", "prepared", is_flag=True, help="Weights packed or transformed beforehand, as in a plan.")
@click.option("--predict", is_flag=True, help="Do not measure, only predict.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Time for measuring."
)
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
def explain(
    problem: str,
    layout: str,
    dtype: str,
    prepared: bool,
    predict: bool,
    seconds: float,
    threads: int | None,
    json_file: str | None,
) -> None:
    """Show each method's predicted and measured time for PROBLEM, such as conv:n8c64h56w56_o64k3s1p1.

    PROBLEM may be a pool, such as max_pool:n8c64h112w112_k2s2p0. A method that cannot serve the problem says why, the
    others which kernel serves it. Times are those of a call from Python, memory is what the method needs beside the
    operands and the result.
    """
    from .. import measure

    check_target(json_file)
    use_threads(threads)
    wanted = measure.parse_problem(problem, layout=layout, dtype=dtype)
    explanation = measure.explain_problem(wanted, prepared=prepared, seconds=0 if predict else seconds)
    if json_file:
        facts = {"problem": str(wanted), "layout": wanted.layout, "dtype": dtype, "prepared": prepared}
        candidates = [asdict(candidate) for candidate in explanation.candidates]
        write_json({**facts, "chosen": explanation.chosen, "candidates": candidates}, json_file)
    if json_file != "-":
        tell(str(explanation))
