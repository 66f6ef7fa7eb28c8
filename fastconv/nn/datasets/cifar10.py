"""CIFAR-10: 50,000 + 10,000 colour 32x32 pictures of ten things (Krizhevsky, "Learning Multiple Layers of Features from
Tiny Images", 2009)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from . import cifar, locate
from .files import Split
from .npz import load_npz_set
from .sources import CIFAR10 as SOURCE
from .sources import CIFAR_BATCHES

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data(data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load CIFAR-10 in the order of its batches, in Keras's shapes.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the six official batches, binary (``data_batch_1.bin``, ...) or pickled (``data_batch_1``,
        ...), the official archive of either, or ``cifar10.npz`` (arrays x_train, y_train, x_test, y_test); or a folder
        ``cifar10``, ``cifar-10-batches-bin`` or ``cifar-10-batches-py`` with them. Without it they are looked for in
        $FASTCONV_DATA and the cache folder, then the official archive (170 MB) is downloaded to the cache folder.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images (50000, 32, 32, 3) and (10000, 32, 32, 3), red green blue; labels (50000, 1) and (10000, 1) that index
        `CLASS_NAMES`.

    Raises
    ------
    DataUnavailable
        The files are nowhere to be had, or one of them is damaged. Of pickles no code is run.

    Examples
    --------
    >>> from fastconv.nn.datasets import cifar10
    >>> (x_train, y_train), (x_test, y_test) = cifar10.load_data()  # doctest: +SKIP
    >>> cifar10.CLASS_NAMES[y_train[0, 0]]  # doctest: +SKIP
    'frog'
    """
    return splits(locate.find(SOURCE, data_dir))


def splits(files: Mapping[str, Path]) -> tuple[Split, Split]:
    """The training and the test split of one form of the data set, labels (N, 1)."""
    paths = list(files.values())
    if len(paths) == 1 and paths[0].suffix == ".npz":
        (x, y), (x_test, y_test) = load_npz_set(paths[0], (32, 32, 3), len(CLASS_NAMES))
        return (x, y[:, None]), (x_test, y_test[:, None])
    *train, test = cifar.read_batches(paths, CIFAR_BATCHES, cifar.CIFAR10)
    return cifar.joined(train), test
