"""motion-sketch: videos of eight frames of 20x20 in which a shape moves or changes its size; drawn in a moment.

What happens, not what is there, makes the class: a disc, a box or a ring on a noisy ground goes left, right, up or
down, or grows or shrinks. No frame alone tells.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from .sketch import Field, Random, coverage, shuffled_labels, train_and_test

CLASS_NAMES = ("left", "right", "up", "down", "grows", "shrinks")
#: Pixels to the right and down, and growth of the radius, in a frame of middling speed.
MOTIONS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, 0.5), (0, 0, -0.5))
FRAMES, SIZE = 8, 20
BATCH = 250  # videos drawn at once
MOST = 1_000_000  # videos of a set: 3 GB

Videos = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def load_data(
    data_dir: str | os.PathLike[str] | None = None, *, n_train: int = 1_200, n_test: int = 300, seed: int = 0
) -> tuple[Videos, Videos]:
    """Draw the training and the test videos; the same seed and sizes give the same bytes on every machine.

    Parameters
    ----------
    data_dir : path, optional
        Taken for the sake of a common signature; nothing is read.
    n_train, n_test : int
        Number of videos; the classes are equally frequent (within one).
    seed : int
        At least 0. Another seed draws other videos.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Videos (n, 8, 20, 20, 1) and labels (n,) that index `CLASS_NAMES`.

    Raises
    ------
    InvalidArgument
        A number is negative or not whole.

    Examples
    --------
    >>> from fastconv.nn.datasets import motion_sketch
    >>> (x_train, y_train), (x_test, y_test) = motion_sketch.load_data(n_train=12, n_test=6)
    >>> x_train.shape, y_test.shape
    ((12, 8, 20, 20, 1), (6,))
    """
    return train_and_test(_drawn, MOST, data_dir, n_train=n_train, n_test=n_test, seed=seed)


def _drawn(n: int, seed: tuple[int, ...]) -> Videos:
    random = Random(*seed)
    labels = shuffled_labels(random, n, len(CLASS_NAMES))
    videos = np.empty((n, FRAMES, SIZE, SIZE, 1), np.uint8)
    for start in range(0, n, BATCH):
        videos[start : start + BATCH, ..., 0] = _filmed(random, labels[start : start + BATCH])
    return videos, labels


def _filmed(random: Random, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Videos (n, frames, H, W); what is drawn for each is in the middle of the film in the middle of its way."""
    n = len(labels)
    motions = np.array(MOTIONS, np.float32)[labels]
    speed = random.uniform(n, 0.7, 1.4)
    x0, y0, r0 = random.uniform(n, 7.0, 12.0), random.uniform(n, 7.0, 12.0), random.uniform(n, 3.2, 5.0)
    kind, tone, ground = random.uniform(n, 0.0, 3.0), random.uniform(n, 110.0, 240.0), random.uniform(n, 0.0, 60.0)
    time = np.arange(FRAMES, dtype=np.float32).reshape(1, FRAMES, 1, 1) - np.float32((FRAMES - 1) / 2)
    axis = np.arange(SIZE, dtype=np.float32)

    def at(start: Field, part: int) -> Field:
        rate = (motions[:, part].reshape(n, 1, 1) * speed)[:, None]
        return start[:, None] + time * rate

    u, v = axis[None, None, None, :] - at(x0, 0), axis[None, None, :, None] - at(y0, 1)
    radius = np.maximum(at(r0, 2), np.float32(0.6))
    round_ = np.sqrt(u * u + v * v) - radius
    box = np.maximum(np.abs(u), np.abs(v)) - np.float32(0.9) * radius
    ring = np.abs(round_ + np.float32(1.0)) - np.float32(1.0)
    which = np.floor(kind)[:, None]
    distance = np.where(which == 0, round_, np.where(which == 1, box, ring))
    picture = ground[:, None] + coverage(distance) * (tone - ground)[:, None]
    noisy = picture + np.float32(9.0) * random.noise((n, FRAMES, SIZE, SIZE))
    grey: NDArray[np.uint8] = np.clip(noisy + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
    return grey
