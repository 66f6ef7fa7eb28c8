"""``fastconv info``: what fastconv found here."""

from __future__ import annotations

from typing import Any

import click

from . import use_threads
from .console import JSON_HELP, Column, check_target, show_table, write_json


@click.command()
@click.option("--measure", is_flag=True, help="Also measure the peak speeds of this machine (about a second).")
@click.option(
    "--threads", type=click.IntRange(1), help="Threads to use (default: FASTCONV_NUM_THREADS, else all processors)."
)
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
def info(measure: bool, threads: int | None, json_file: str | None) -> None:
    """Show the host, vector lanes, threads, cache and CUDA."""
    from ..measure import info as find_out
    from ..measure import measure_peaks

    check_target(json_file)
    use_threads(threads)
    facts = find_out()
    if measure:
        peaks = {dtype: measure_peaks(dtype) for dtype in ("float32", "float64")}
        facts["peaks"] = {
            **{f"{dtype}_gflops": round(peak.gflops, 1) for dtype, peak in peaks.items()},
            "copy_gbytes_per_s": round(peaks["float32"].copy_gbytes, 1),
        }
    if json_file:
        write_json(facts, json_file)
    if json_file != "-":
        show_table((Column("", text=True), Column("", text=True)), _lines(facts))


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    machine, cache, cuda = facts["machine"], facts["cache"], facts["cuda"]
    versions = facts["versions"]
    kept = f"; kernels are compiled anew by each process: {cache['problem']}" if cache["problem"] else ""
    lines = [
        ("fastconv", versions.get("fastconv", "not installed (running from the sources)")),
        ("Python", f"{versions['python']}, {machine['system']}, {machine['architecture']}"),
        ("processor", f"{machine['processor']}, {machine['logical_processors']} logical processors"),
        (
            "vector unit",
            f"{machine['instruction_set']}, {machine['vector_registers']} registers of {machine['float32_lanes']} "
            f"float32 or {machine['float64_lanes']} float64 lanes (code for {machine['compiled_for']}); bfloat16 is "
            + ("multiplied in pairs" if machine["bfloat16"] == "pairs" else "computed in float32"),
        ),
        ("threads", f"{facts['threads']}, {facts['threading_layer'] or 'none started yet'}"),
        ("kernel cache", f"{cache['kernels']}, {cache['files']} files, {cache['bytes'] / 1e6:.1f} MB{kept}"),
        ("data", f"FASTCONV_DATA is {cache['data'] or 'not set'}; downloads go to {cache['downloads']}"),
        ("CUDA", f"{cuda['device']}, by {cuda['target']}" if cuda["device"] else f"not available: {cuda['reason']}"),
        ("libraries", ", ".join(f"{n} {v}" for n, v in versions.items() if n not in ("fastconv", "python"))),
    ]
    lines += [("variable", f"{name}={value}") for name, value in facts["variables"].items()]
    if "peaks" in facts:
        peaks = facts["peaks"]
        lines.append(
            (
                "measured peak",
                f"{peaks['float32_gflops']} GFLOP/s float32, {peaks['float64_gflops']} float64, "
                f"copy {peaks['copy_gbytes_per_s']} GB/s",
            )
        )
    return lines
