"""The real data sets, where FASTCONV_DATA names a folder that holds them: sizes, classes, order."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import config
from fastconv.errors import DataUnavailable
from fastconv.nn import datasets
from fastconv.nn.datasets import fashion_mnist, locate

FOLDER = config.data_dir()

# Pictures of each class in the training and the test split, and the first labels of the training split.
COUNTS = {
    "fashion-mnist": ([6000] * 10, [1000] * 10, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    ),
    "car-truck": ([5000, 5000], [1000, 1000], [1, 1, 0, 0, 1, 1, 1, 1, 0, 0]),
}


def require(name: str) -> None:
    if FOLDER is None:
        pytest.skip("FASTCONV_DATA is not set: no folder with the real data sets")
    try:
        locate.find(datasets.by_name(name).SOURCE, FOLDER)
    except DataUnavailable as missing:
        pytest.skip(f"the real data set is not there: {missing}")


@pytest.mark.parametrize("name", list(COUNTS))
def test_sizes_classes_and_order(name):
    require(name)
    train_counts, test_counts, first = COUNTS[name]
    size = (32, 32, 3) if name == "car-truck" else (28, 28)
    (x_train, y_train), (x_test, y_test) = datasets.by_name(name).load_data()
    for x, y, counts in ((x_train, y_train, train_counts), (x_test, y_test, test_counts)):
        assert x.shape == (sum(counts), *size) and y.shape == (sum(counts),)
        assert x.dtype == y.dtype == np.uint8
        assert np.bincount(y).tolist() == counts
    assert y_train[: len(first)].tolist() == first


def test_mnist_is_not_taken_for_fashion_mnist():
    require("mnist")
    with pytest.raises(
        DataUnavailable, match=r"it is train-images-idx3-ubyte\.gz of MNIST; expected .* of Fashion-MNIST"
    ):
        fashion_mnist.load_data(FOLDER / "mnist")
