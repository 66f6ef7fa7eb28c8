"""Networks for what changes in time: series of numbers, and small videos."""

from __future__ import annotations

from .. import arguments
from ..layers import (
    BatchNormalization,
    Conv1D,
    Conv3D,
    Dense,
    GlobalAveragePooling1D,
    GlobalAveragePooling3D,
    Layer,
    MaxPooling3D,
    ReLU,
)
from ..models import Sequential


def series_cnn(input_shape: tuple[int, int] = (128, 1), classes: int = 3, *, seed: int | None = None) -> Sequential:
    """A fully convolutional network for time series: filters of 8, 5 and 3 steps, each batch-normalised; their mean.

    Parameters
    ----------
    input_shape : (steps, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: Z. Wang, W. Yan, T. Oates, "Time series classification from scratch with deep neural networks: a strong
    baseline", arXiv:1611.06455, fig. 1(b). Published: no error on cylinder-bell-funnel (its table 1, CBF).
    ``fastconv train cylinder-bell-funnel``.

    Examples
    --------
    >>> series_cnn().count_params()
    266115
    """
    classes = arguments.size("series_cnn", "classes", classes)
    layers: list[Layer] = []
    for filters, steps in ((128, 8), (256, 5), (128, 3)):
        layers += [Conv1D(filters, steps, padding="same", input_shape=None if layers else input_shape)]
        layers += [BatchNormalization(), ReLU()]
    layers += [GlobalAveragePooling1D(), Dense(classes, activation="softmax")]
    return Sequential(layers, name="series_cnn", seed=seed)


def video_cnn(
    input_shape: tuple[int, int, int, int] = (8, 20, 20, 1), classes: int = 6, *, seed: int | None = None
) -> Sequential:
    """A network of 3x3x3 convolutions for short videos: filters see two frames and what moved between them.

    Parameters
    ----------
    input_shape : (frames, H, W, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: D. Tran and others, "Learning spatiotemporal features with 3D convolutional networks", arXiv:1412.0767, cut
    to three convolutions: like there all filters are 3x3x3, and the first pool leaves the frames apart. The paper's
    figures are those of its eight on 16 frames of 112x112. ``fastconv train motion-sketch``.

    Examples
    --------
    >>> video_cnn().count_params()
    70054
    """
    classes = arguments.size("video_cnn", "classes", classes)
    return Sequential(
        [
            Conv3D(16, (3, 3, 3), padding="same", activation="relu", input_shape=input_shape),
            MaxPooling3D((1, 2, 2)),
            Conv3D(32, (3, 3, 3), padding="same", activation="relu"),
            MaxPooling3D((2, 2, 2)),
            Conv3D(64, (3, 3, 3), padding="same", activation="relu"),
            GlobalAveragePooling3D(),
            Dense(classes, activation="softmax"),
        ],
        name="video_cnn",
        seed=seed,
    )
