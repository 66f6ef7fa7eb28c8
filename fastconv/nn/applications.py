"""Ready-made models under Keras's name for them: those of `fastconv.nn.zoo`."""

from __future__ import annotations

from .zoo import (
    alexnet,
    autoencoder,
    car_truck_cnn,
    fashion_cnn,
    lecture_cnn,
    lenet5,
    mnist_cnn,
    mobilenet,
    resnet20,
    series_cnn,
    unet,
    video_cnn,
)

__all__ = [
    "alexnet",
    "autoencoder",
    "car_truck_cnn",
    "fashion_cnn",
    "lecture_cnn",
    "lenet5",
    "mnist_cnn",
    "mobilenet",
    "resnet20",
    "series_cnn",
    "unet",
    "video_cnn",
]
