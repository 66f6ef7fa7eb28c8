"""Networks that make an image of an image: what each pixel belongs to, or the image without its noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..basics.seeding import seeded
from ..layers import Concatenate, Conv2D, Conv2DTranspose, Input, MaxPooling2D
from ..models import Model, Sequential


def unet(
    input_shape: tuple[int, int, int] = (128, 128, 1),
    classes: int = 1,
    *,
    filters: int = 16,
    depth: int = 3,
    seed: int | None = None,
) -> Model:
    """U-Net: down by pools and up again, where each level is joined to what the way down found at its size.

    Level: two 3x3 convolutions, "same", with relu; `filters` of them at the top, twice as many on each level below.
    Down: a 2x2 maximum pool. Up: a transposed convolution of 2x2, stride 2, beside the level's own result.

    Parameters
    ----------
    input_shape : (H, W, C)
        H and W are multiples of 2**depth.
    classes : int
        1: a probability for each pixel (sigmoid); more: probabilities of the classes (softmax).
    filters : int
        Of the highest level.
    depth : int
        Pools on the way down.
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Model
        Not compiled; its result is (H, W, classes).

    Raises
    ------
    InvalidArgument
        H or W cannot be halved `depth` times.

    Notes
    -----
    Source: O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
    arXiv:1505.04597, fig. 1, where filters=64 and depth=4. There convolutions lose their border and the joined maps are
    cropped; with padding, as usual today, the result has the size of the image.

    Examples
    --------
    >>> unet((24, 24, 1), filters=8, depth=2).output_shape
    (None, 24, 24, 1)
    """
    classes, filters = (arguments.size("unet", name, n) for name, n in (("classes", classes), ("filters", filters)))
    depth = arguments.whole("unet", "depth", depth, 1, 16)
    inputs = Input(_halved("unet", input_shape, depth))
    with seeded(seed, "unet"):
        x, levels = _level(inputs, filters), []
        for down in range(1, depth + 1):
            levels.append(x)
            x = _level(MaxPooling2D((2, 2))(x), filters << down)
        for up in reversed(range(depth)):
            x = Conv2DTranspose(filters << up, (2, 2), strides=2)(x)
            x = _level(Concatenate()([x, levels[up]]), filters << up)
        outputs = Conv2D(classes, (1, 1), activation="sigmoid" if classes == 1 else "softmax")(x)
    return Model(inputs, outputs, name="unet", seed=seed)


def autoencoder(
    input_shape: tuple[int, int, int] = (28, 28, 1), filters: Sequence[int] = (16, 32), *, seed: int | None = None
) -> Sequential:
    """A convolutional autoencoder: strided 3x3 convolutions down, transposed ones up, and back to the image.

    Parameters
    ----------
    input_shape : (H, W, C)
        Images from 0 to 1; H and W are multiples of 2**len(filters).
    filters : sequence of int
        Of the convolutions on the way down; that which undoes one has half as many.
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled; its result is (H, W, C), from 0 to 1.

    Raises
    ------
    InvalidArgument
        H or W cannot be halved so often.

    Notes
    -----
    Source: J. Masci, U. Meier, D. Cireşan, J. Schmidhuber, "Stacked convolutional auto-encoders for hierarchical
    feature extraction", ICANN 2011, with strides in place of pools; trained to take noise away as in P. Vincent and
    others, "Extracting and composing robust features with denoising autoencoders", ICML 2008.

    Examples
    --------
    >>> model = autoencoder((16, 16, 1))
    >>> [layer.output_shape[1:] for layer in model.layers]
    [(8, 8, 16), (4, 4, 32), (8, 8, 16), (16, 16, 8), (16, 16, 1)]
    """
    expected = "one or more numbers of filters, from 2 each"
    filters = arguments.shape("autoencoder", "filters", filters, expected, 2)
    if not filters:
        raise arguments.wrong("autoencoder", "filters", filters, expected)
    shape = _halved("autoencoder", input_shape, len(filters))
    options: dict[str, Any] = {"padding": "same", "activation": "relu", "strides": 2}
    model = Sequential([Input(shape)], name="autoencoder", seed=seed)
    for count in filters:
        model.add(Conv2D(count, (3, 3), **options))
    for count in reversed(filters):
        model.add(Conv2DTranspose(count // 2, (3, 3), **options))
    model.add(Conv2D(shape[2], (3, 3), padding="same", activation="sigmoid"))
    return model


def _level(x: Any, filters: int) -> Any:
    for _ in range(2):
        x = Conv2D(filters, (3, 3), padding="same", activation="relu")(x)
    return x


def _halved(owner: str, input_shape: Any, times: int) -> tuple[int, ...]:
    """The shape of images that can be halved so often."""
    expected = f"(H, W, C), where H and W are multiples of {2**times}, for they are halved {times} times"
    shape = arguments.shape(owner, "input_shape", input_shape, expected)
    if len(shape) != 3 or any(n % 2**times for n in shape[:2]):
        raise arguments.wrong(owner, "input_shape", input_shape, expected)
    return shape
