"""The pictures of a benchmark: the roofline of fastconv's fastest ways, and bars against each rival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..show.figures import new_figure, save_figure
from ..show.style import GREY, TEST, TRAINING

if TYPE_CHECKING:
    from ..measure import Entry, Peaks, Row

METHOD_COLORS = {"direct": TRAINING, "im2col": "#7a5195", "winograd": TEST, "fft": "#2a9d6f"}
RIVAL_COLORS = {
    "torch": TEST,
    "scipy": TRAINING,
    "opencv": "#2a9d6f",
    "onednn": "#7a5195",
    "onnxruntime": "#b5892b",
    "openvino": "#4c8bb5",
    "jax": "#a0466b",
    "skimage": "#6b705c",
}


def draw_roofline(path: Path, rows: Sequence[Row], peaks: Mapping[str, Peaks]) -> None:
    """Write each row's fastest way to a PNG file: operations per byte against GFLOP/s, under the measured peaks.

    Operations are those of the direct method, whatever the method: Winograd and Fourier methods may stand above the
    roof, since they get by with fewer.
    """
    figure, (ax,) = new_figure((9.6, 5.4))
    points = [(row, best) for row in rows if (best := fastest(row)) is not None and "pool" not in row.problem.op]
    xs = np.array([row.problem.flops / row.problem.bytes for row, _ in points])
    ys = np.array([row.speed(entry)[0] for row, entry in points])
    methods = [method_of(entry) for _, entry in points]
    for method in dict.fromkeys(methods):
        chosen = [i for i, name in enumerate(methods) if name == method]
        ax.scatter(xs[chosen], ys[chosen], s=34, color=METHOD_COLORS[method], label=method, zorder=3, linewidths=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = (xs.min() / 2, xs.max() * 2) if len(xs) else (1, 1000)
    reach = np.geomspace(low, high, 100)
    for dtype, peak in peaks.items():
        ax.plot(reach, np.minimum(peak.gflops, peak.copy_gbytes * reach), color=GREY, lw=1.5, zorder=2)
        label = f"{dtype}: {peak.gflops:.0f} GFLOP/s, {peak.copy_gbytes:.0f} GB/s"
        ax.annotate(label, (high, peak.gflops), (-4, 4), textcoords="offset points", ha="right", color=GREY, fontsize=9)
    ax.set_xlim(low, high)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.set_xlabel("operations of the direct method per byte of operands and result")
    ax.set_ylabel("GFLOP/s")
    ax.grid(which="major")
    if methods:
        ax.legend(frameon=False, loc="lower right")
    ax.set_title("fastconv under the machine's roof", loc="left")
    save_figure(figure, path)


def draw_ratios(path: Path, rows: Sequence[Row], rivals: Sequence[str]) -> None:
    """Write the ratios rival's time / fastconv's best way to a PNG file: a bar for each rival, from 1 to the ratio."""
    bars: list[tuple[float, str, float]] = []
    places, names, at = [], [], 0.0
    for row in rows:
        found = [(rival, value) for rival in rivals if (value := _ratio(row, rival)) is not None]
        if found:
            places.append(at + (len(found) - 1) / 2)
            names.append(f"{row.problem.label} {row.problem.layout}")
            bars += [(at + i, rival, value) for i, (rival, value) in enumerate(found)]
            at += len(found) + 0.6
    figure, (ax,) = new_figure((9.6, 1.6 + 0.21 * at))
    ax.set_xscale("log")
    for rival in rivals:
        mine = [(y, value) for y, name, value in bars if name == rival]
        ys, values = [y for y, _ in mine], np.array([value for _, value in mine])
        ax.barh(ys, values - 1, 0.9, left=1, color=RIVAL_COLORS[rival], label=f"{rival}'s time / fastconv's", zorder=3)
        for y, value in mine:
            side = (3, "left") if value >= 1 else (-3, "right")
            place = {"xytext": (side[0], 0), "textcoords": "offset points", "ha": side[1], "va": "center"}
            ax.annotate(f"{value:.2f}", (value, y), fontsize=8, **place)
    ax.axvline(1, color=GREY, lw=1.2, zorder=4)
    ax.set_yticks(places, names, fontsize=8)
    ax.set_ylim(at - 0.2, -0.8)
    ax.margins(x=0.12)
    ax.grid(axis="x")
    ax.xaxis.set_major_formatter("{x:g}×")
    ax.legend(
        frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(3, max(1, len(rivals))), borderaxespad=0.4
    )
    ax.set_xlabel("to the right: fastconv is faster (logarithmic)")
    save_figure(figure, path)


def fastest(row: Row) -> Entry | None:
    """fastconv's fastest way of those measured."""
    timed = [entry for entry in row.ours.values() if entry.timing is not None]
    return min(timed, key=lambda entry: entry.timing.minimum if entry.timing else 0.0, default=None)


def method_of(entry: Entry) -> str:
    """The method behind a way, planned or not."""
    return entry.variant.split(": ")[-1]


def _ratio(row: Row, rival: str) -> float | None:
    """By our fastest way, of those that the rival is compared with."""
    ratios = [row.ratio(method, rival) for method in row.ours]
    return max((ratio for ratio in ratios if ratio is not None), default=None)
