"""Two networks that made history, channels last: LeNet-5 and AlexNet."""

from __future__ import annotations

from .. import arguments
from ..layers import AveragePooling2D, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from ..models import Sequential


def lenet5(
    input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, *, seed: int | None = None
) -> Sequential:
    """LeNet-5: convolutions of 6, 16 and 120 filters of 5x5 with mean pools between, dense 84; tanh.

    Parameters
    ----------
    input_shape : (H, W, C)
        Images of 28x28 are padded to the paper's 32x32 by the first layer.
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    Proc. IEEE 86 (1998), fig. 2. Published: 0.9905 of MNIST's test images where training images are not distorted.
    Unlike the paper's, every map of the third layer sees all maps before it, pools have no weights, and the last layer
    is a softmax in place of distances to prototypes: 61,706 parameters. ``fastconv train mnist --model lenet-5``.

    Examples
    --------
    >>> lenet5().count_params()
    61706
    """
    classes = arguments.size("lenet5", "classes", classes)
    return Sequential(
        [
            Conv2D(6, (5, 5), padding="same", activation="tanh", input_shape=input_shape),
            AveragePooling2D((2, 2)),
            Conv2D(16, (5, 5), activation="tanh"),
            AveragePooling2D((2, 2)),
            Conv2D(120, (5, 5), activation="tanh"),
            Flatten(),
            Dense(84, activation="tanh"),
            Dense(classes, activation="softmax"),
        ],
        name="lenet5",
        seed=seed,
    )


def alexnet(
    input_shape: tuple[int, int, int] = (227, 227, 3),
    classes: int = 1000,
    *,
    units: int = 4096,
    seed: int | None = None,
) -> Sequential:
    """AlexNet: 96 filters of 11x11 with stride 4 (55x55x96), then 5x5 and three 3x3, two dense layers of 4096.

    Parameters
    ----------
    input_shape : (H, W, C)
        At least 67x67.
    classes : int
    units : int
        Width of the two dense layers: they hold most of the weights.
    seed : int, optional
        Makes the model repeatable: weights, shuffling, dropout.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012, fig. 2; two groups where the paper's network lay on two GPUs: 60,965,224 parameters.
    Published: top-1 error 37.5 %, top-5 17.0 % on ILSVRC-2010. The paper's local response normalisation is left out, as
    later
    networks do (K. Simonyan, A. Zisserman, arXiv:1409.1556, section 4.1: it does not improve them).

    Examples
    --------
    >>> model = alexnet(units=16, classes=10)
    >>> model.layers[0].compute_output_shape((None, 227, 227, 3))
    (None, 55, 55, 96)
    """
    classes = arguments.size("alexnet", "classes", classes)
    units = arguments.size("alexnet", "units", units)
    return Sequential(
        [
            Conv2D(96, (11, 11), strides=4, activation="relu", input_shape=input_shape),
            MaxPooling2D((3, 3), strides=2),
            Conv2D(256, (5, 5), padding="same", groups=2, activation="relu"),
            MaxPooling2D((3, 3), strides=2),
            Conv2D(384, (3, 3), padding="same", activation="relu"),
            Conv2D(384, (3, 3), padding="same", groups=2, activation="relu"),
            Conv2D(256, (3, 3), padding="same", groups=2, activation="relu"),
            MaxPooling2D((3, 3), strides=2),
            Flatten(),
            Dense(units, activation="relu"),
            Dropout(0.5),
            Dense(units, activation="relu"),
            Dropout(0.5),
            Dense(classes, activation="softmax"),
        ],
        name="alexnet",
        seed=seed,
    )
