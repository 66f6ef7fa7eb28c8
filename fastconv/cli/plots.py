"""The pictures of a training run: learning curves and the confusion matrix, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figures import TEST, TRAINING, new_figure, save_figure


def draw_learning_curve(path: Path, history: Mapping[str, Sequence[float]], title: str) -> None:
    """Write loss and accuracy over the epochs to a PNG file; what is no finite number is a gap."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure((9.6, 4.0), 2)
    epochs = np.arange(1, len(history["loss"]) + 1)
    for ax, key, name in zip(axes, ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
        ends = []
        for prefix, label, color in (("", "training", TRAINING), ("val_", "test", TEST)):
            values = np.asarray(history.get(prefix + key, []), float)
            values[~np.isfinite(values)] = np.nan  # a gap
            ax.plot(epochs[: len(values)], values, color=color, lw=2, marker="o", ms=4, clip_on=False, zorder=3)
            there = np.flatnonzero(np.isfinite(values))
            if len(there):
                ends.append((float(values[there[-1]]), int(epochs[there[-1]]), label, color))
        ax.set_title(name, loc="left")
        ax.set_xlabel("epoch")
        ax.grid(axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(1, max(1.1, len(epochs)))
        ax.margins(y=0.12)
        _label_ends(ax, ends)
    figure.suptitle(title, x=0.012, ha="left", fontsize=12)
    save_figure(figure, path)


def draw_confusion_matrix(path: Path, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    """Write the confusion matrix to a PNG file: counts in the cells, shaded by the share of the true class."""
    n = len(names)
    side = max(4.4, 0.62 * n + 2.2)
    figure, (ax,) = new_figure((side + 0.9, side), 1)
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(n, n):
        if counts[i, j]:
            color = "white" if share[i, j] > 0.55 else "#202124"
            ax.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=color, fontsize=9)
    ax.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(n), names)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1.5)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    bar = figure.colorbar(image, ax=ax, fraction=0.042, pad=0.03, format=lambda value, _: f"{value:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    ax.set_title(title, loc="left", pad=10)
    save_figure(figure, path)


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
