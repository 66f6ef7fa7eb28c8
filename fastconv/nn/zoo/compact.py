"""Small networks for small images whose convolutions are taken apart: depthwise, then across channels."""

from __future__ import annotations

from .. import arguments
from ..layers import BatchNormalization, Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D, Layer, ReLU
from ..models import Sequential

#: Filters and stride of each pair of convolutions.
PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))


def mobilenet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    *,
    width: float = 1.0,
    seed: int | None = None,
) -> Sequential:
    """A MobileNet for images of 32x32: five pairs of a depthwise 3x3 and a 1x1 convolution.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    width : float
        Multiplies the numbers of filters: the paper's width multiplier.
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: A. G. Howard and others, "MobileNets", arXiv:1704.04861, table 1, cut to five of its thirteen pairs. The
    paper's figures (70.6 % of ImageNet) are those of the whole network. A 3x3 convolution from 128 to 128 channels has
    147,456
    weights; the pair in its place has 17,536. ``fastconv train cifar10 --model mobilenet``.

    Examples
    --------
    >>> mobilenet().count_params(), mobilenet(width=0.5).count_params()
    (139722, 38634)
    """
    classes = arguments.size("mobilenet", "classes", classes)
    width = arguments.real("mobilenet", "width", width, 1 / 32, 32)
    layers: list[Layer] = [Conv2D(_scaled(32, width), (3, 3), padding="same", use_bias=False, input_shape=input_shape)]
    layers += [BatchNormalization(), ReLU()]
    for filters, stride in PAIRS:
        layers += [
            DepthwiseConv2D((3, 3), strides=stride, padding="same", use_bias=False),
            BatchNormalization(),
            ReLU(),
        ]
        layers += [Conv2D(_scaled(filters, width), (1, 1), use_bias=False), BatchNormalization(), ReLU()]
    layers += [GlobalAveragePooling2D(), Dense(classes, activation="softmax")]
    return Sequential(layers, name="mobilenet", seed=seed)


def _scaled(filters: int, width: float) -> int:
    return max(1, round(filters * width))
