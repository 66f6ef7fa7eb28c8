"""Loss and accuracy over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .figures import add_title, new_figure, styled
from .style import GREY, TEST, TRAINING

RUNNING_MEAN = (
    "Training: mean over the epoch's batches as they were trained on, each with the weights of its time, dropout and "
    "batch statistics on.\nTest: all test images after the epoch, with the weights at its end, dropout off. "
    "The two are not the same measure: early training figures lag behind."
)


@styled
def draw_learning_curve(history: Mapping[str, Sequence[float]], title: str = "", note: str = RUNNING_MEAN) -> Any:
    """Loss and accuracy of training and test; what is no finite number is a gap.

    Parameters
    ----------
    history : mapping of lists
        "loss" and, as far as there, "accuracy", "val_loss", "val_accuracy": a number for each epoch.
    title : str
    note : str
        What the two curves mean, below them.

    Returns
    -------
    Figure
    """
    from matplotlib.ticker import MaxNLocator

    panels = [(key, name) for key, name in (("loss", "Loss"), ("accuracy", "Accuracy")) if history.get(key)]
    figure, axes = new_figure((4.9 * len(panels), 4.3), columns=len(panels))
    epochs = np.arange(1, len(history["loss"]) + 1)
    for ax, (key, name) in zip(axes, panels, strict=True):
        ends = []
        for prefix, label, color, mark in (("", "training", TRAINING, "o"), ("val_", "test", TEST, "s")):
            values = np.asarray(history.get(prefix + key, []), float)
            values[~np.isfinite(values)] = np.nan  # a gap
            style = {"color": color, "lw": 2, "marker": mark, "ms": 4, "ls": "-" if prefix else "--"}
            ax.plot(epochs[: len(values)], values, clip_on=False, zorder=3, **style)
            there = np.flatnonzero(np.isfinite(values))
            if len(there):
                ends.append((float(values[there[-1]]), int(epochs[there[-1]]), label, color))
        ax.set_title(name)
        ax.set_xlabel("epoch")
        ax.grid(axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(1, max(1.1, len(epochs)))
        ax.margins(y=0.12)
        _label_ends(ax, ends)
    add_title(figure, title)
    figure.supxlabel(note, x=0.012, ha="left", fontsize=8, color=GREY)
    return figure


def _label_ends(ax: Any, ends: list[tuple[float, int, str, str]]) -> None:
    """Name each line at its last point; two that would touch are moved apart."""
    low, high = ax.get_ylim()
    least = 0.07 * (high - low)
    places = [value for value, *_ in ends]
    if len(places) == 2 and abs(places[0] - places[1]) < least:
        middle, upper = sum(places) / 2, places[0] >= places[1]
        places = [middle + least / 2, middle - least / 2] if upper else [middle - least / 2, middle + least / 2]
    for (value, epoch, label, color), y in zip(ends, places, strict=True):
        form = ".3f" if abs(value) < 1e4 else ".3g"
        ax.annotate(
            f"{label} {value:{form}}", (epoch, y), (8, 0), textcoords="offset points", va="center", color=color,
            annotation_clip=False,
        )  # fmt: skip
