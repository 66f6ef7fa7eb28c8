"""Fashion-MNIST: 60,000 + 10,000 grey 28x28 pictures of ten garments (Xiao, Rasul, Vollgraf, arXiv:1708.07747)."""

from __future__ import annotations

import os

from .files import Split
from .idx import load_idx_set
from .sources import FASHION_MNIST as SOURCE

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_data(data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load Fashion-MNIST in its original order and split.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds the four files, packed or unpacked, or a folder ``fashion-mnist`` with them. Without it they
        are looked for in $FASTCONV_DATA and the cache folder, then downloaded to the cache folder.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images (60000, 28, 28) and (10000, 28, 28), labels (60000,) and (10000,) that index `CLASS_NAMES`.

    Raises
    ------
    DataUnavailable
        The files are nowhere to be had, or one of them is damaged.

    Examples
    --------
    >>> from fastconv.nn.datasets import fashion_mnist
    >>> (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()  # doctest: +SKIP
    >>> fashion_mnist.CLASS_NAMES[y_train[0]]  # doctest: +SKIP
    'Ankle boot'
    """
    return load_idx_set(SOURCE, data_dir)
