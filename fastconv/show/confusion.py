"""The confusion matrix of a classification, and what it says of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .figures import new_figure, styled
from .style import SHADES

CLASS_COLUMNS = ("class", "precision", "recall", "F1", "images")


class ClassFigures(NamedTuple):
    """How well a class is recognised.

    Parameters
    ----------
    name : str
    precision : float
        Share of what was taken for the class that is of it; NaN where nothing was.
    recall : float
        Share of the class that was taken for it; NaN where there is nothing of it.
    f1 : float
        Harmonic mean of the two, 2·TP / (2·TP + FP + FN).
    support : int
        Images of the class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def class_table(counts: Any, names: Sequence[str]) -> list[ClassFigures]:
    """Precision, recall, F1 and support of each class.

    Parameters
    ----------
    counts : array_like of int, (K, K)
        A confusion matrix: rows are labels, columns predictions.
    names : sequence of str

    Examples
    --------
    >>> class_table([[8, 2], [0, 10]], ["cat", "dog"])[0]
    ClassFigures(name='cat', precision=1.0, recall=0.8, f1=0.8888888888888888, support=10)
    """
    matrix = np.asarray(counts, np.int64)
    rows = []
    for number, name in enumerate(names):
        hits, taken, there = int(matrix[number, number]), int(matrix[:, number].sum()), int(matrix[number].sum())
        f1 = _share(2 * hits, taken + there)
        rows.append(ClassFigures(name, _share(hits, taken), _share(hits, there), f1, there))
    return rows


def class_row(row: ClassFigures) -> list[str]:
    """The figures of a class as text; what is a share of nothing is a dash."""
    shares = ["–" if share != share else f"{share:.4f}" for share in (row.precision, row.recall, row.f1)]
    return [row.name, *shares, f"{row.support:,}"]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


@styled
def draw_confusion_matrix(counts: Any, names: Sequence[str], title: str = "") -> Any:
    """Counts and the shares of the true class, which shade the cells.

    Parameters
    ----------
    counts : array_like of int, (K, K)
        Rows are labels, columns predictions.
    names : sequence of str
    title : str

    Returns
    -------
    Figure
    """
    counts = np.asarray(counts)
    n = len(names)
    side = max(4.8, 0.72 * n + 2.2)
    figure, (ax,) = new_figure((side + 0.9, side))
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    image = ax.imshow(share, cmap=SHADES, vmin=0, vmax=1)
    for i, j in np.ndindex(n, n):
        if counts[i, j]:
            color = "white" if share[i, j] > 0.55 else "#202124"
            ax.text(j, i - 0.12, f"{counts[i, j]}", ha="center", va="center", color=color, fontsize=9)
            ax.text(j, i + 0.22, _percent(share[i, j]), ha="center", va="center", color=color, fontsize=7)
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
    ax.set_title(title, pad=10)
    return figure


def _percent(share: float) -> str:
    """
    >>> _percent(0.123), _percent(0.0004), _percent(1.0)
    ('12.3%', '<0.1%', '100%')
    """
    return "100%" if share == 1 else "<0.1%" if share < 0.0005 else f"{share:.1%}"
