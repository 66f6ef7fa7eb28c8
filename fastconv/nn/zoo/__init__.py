"""Networks by name, each with its source and the figure that was published for it; also ``nn.models.zoo``.

The functions return models that are not compiled; `ARCHITECTURES` says which data and which training each classifier is
known for, `PIXELWISE` the same of networks whose result is an image.
`transfer` puts a new last part on what one of them has learned, `least_squares` is what to compare them with.
"""

from __future__ import annotations

from .architectures import ARCHITECTURES, PIXELWISE, Architecture, Recipe, by_name
from .classics import alexnet, lenet5
from .compact import mobilenet
from .in_time import series_cnn, video_cnn
from .lectures import car_truck_cnn, fashion_cnn, lecture_cnn, mnist_cnn
from .linear import LeastSquares, least_squares
from .pixelwise import autoencoder, unet
from .residual import resnet20
from .transfer import transfer

__all__ = [
    "ARCHITECTURES",
    "PIXELWISE",
    "Architecture",
    "LeastSquares",
    "Recipe",
    "alexnet",
    "autoencoder",
    "by_name",
    "car_truck_cnn",
    "fashion_cnn",
    "least_squares",
    "lecture_cnn",
    "lenet5",
    "mnist_cnn",
    "mobilenet",
    "resnet20",
    "series_cnn",
    "transfer",
    "unet",
    "video_cnn",
]
