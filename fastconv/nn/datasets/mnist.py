"""MNIST: 60,000 + 10,000 grey 28x28 pictures of handwritten digits (LeCun, Cortes, Burges)."""

from __future__ import annotations

import os

from .files import Split
from .idx import load_idx_set
from .sources import MNIST as SOURCE

CLASS_NAMES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def load_data(data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load MNIST in its original order and split.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the four files, packed or unpacked, or a folder ``mnist`` with them. Without it they are
        looked for in $FASTCONV_DATA and the cache folder, then downloaded to the cache folder.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images (60000, 28, 28) and (10000, 28, 28), labels (60000,) and (10000,): the digit.

    Raises
    ------
    DataUnavailable
        The files are nowhere to be had, or one of them is damaged.

    Examples
    --------
    >>> from fastconv.nn.datasets import mnist
    >>> (x_train, y_train), (x_test, y_test) = mnist.load_data()  # doctest: +SKIP
    >>> int(y_train[0])  # doctest: +SKIP
    5
    """
    return load_idx_set(SOURCE, data_dir)
