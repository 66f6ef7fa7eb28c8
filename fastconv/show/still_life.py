"""A picture like a photograph, drawn by the package: a mug on a table, with edges and curves in every direction."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..nn.datasets.sketch import Field, coverage, ellipse, polygon, stroke

FINE = 2  # points drawn for a pixel, on each axis


@cache
def still_life(size: int = 192) -> np.ndarray:
    """The picture, grey in [0, 1].

    Parameters
    ----------
    size : int
        Rows and columns.

    Returns
    -------
    ndarray of float32, (size, size)
        The same array each time: not to be written to.
    """
    n = size * FINE
    axis = (np.arange(n, dtype=np.float32) + 0.5) * np.float32(192 / n)
    x, y = axis[None, :], axis[:, None]
    picture = _room(x, y)
    _window_light(picture, x, y)
    _mug(picture, x, y)
    _spoon(picture, x, y)
    grain = np.random.Generator(np.random.PCG64(3)).standard_normal((n, n), np.float32)
    picture += 0.022 * grain
    small = picture.reshape(size, FINE, size, FINE).mean(axis=(1, 3))
    result = np.clip(small, 0, 1).astype(np.float32)
    result.setflags(write=False)
    return result


def _lay(picture: Field, distance: Field, tone: Field | float) -> None:
    """Cover a part of the picture; distances are in units of the picture's 192."""
    share = coverage(distance * (len(picture) / 192))
    picture += share * (tone - picture)


def _room(x: Field, y: Field) -> Field:
    """A wall that darkens to the right, and a table with a grain."""
    picture = np.asarray(0.78 - 0.0016 * x + 0.0 * y, np.float32)
    board = 0.42 + 0.05 * np.sin(0.55 * y + 2 * np.sin(0.03 * x)) + 0.0006 * (y - 130)
    _lay(picture, 128 - y + 0 * x, board)
    return picture


def _window_light(picture: Field, x: Field, y: Field) -> None:
    """Two slanting panes of light on the wall."""
    for left in (12.0, 44.0):
        corners = ((left, 14.0), (left + 26, 22.0), (left + 26, 88.0), (left, 80.0))
        _lay(picture, polygon(x, y, *corners), 0.97 + 0 * x * y)


def _mug(picture: Field, x: Field, y: Field) -> None:
    """The body's tone follows a cylinder lit from the left; stripes go round it."""
    shadow = ellipse(x, y, (128.0, 160.0), (58.0, 9.0))
    share = np.clip(0.5 - shadow / 12, 0, 1)
    picture -= 0.22 * share
    ring = np.abs(np.sqrt(((x - 139) / 20) ** 2 + ((y - 108) / 24) ** 2) - 1.0) * 20 - 4.5
    _lay(picture, ring, 0.28 + 0.006 * (130 - y) + 0 * x)
    across = np.clip((x - 98) / 40, -1, 1)
    tone = 0.30 + 0.62 * np.sqrt(np.clip(1 - (across + 0.45) ** 2 / 2.1, 0, 1))
    body = np.maximum(np.abs(x - 98) - 40, np.maximum(74 - y, y - 150))
    rounded = np.minimum(body, ellipse(x, y, (98.0, 150.0), (40.0, 10.0)))
    _lay(picture, rounded, tone + 0 * y)
    for level in (112.0, 126.0):
        curved = level + 9 * np.sqrt(np.clip(1 - across**2, 0, 1))
        stripe = np.maximum(np.abs(y - curved) - 3.2, np.abs(x - 98) - 40)
        _lay(picture, stripe, tone * 0.35 + 0 * y)
    _lay(picture, ellipse(x, y, (98.0, 74.0), (40.0, 11.0)), 0.9 - 0.1 * across + 0 * y)
    _lay(picture, ellipse(x, y, (98.0, 75.0), (36.0, 8.6)), 0.16 + 0.05 * across + 0 * y)


def _spoon(picture: Field, x: Field, y: Field) -> None:
    _lay(picture, stroke(x, y, (46.0, 178.0), (18.0, 148.0), 3.0), 0.85 + 0 * x * y)
    _lay(picture, ellipse(x, y, (52.0, 182.0), (11.0, 6.0)), 0.9 - 0.01 * (x - 40) + 0 * y)
