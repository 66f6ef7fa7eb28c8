"""``fastconv warmup``: compile the common kernels ahead of time."""

from __future__ import annotations

import time

import click

from . import use_threads
from .console import Column, progress, say, show_table


@click.command()
@click.option("--dtype", type=click.Choice(["float32", "float64", "both"]), default="both", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads to use (default: all).")
def warmup(dtype: str, threads: int | None) -> None:
    """Compile the common kernels into the cache, so that first calls are fast; show what was compiled."""
    from .. import warming
    from ..simd.jit import kernel_cache_dir

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
