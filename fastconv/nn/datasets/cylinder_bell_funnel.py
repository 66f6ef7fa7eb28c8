"""cylinder-bell-funnel: noisy series of 128 numbers in which something rises, stays or falls; drawn in a moment.

N. Saito's problem ("Local feature extraction and its applications using a library of bases", thesis, Yale 1994, section
3.5), much used to compare classifiers of time series: with a from 16 to 32, b - a from 32 to 96, all other letters
normal with variance 1, and 0 outside of [a, b],

* cylinder: 6 + n between a and b;
* bell: (6 + n) (t - a)/(b - a), a slow rise and a sudden fall;
* funnel: (6 + n) (b - t)/(b - a), a sudden rise and a slow fall;

to which noise is added. The noise here is a sum of four random bytes: the same bits on every machine.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from .sketch import Field, Random, shuffled_labels, train_and_test

CLASS_NAMES = ("cylinder", "bell", "funnel")
STEPS = 128
MOST = 10_000_000  # series of a set: 5 GB

Series = tuple[NDArray[np.float32], NDArray[np.uint8]]


def load_data(
    data_dir: str | os.PathLike[str] | None = None, *, n_train: int = 600, n_test: int = 900, seed: int = 0
) -> tuple[Series, Series]:
    """Draw the training and the test series; the same seed and sizes give the same bytes on every machine.

    Parameters
    ----------
    data_dir : path, optional
        Taken for the sake of a common signature; nothing is read.
    n_train, n_test : int
        Number of series; the classes are equally frequent (within one).
    seed : int
        At least 0. Another seed draws other series.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Series (n, 128, 1) of float32 and labels (n,) of uint8 that index `CLASS_NAMES`.

    Raises
    ------
    InvalidArgument
        A number is negative or not whole.

    Examples
    --------
    >>> from fastconv.nn.datasets import cylinder_bell_funnel
    >>> (x_train, y_train), (x_test, y_test) = cylinder_bell_funnel.load_data(n_train=30, n_test=6)
    >>> x_train.shape, y_test.shape
    ((30, 128, 1), (6,))
    """
    return train_and_test(_drawn, MOST, data_dir, n_train=n_train, n_test=n_test, seed=seed)


def _drawn(n: int, seed: tuple[int, ...]) -> Series:
    random = Random(*seed)
    labels = shuffled_labels(random, n, len(CLASS_NAMES))
    start = np.floor(random.uniform(n, 16.0, 33.0))[:, :, 0]
    end = start + np.floor(random.uniform(n, 32.0, 97.0))[:, :, 0]
    height = np.float32(6.0) + random.noise((n, 1))
    t = np.arange(1, STEPS + 1, dtype=np.float32)[None, :]
    inside = ((t >= start) & (t <= end)).astype(np.float32)
    rising: Field = (t - start) / (end - start)
    shapes = (np.ones_like(rising), rising, np.float32(1.0) - rising)
    shape = np.choose(labels[:, None], shapes) if n else rising
    series: Field = height * inside * shape + random.noise((n, STEPS))
    return series[..., None], labels
