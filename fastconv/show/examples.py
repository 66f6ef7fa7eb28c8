"""What pictures show where the user names nothing: the lectures' network, drawn garments, a short training."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..nn import Sequential
from ..nn.datasets import fashion_sketch
from ..nn.layers import Conv2D, Dense, Flatten, MaxPooling2D
from ..nn.optimizers import Adam
from ..nn.utils import to_categorical

TRAINED_ON, TESTED_ON = 6000, 1000  # images
EPOCHS = 3


class Labelled(NamedTuple):
    """Images with what they show.

    Parameters
    ----------
    images : ndarray of float32, (N, H, W, C)
        In [0, 1].
    labels : ndarray of int, (N,)
    names : tuple of str
        Of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


def three_convolutions(pooled: bool = True, seed: int | None = 0) -> Sequential:
    """The lectures' network of three 3×3 convolutions (93,322 parameters), or the same without its pools.

    Examples
    --------
    >>> three_convolutions().count_params()
    93322
    """
    model = Sequential(name="three_convolutions", seed=seed)
    for block, filters in enumerate((32, 64, 64)):
        shape: dict[str, Any] = {"input_shape": (28, 28, 1)} if block == 0 else {}
        model.add(Conv2D(filters, (3, 3), activation="relu", **shape))
        if pooled and block < 2:
            model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dense(64, activation="relu"))
    model.add(Dense(10, activation="softmax"))
    return model


@cache
def garments(test: bool = True) -> Labelled:
    """Drawn garments: those for the test, or for training."""
    train_set, test_set = fashion_sketch.load_data(n_train=0 if test else TRAINED_ON, n_test=TESTED_ON if test else 0)
    x, y = test_set if test else train_set
    return Labelled(x[..., None].astype(np.float32) / np.float32(255), y.astype(np.int64), fashion_sketch.CLASS_NAMES)


@cache
def trained() -> tuple[Sequential, dict[str, list[float]]]:
    """The lectures' network after a few seconds of training on drawn garments, and its history."""
    model = three_convolutions(seed=0)
    model.compile(optimizer=Adam(0.002), loss="categorical_crossentropy", metrics=["accuracy"])
    given, held = garments(test=False), garments()
    history: Any = model.fit(
        given.images, to_categorical(given.labels, 10), batch_size=50, epochs=EPOCHS, verbose=0,
        validation_data=(held.images, to_categorical(held.labels, 10)),
    )  # fmt: skip
    return model, history.history
