"""The table of the zoo: each network with its data set, how it is trained, and what was published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..basics.names import find
from .classics import alexnet, lenet5
from .compact import mobilenet
from .in_time import series_cnn, video_cnn
from .lectures import car_truck_cnn, fashion_cnn, lecture_cnn, mnist_cnn
from .pixelwise import autoencoder, unet
from .residual import resnet20


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : str
    learning_rate : float
        At the start.
    momentum : float or None
        Of SGD.
    schedule : str
        What becomes of the rate: "constant", "linear" (falls to 0), "cosine" (falls to 0, slowly at first), "steps" (a
        tenth after half of the steps, a hundredth after three quarters).
    """

    epochs: int = 5
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    momentum: float | None = 0.9
    schedule: str = "linear"


@dataclass(frozen=True)
class Architecture:
    """A network of the zoo.

    Attributes
    ----------
    make : callable
        ``make(input_shape, classes, seed=...)`` gives the model; of `PIXELWISE` ``make(input_shape, seed=...)``.
    rank : int
        Axes of a sample: 2 steps and channels, 3 an image's, 4 a video's.
    recipe : Recipe
    published : str
        The figure, of what, and where it stands.
    """

    make: Callable[..., Any]
    rank: int
    recipe: Recipe
    published: str


_PLAIN = Recipe(optimizer="rmsprop", learning_rate=0.001, momentum=None, schedule="constant")

#: By the names of the command line.
ARCHITECTURES: dict[str, Architecture] = {
    "lecture-cnn": Architecture(
        lecture_cnn, 3, Recipe(), "for short trainings: fashion-cnn without dropout in its blocks"
    ),
    "fashion-cnn": Architecture(fashion_cnn, 3, Recipe(), "0.935 of Fashion-MNIST after 25 epochs (Krippahl)"),
    "mnist-cnn": Architecture(mnist_cnn, 3, _PLAIN, "0.990 of MNIST after 5 epochs (Djordjević)"),
    "car-truck-cnn": Architecture(
        car_truck_cnn,
        3,
        Recipe(epochs=30, optimizer="rmsprop", learning_rate=0.001, momentum=None, schedule="constant"),
        "0.90 of CIFAR-10's cars and trucks after 30 epochs (the lecture's slide)",
    ),
    "lenet-5": Architecture(lenet5, 3, Recipe(learning_rate=0.02), "0.9905 of MNIST (LeCun and others 1998)"),
    "alexnet": Architecture(
        alexnet,
        3,
        Recipe(90, 128, learning_rate=0.01),
        "top-1 error 37.5 % of ILSVRC-2010 (Krizhevsky and others 2012)",
    ),
    "mobilenet": Architecture(
        mobilenet, 3, Recipe(epochs=20), "cut down: no figure of its own (Howard and others 2017)"
    ),
    "resnet-20": Architecture(
        resnet20,
        3,
        Recipe(epochs=182, batch_size=128, learning_rate=0.1, schedule="steps"),
        "0.9125 of CIFAR-10 (He and others 2015)",
    ),
    "series-cnn": Architecture(
        series_cnn,
        2,
        Recipe(epochs=20, batch_size=16, optimizer="adam", learning_rate=0.001, momentum=None),
        "no error on cylinder-bell-funnel (Wang and others 2016)",
    ),
    "video-cnn": Architecture(
        video_cnn,
        4,
        Recipe(epochs=10, batch_size=32, optimizer="adam", learning_rate=0.001, momentum=None),
        "cut down: no figure of its own (Tran and others 2014)",
    ),
}

#: Networks whose result is an image.
PIXELWISE: dict[str, Architecture] = {
    "u-net": Architecture(
        unet,
        3,
        Recipe(8, 10, "adam", 0.01, None, "constant"),
        "0.9203 intersection over union of PhC-U373 (Ronneberger and others 2015)",
    ),
    "autoencoder": Architecture(
        autoencoder,
        3,
        Recipe(10, 20, "adam", 0.02, None, "constant"),
        "no figure of its own (Masci and others 2011)",
    ),
}


def by_name(name: str) -> Architecture:
    """A network of the zoo by the name that the command line uses.

    Examples
    --------
    >>> by_name("mnist-cnn").make().count_params()
    93322
    >>> by_name("lenet5")
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: unknown network 'lenet5'; did you mean 'lenet-5'? Known: alexnet, autoencoder,
    car-truck-cnn, fashion-cnn, lecture-cnn, lenet-5, mnist-cnn, mobilenet, resnet-20, series-cnn, u-net, video-cnn
    """
    return find("network", name, ARCHITECTURES | PIXELWISE)
