"""Ready-made models."""

from __future__ import annotations

from . import arguments
from .layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from .models import Sequential


def lecture_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    dropout: float = 0.0,
    seed: int | None = None,
) -> Sequential:
    """The small VGG-like network of lectures: two blocks of two convolutions, then two dense layers.

    Block: [3x3 convolution, "same" -> relu -> batch normalisation] twice, 2x2 maximum pool; 32 filters in the first
    block, 64 in the second. Then dense 512 -> relu -> batch normalisation -> dropout 0.5 -> dense -> softmax.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    dropout : float
        Rate of a dropout layer after each block, which long training wants; 0 leaves these layers out.
    seed : int, optional
        Makes the model repeatable: weights, shuffling, dropout.

    Returns
    -------
    Sequential
        Not compiled.

    Examples
    --------
    >>> lecture_cnn(seed=1).count_params()
    1679082
    """
    classes = arguments.size("lecture_cnn", "classes", classes)
    dropout = arguments.real("lecture_cnn", "dropout", dropout, 0, below=1)
    model = Sequential(name="lecture_cnn", seed=seed)
    for block, filters in enumerate((32, 64)):
        for i in range(2):
            model.add(Conv2D(filters, (3, 3), padding="same", input_shape=input_shape if block == i == 0 else None))
            model.add(Activation("relu"))
            model.add(BatchNormalization())
        model.add(MaxPooling2D(pool_size=(2, 2)))
        if dropout:
            model.add(Dropout(dropout))
    model.add(Flatten())
    model.add(Dense(512))
    model.add(Activation("relu"))
    model.add(BatchNormalization())
    model.add(Dropout(0.5))
    model.add(Dense(classes))
    model.add(Activation("softmax"))
    return model
