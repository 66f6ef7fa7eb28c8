"""Drawing many small pictures at once: antialiased shapes, texture, random pose, noise; the same bits everywhere.

A shape is its signed distance, in pixels and negative inside, over a batch of images; the part of a pixel it covers is
``0.5 - distance`` cut to 0..1. To get the same bytes on every platform and NumPy version, all numbers come from the raw
words of PCG64 (the streams of `numpy.random.Generator` may change) and all arithmetic is elementwise float32
``+ - * / sqrt floor min max``, which IEEE 754 rounds in one way only: no sine, no sum over an axis, no matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import arguments

SIZE = 28
BATCH = 250  # images drawn at once: their arrays (0.8 MB each) stay in a core's cache

Field = NDArray[Any]  # float32; NumPy's stubs say float64 for an array of it times a Python number
Number = float | Field
Point = tuple[Number, Number]
Drawn = TypeVar("Drawn")  # samples and labels


class Random:
    """Numbers from the raw 64-bit words of PCG64, whose stream NumPy promises to keep."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def words(self, n: int) -> NDArray[np.uint64]:
        """The next `n` words."""
        return self._bits.random_raw(n)

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0) -> Field:
        """`n` numbers in [low, high), as (n, 1, 1) to broadcast against images."""
        unit = (self.words(n) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return (unit * np.float32(high - low) + np.float32(low)).reshape(n, 1, 1)

    def noise(self, shape: tuple[int, ...]) -> Field:
        """Bell-shaped noise of mean 0 and variance 1: sums of four random bytes."""
        count = int(np.prod(shape))
        octets = self.words((count + 1) // 2).astype("<u8").view(np.uint8)[: 4 * count].reshape(count, 4)
        total = octets[:, 0].astype(np.int16) + octets[:, 1] + octets[:, 2] + octets[:, 3]
        return ((total.astype(np.float32) - np.float32(510.0)) * np.float32(1.0 / 147.8)).reshape(shape)


def shuffled_labels(random: Random, n: int, classes: int) -> NDArray[np.uint8]:
    """`n` numbers of classes, one as often as the next (±1), in random order."""
    labels = (np.arange(n) % classes).astype(np.uint8)
    return labels[np.argsort(random.words(n), kind="stable")]


def train_and_test(
    draw: Callable[[int, tuple[int, ...]], Drawn], most: int, data_dir: Any, **numbers: Any
) -> tuple[Drawn, Drawn]:
    """What `load_data` of a drawn data set returns; its arguments n_train, n_test and seed are checked.

    Parameters
    ----------
    draw : callable
        ``draw(n, seed)`` gives samples and labels.
    most : int
        Samples of a set.
    """
    if data_dir is not None:
        arguments.path("load_data", "data_dir", data_dir)
    sizes = [arguments.whole("load_data", name, numbers[name], 0, most) for name in ("n_train", "n_test")]
    seed = arguments.whole("load_data", "seed", numbers["seed"], 0)
    return draw(sizes[0], (seed, 0)), draw(sizes[1], (seed, 1))


def wave(t: Field) -> Field:
    """A sine-like wave of period 1 and height 1, made of parabolas."""
    s = t - np.floor(t) - np.float32(0.5)
    return 8.0 * s * (2.0 * np.abs(s) - 1.0)


def ellipse(x: Field, y: Field, centre: Point, radii: Point) -> Field:
    """Distance to an ellipse, exact for a circle and near the outline of one that is not too flat."""
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    return (np.sqrt(u * u + v * v) - 1.0) * np.float32(np.minimum(radii[0], radii[1]))


def polygon(x: Field, y: Field, *points: Point) -> Field:
    """Distance to the convex polygon through `points`, clockwise on the screen (y points down)."""
    distance: Field | None = None
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        edge_x, edge_y = np.float32(x1 - x0), np.float32(y1 - y0)
        length = np.sqrt(edge_x * edge_x + edge_y * edge_y)
        edge = (x - x0) * (edge_y / length) - (y - y0) * (edge_x / length)
        distance = edge if distance is None else np.maximum(distance, edge)
    assert distance is not None
    return distance


def stroke(x: Field, y: Field, start: Point, end: Point, width: Number) -> Field:
    """Distance to a line from `start` to `end` with round ends, `width` pixels wide."""
    edge_x, edge_y = end[0] - start[0], end[1] - start[1]
    u, v = x - start[0], y - start[1]
    t = np.clip((u * edge_x + v * edge_y) / (edge_x * edge_x + edge_y * edge_y), 0.0, 1.0)
    u, v = u - t * edge_x, v - t * edge_y
    return np.sqrt(u * u + v * v) - 0.5 * width


def union(*distances: Field) -> Field:
    """Distance to all shapes together."""
    out = distances[0]
    for distance in distances[1:]:
        out = np.minimum(out, distance)
    return out


def without(distance: Field, *holes: Field) -> Field:
    """Distance to a shape with `holes` taken out."""
    for hole in holes:
        distance = np.maximum(distance, -hole)
    return distance


def coverage(distance: Field) -> Field:
    """The part of each pixel that a shape covers."""
    return np.clip(0.5 - distance, 0.0, 1.0)


class Canvas:
    """`n` pictures in the making: garment coordinates `x`, `y` (pixels, centre 0, y down), what is covered, how bright.

    Drawings use `x`, `y` and, for what is symmetric, `m` = abs(x); the pose of each picture is in the coordinates.
    """

    def __init__(self, random: Random, n: int) -> None:
        self.random, self.n = random, n
        axis = np.arange(SIZE, dtype=np.float32) - np.float32((SIZE - 1) / 2)
        column, row = axis[None, None, :] - self.draw(-3.2, 3.2), axis[None, :, None] - self.draw(-2.6, 2.6)
        # Half the angle's tangent gives the rotation without a sine: cos = (1-t*t)/(1+t*t), sin = 2t/(1+t*t).
        t = self.draw(-0.07, 0.07) + self.draw(-0.07, 0.07)
        cos, sin = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
        wide, tall, shear = self.draw(0.84, 1.1), self.draw(0.88, 1.12), self.draw(-0.08, 0.08)
        self.y = (row * cos - column * sin) * tall
        self.x = (column * cos + row * sin) * wide + self.y * shear
        self.m = np.abs(self.x)
        self.ink: Field = np.zeros((n, SIZE, SIZE), np.float32)
        self.tone: Field = np.ones((n, SIZE, SIZE), np.float32)

    def draw(self, low: float, high: float) -> Field:
        """One number in [low, high) for each picture."""
        return self.random.uniform(self.n, low, high)

    def chance(self, share: float) -> Field:
        """1 for about `share` of the pictures, 0 for the others."""
        return (self.draw(0.0, 1.0) < np.float32(share)).astype(np.float32)

    def flip(self) -> None:
        """Turn half of the pictures to face the other way."""
        self.x = self.x * (1.0 - 2.0 * self.chance(0.5))

    def paint(self, distance: Field, tone: Number = 1.0) -> None:
        """Lay a piece of cloth of relative brightness `tone` over the picture."""
        cover = coverage(distance)
        self.tone = self.tone + cover * (tone - self.tone)
        self.ink = np.maximum(self.ink, cover)

    def mark(self, distance: Field, strength: Number) -> None:
        """Darken (or lighten, `strength` below 0) what lies under a shape: seams, buttons, prints."""
        self.tone = self.tone * (1.0 - strength * coverage(distance))

    def outline(self, distance: Field, strength: Number = 0.25) -> None:
        """Darken a rim of about a pixel just inside a shape."""
        self.tone = self.tone * (1.0 - strength * np.clip(1.0 - np.abs(distance + 0.7), 0.0, 1.0))

    def finish(self) -> NDArray[np.uint8]:
        """Add weave, folds, light, what stands in front and noise, and round to bytes."""
        x, y = self.x, self.y
        period = self.draw(0.12, 0.3)
        across = wave(x * period + self.draw(0.0, 1.0)) * self.chance(0.25)
        along = wave(y * period + self.draw(0.0, 1.0)) * self.chance(0.25)
        folds = wave(x * self.draw(-0.1, 0.1) + y * self.draw(-0.05, 0.05) + self.draw(0.0, 1.0))
        cloth = 1.0 + self.draw(0.1, 0.45) * (across + along) + self.draw(0.0, 0.22) * folds
        grain = self.random.noise((self.n, SIZE, SIZE))
        picture = self.ink * self.tone * cloth * (self.draw(70.0, 250.0) + self.draw(2.0, 16.0) * grain)
        self._hide(picture)
        backdrop = self.random.noise((self.n, SIZE, SIZE)) * self.draw(0.0, 9.0)
        grey: NDArray[np.uint8] = np.clip(picture + backdrop + 0.5, 0.0, 255.0).astype(np.uint8)
        return grey

    def _hide(self, picture: Field) -> None:
        """Put a bar of one grey in front of a fifth of the pictures."""
        axis = np.arange(SIZE, dtype=np.float32)
        column, row = axis[None, None, :] - self.draw(2.0, 26.0), axis[None, :, None] - self.draw(2.0, 26.0)
        reach = np.maximum(np.abs(column) - self.draw(1.0, 5.0), np.abs(row) - self.draw(1.0, 5.0))
        cover = coverage(reach) * self.chance(0.2)
        picture += cover * (self.draw(0.0, 200.0) * self.chance(0.5) - picture)


def picture_set(
    drawings: Sequence[Callable[[Canvas], None]], n: int, seed: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """`n` pictures, one drawing as often as the next (±1), in random order, with the drawing's number as the label."""
    random = Random(*seed)
    labels = shuffled_labels(random, n, len(drawings))
    images = np.empty((n, SIZE, SIZE), np.uint8)
    for label, drawing in enumerate(drawings):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            canvas = Canvas(random, len(batch))
            drawing(canvas)
            images[batch] = canvas.finish()
    return images, labels
