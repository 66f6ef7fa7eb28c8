"""The cars and trucks of CIFAR-10: 10,000 + 2,000 colour 32x32 pictures (Krizhevsky, "Learning Multiple Layers of
Features from Tiny Images", 2009)."""

from __future__ import annotations

import os

from . import cifar, cifar10, locate
from .files import Split
from .sources import CAR_TRUCK as SOURCE
from .sources import CAR_TRUCK_FILES

CLASS_NAMES = ("automobile", "truck")
CIFAR_LABELS = (1, 9)  # their numbers among CIFAR-10's ten classes


def load_data(data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load the cars and trucks of CIFAR-10 in the order of its batches.

    Parameters
    ----------
    data_dir : path, optional
        Folder that holds ``car_truck_train.bin.gz`` and ``car_truck_test.bin.gz``, or CIFAR-10 in one of the forms of
        `cifar10`, or a folder ``cifar10`` with them. Without it they are looked for in
        $FASTCONV_DATA and the cache folder, then the official archive (170 MB) is downloaded to the cache folder.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Images (10000, 32, 32, 3) and (2000, 32, 32, 3), red green blue; labels 0 automobile, 1 truck.

    Raises
    ------
    DataUnavailable
        The files are nowhere to be had, or one of them is damaged.

    Examples
    --------
    >>> from fastconv.nn.datasets import car_truck
    >>> (x_train, y_train), (x_test, y_test) = car_truck.load_data()  # doctest: +SKIP
    >>> x_train.shape  # doctest: +SKIP
    (10000, 32, 32, 3)
    """
    files = locate.find(SOURCE, data_dir)
    paths = list(files.values())  # each form lists its test file last
    if CAR_TRUCK_FILES[0] in files:
        kinds = (("labels", CIFAR_LABELS),)
        train, test = (cifar.parse_records(cifar.read_bytes(path, cifar.MOST), kinds, path) for path in paths)
    else:
        train, test = cifar10.splits(files)
    return cifar.select(train, CIFAR_LABELS, paths[0]), cifar.select(test, CIFAR_LABELS, paths[-1])
