"""What each layer makes of one image, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..nn.basics.unknown import fits
from .figures import add_title, new_figure, styled
from .grids import show_image
from .receptive import is_channels_last
from .style import GREY

MOST = 8  # channels of a layer


@styled
def draw_feature_maps(model: Any, image: Any, layers: Sequence[str] | None = None, most: int = MOST) -> Any:
    """The image, then a row for each layer with the channels that vary most.

    Parameters
    ----------
    model : Sequential
    image : array_like, the shape of the model's input without the batch
    layers : sequence of str, optional
        Names of layers; by default all whose results are maps.
    most : int
        Channels of a layer at most.

    Returns
    -------
    Figure
    """
    x = np.asarray(image, np.float32)
    if model.input_shape is not None and not fits((1, *x.shape), model.input_shape):
        raise InvalidArgument(f"image has shape {x.shape}; the model takes {tuple(model.input_shape[1:])}")
    last = is_channels_last(model)
    maps = {name: _channels_last(y[0], last) for name, y in model.feature_maps(x[None]).items() if y.ndim == 4}
    if layers is not None:
        maps = {layer.name: maps[layer.name] for layer in map(model.get_layer, layers) if layer.name in maps}
    if not maps:
        raise InvalidArgument("no layer of those asked for has maps of two axes to draw")
    columns = min(most, max(y.shape[-1] for y in maps.values()))
    rows = len(maps) + 1
    figure, axes = new_figure((1.15 * columns + 1.7, 1.22 * rows + 0.5), rows, columns)
    for ax in axes:
        ax.set_axis_off()
    picture = _channels_last(x, last)
    show_image(axes[0], picture if picture.shape[-1] == 3 else picture[..., 0], vmin=0, vmax=1)
    _label(axes[0], "image", picture.shape)
    for row, (name, y) in enumerate(maps.items(), 1):
        top, low = float(y.max()), float(y.min())
        liveliest = np.argsort(-y.std(axis=(0, 1)), kind="stable")[:columns]
        for place, channel in enumerate(np.sort(liveliest)):
            ax = axes[row * columns + place]
            show_image(ax, y[..., channel], vmin=low, vmax=top if top > low else low + 1)
            ax.set_title(str(channel), fontsize=7, loc="center", pad=2, color=GREY)
        _label(axes[row * columns], name, y.shape)
    words = (
        f"The {columns} channels of each layer that vary most, with their numbers; "
        "black and white are a layer's least and largest number."
    )
    figure.supxlabel(words, fontsize=9, color=GREY)
    add_title(figure, "Feature maps: what each layer makes of the image")
    return figure


def _channels_last(x: np.ndarray, last: bool) -> np.ndarray:
    return x if last else np.moveaxis(x, 0, -1)


def _label(ax: Any, name: str, shape: tuple[int, ...]) -> None:
    words = f"{name}\n{'×'.join(map(str, shape))}"
    ax.text(-0.12, 0.5, words, transform=ax.transAxes, ha="right", va="center", fontsize=8)
