"""``fastconv warmup``: compile the common kernels ahead of time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from . import use_threads
from .choices import Choice
from .console import Column, progress, say, show_table

if TYPE_CHECKING:
    from ..measure import Tuned


@click.command()
@click.option("--dtype", type=Choice(["float32", "float64", "both"]), default="both", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads to use (default: all).")
@click.option("--tune", is_flag=True, help="Then measure the rates by which auto chooses methods on this machine.")
def warmup(dtype: str, threads: int | None, tune: bool) -> None:
    """Compile the common kernels into the cache, so that first calls are fast; show what was compiled.

    With --tune a few problems are timed by each method (some seconds; let nothing else run), and the rates that explain
    the times are kept in the cache folder: auto chooses by them from then on.
    """
    from .. import warming
    from ..simd.kernel_cache import kernel_cache_dir, problem

    use_threads(threads)
    dtypes = warming.DTYPES if dtype == "both" else (dtype,)
    started = time.perf_counter()
    with progress(len(warming.STEPS) * len(dtypes), "compiling") as announce:
        warmed = warming.warmup(dtypes, announce)
    rows = [(step.name, step.dtype, str(step.compiled), f"{step.seconds:.2f}") for step in warmed]
    columns = (Column("kernels of", text=True), Column("dtype", text=True), Column("compiled"), Column("seconds"))
    show_table(columns, rows)
    compiled = sum(step.compiled for step in warmed)
    what = f"{compiled} functions were compiled" if compiled else "nothing was left to compile"
    say(f"{what}; {time.perf_counter() - started:.1f} s; cache: {kernel_cache_dir()}")
    if unkept := problem():
        say(f"The next process will compile them again: {unkept}; free or correct the folder or set FASTCONV_CACHE_DIR")
    if tune:
        _tune()


def _tune() -> None:
    from .. import measure, rates

    started = time.perf_counter()
    with progress(len(measure.calibration()), "measuring") as announce:
        tuned = measure.tune(announce)
    heads = ["engine", "of", "GFLOP/s of tiles", "of transforms", "GB/s in cache", "in memory", "a call µs", "off by"]
    columns = [Column(head, text=i < 2) for i, head in enumerate(heads)]
    show_table(columns, [_rate(t) for t in tuned])
    say(f"Measured in {time.perf_counter() - started:.1f} s; kept in {rates.tuned_file()}")


def _rate(tuned: Tuned) -> list[str]:
    rate = tuned.rate
    speeds = [f"{1 / ns:.0f}" if ns else "-" for ns in (rate.tile, rate.vector, rate.cached, rate.memory)]
    return [tuned.engine, tuned.kind, *speeds, f"{rate.call / 1e3:.0f}", f"{2**tuned.error - 1:.0%}"]
