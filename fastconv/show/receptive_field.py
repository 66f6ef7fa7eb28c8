"""Receptive fields: how much of the image one unit of each layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from .figures import add_title, new_figure, styled
from .grids import draw_window
from .receptive import ReceptiveField, input_size, receptive_fields
from .style import GREY, INK, PALE, SERIES

SEEING = ("Conv", "Pool", "Padding", "Depthwise", "Separable")  # in the class names of layers worth a frame


def table_of(fields: Sequence[ReceptiveField]) -> list[tuple[str, ...]]:
    """Rows of text, the first with the names of the columns: layer, units, receptive field, jump, share.

    Examples
    --------
    >>> table_of([ReceptiveField("c", "Conv2D", (26, 26), (3, 3), (1.0, 1.0), ((13, 15), (13, 15)), 9 / 784)])[1]
    ('c', 'Conv2D', '26×26', '3×3', '1', '1.15 %')
    """
    rows: list[tuple[str, ...]] = [("layer", "kind", "units", "receptive field", "jump", "of the image")]
    for field in fields:
        jump = "×".join(dict.fromkeys(f"{round(j, 2):g}" for j in field.jump)) if any(field.jump) else "\N{EN DASH}"
        size, units = ("×".join(map(str, n)) for n in (field.size, field.output))
        rows.append((field.layer, field.kind, units, size, jump, f"{100 * field.share:.3g} %"))
    return rows


def tables(models: Any) -> list[list[tuple[str, ...]]]:
    """`table_of` the fields of a model, or of each of a list."""
    return [table_of(receptive_fields(model)) for model in (models if isinstance(models, (list, tuple)) else [models])]


@styled
def draw_receptive_field(models: Any, backdrop: Any = None) -> Any:
    """The fields of the middle units as frames on an image, beside the table of all layers.

    Parameters
    ----------
    models : Sequential, or list of them
        Of images; a row of the figure each.
    backdrop : array_like, (H, W) or (H, W, C), optional
        An image of the size of the models' input, in [0, 1]; nothing but a frame by default.

    Returns
    -------
    Figure
    """
    models = list(models) if isinstance(models, (list, tuple)) else [models]
    if not models:
        raise InvalidArgument("draw_receptive_field got no model; give it one or more")
    shown = [_shown(receptive_fields(model)) for model in models]
    heights = [max(3.6, 0.3 * len(fields) + 1.2) for fields in shown]
    figure, axes = new_figure((12, sum(heights) + 0.5), len(models), 2, width_ratios=[1, 2.1], height_ratios=heights)
    for model, fields, left, right in zip(models, shown, axes[::2], axes[1::2], strict=True):
        if len(fields[0].size) != 2:
            raise InvalidArgument(f"the model's input has shape {model.input_shape}; frames are drawn on images")
        _draw_frames(left, model, fields, backdrop)
        _draw_table(right, fields)
    add_title(figure, "Receptive fields: what the middle unit of each layer sees of the image")
    return figure


def _shown(fields: Sequence[ReceptiveField]) -> list[ReceptiveField]:
    """The layers that look further than the one before, and all with windows."""
    return [f for i, f in enumerate(fields) if i == 0 or f.size != fields[i - 1].size or _has_window(f)]


def _has_window(field: ReceptiveField) -> bool:
    return any(word in field.kind for word in SEEING)


def _draw_frames(ax: Any, model: Any, fields: Sequence[ReceptiveField], image: Any) -> None:
    height, width = input_size(model)
    picture = np.full((height, width), 0.9) if image is None else np.asarray(image)
    ax.imshow(picture.squeeze(), vmin=0, vmax=1, extent=(0, width, height, 0), alpha=0.55 if image is not None else 1)
    low_y, high_y = (min(0, *(f.centre[0][0] for f in fields)), max(height, *(f.centre[0][1] + 1 for f in fields)))
    low_x, high_x = (min(0, *(f.centre[1][0] for f in fields)), max(width, *(f.centre[1][1] + 1 for f in fields)))
    for number, field in enumerate(fields):
        (top, bottom), (left, right) = field.centre
        color = SERIES[number % len(SERIES)]
        draw_window(ax, (left, top), (right - left + 1, bottom - top + 1), color, "-" if number % 2 == 0 else "--", 2)
    draw_window(ax, (0, 0), (width, height), GREY, width=1)
    ax.set_xlim(max(low_x, -width) - 0.5, min(high_x, 2 * width) + 0.5)
    ax.set_ylim(min(high_y, 2 * height) + 0.5, max(low_y, -height) - 0.5)
    ax.set_title(f"input {height}×{width}", fontsize=10)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=2, labelsize=8)


def _draw_table(ax: Any, fields: Sequence[ReceptiveField]) -> None:
    ax.set_axis_off()
    rows = table_of(fields)
    places = (0.05, 0.31, 0.53, 0.67, 0.85, 1.0)
    step = min(0.085, 0.9 / len(rows))
    for line, row in enumerate(rows):
        y = 0.97 - step * line
        for number, (x, text) in enumerate(zip(places, row, strict=True)):
            color = GREY if line == 0 else INK
            align = "left" if number < 2 else "right"
            ax.text(x, y, text, transform=ax.transAxes, ha=align, va="center", fontsize=9, color=color)
        if line:
            color = SERIES[(line - 1) % len(SERIES)]
            style = "-" if line % 2 else "--"
            ax.plot([0, 0.035], [y, y], color=color, lw=2.4, ls=style, transform=ax.transAxes, clip_on=False)
    ax.plot([0, 1], [0.97 - step / 2] * 2, color=PALE, lw=1, transform=ax.transAxes)
