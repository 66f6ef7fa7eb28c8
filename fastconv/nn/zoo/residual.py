"""A residual network for small images."""

from __future__ import annotations

from typing import Any

from .. import arguments
from ..basics.seeding import seeded
from ..layers import Activation, Add, BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, Input
from ..models import Model

STAGES = (16, 32, 64)  # filters
BLOCKS = 3  # of two convolutions, in each stage


def resnet20(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, seed: int | None = None) -> Model:
    """ResNet-20: nine blocks of two 3x3 convolutions, each beside a connection that skips it.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Model
        Not compiled.

    Notes
    -----
    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", arXiv:1512.03385, section
    4.2. Published: 0.9125 of CIFAR-10's test images after 64,000 steps of 128 with shifted and flipped images. Where
    the number of filters grows the skipping connection is a 1x1 convolution, as in Keras's own example, in place of
    zeros for the new channels: 274,442 parameters, moving statistics counted. ``fastconv train cifar10``.

    Examples
    --------
    >>> model = resnet20()
    >>> model.output_shape, model.count_params()
    ((None, 10), 274442)
    """
    classes = arguments.size("resnet20", "classes", classes)
    inputs = Input(input_shape)
    with seeded(seed, "resnet20"):
        x = _convolved(inputs, 16, 3, 1)
        for stage, filters in enumerate(STAGES):
            for block in range(BLOCKS):
                x = _block(x, filters, 2 if stage and not block else 1)
        x = GlobalAveragePooling2D()(x)
        outputs = Dense(classes, activation="softmax")(x)
    return Model(inputs, outputs, name="resnet20", seed=seed)


def _block(x: Any, filters: int, stride: int) -> Any:
    """relu(F(x) + x), F two convolutions; x is brought to F's size where it has another."""
    y = _convolved(_convolved(x, filters, 3, stride), filters, 3, 1, activation=None)
    if stride > 1:
        x = Conv2D(filters, (1, 1), strides=stride, padding="same", kernel_initializer="he_normal")(x)
    return Activation("relu")(Add()([x, y]))


def _convolved(x: Any, filters: int, size: int, stride: int, activation: str | None = "relu") -> Any:
    x = Conv2D(filters, (size, size), strides=stride, padding="same", kernel_initializer="he_normal")(x)
    x = BatchNormalization()(x)
    return x if activation is None else Activation(activation)(x)
