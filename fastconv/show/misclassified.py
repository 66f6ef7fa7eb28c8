"""The images that a model takes for something else, its surest mistakes first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .figures import add_title, new_figure, styled
from .grids import show_image

COLUMNS = 8


@styled
def draw_misclassified(images: Any, labels: Any, shares: Any, names: Sequence[str], most: int = 24) -> Any:
    """Wrongly classified images with what they are, what the model says, and how sure it is.

    Parameters
    ----------
    images : array_like, (N, H, W, C)
        In [0, 1].
    labels : array_like of int, (N,)
    shares : array_like, (N, K)
        What the model says: rows of probabilities.
    names : sequence of str
        Of the classes.
    most : int

    Returns
    -------
    Figure
    """
    images, labels, shares = np.asarray(images), np.asarray(labels), np.asarray(shares)
    taken = shares.argmax(axis=1)
    wrong = np.flatnonzero(taken != labels)
    wrong = wrong[np.argsort(-shares[wrong, taken[wrong]], kind="stable")]
    count = min(most, len(wrong))
    title = f"{len(wrong):,} of {len(labels):,} images are misclassified"
    if count == 0:
        figure, (ax,) = new_figure((6, 1.5))
        ax.set_axis_off()
        add_title(figure, f"Every one of {len(labels):,} images is classified right")
        return figure
    columns = min(COLUMNS, max(4, count))
    rows = math.ceil(count / columns)
    figure, axes = new_figure((1.62 * columns, 2.0 * rows + 0.5), rows, columns)
    for ax in axes:
        ax.set_axis_off()
    for ax, i in zip(axes, wrong[:count], strict=False):
        picture = images[i]
        options: dict[str, Any] = {} if picture.shape[-1] == 3 else {"vmin": 0, "vmax": 1}
        show_image(ax, picture if picture.shape[-1] == 3 else picture[..., 0], **options)
        words = f"{names[labels[i]]}\n→ {names[taken[i]]} {shares[i, taken[i]]:.0%}"
        ax.set_title(words, fontsize=7.5, loc="left", pad=3)
    add_title(figure, f"{title}; the surest {count}: what it is → what the model says")
    return figure
