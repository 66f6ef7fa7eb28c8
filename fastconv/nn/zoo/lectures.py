"""The networks of the lectures: Krippahl's on Fashion-MNIST, Djordjević's on MNIST, and the one on cars and trucks."""

from __future__ import annotations

from .. import arguments
from ..layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from ..models import Sequential


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


def fashion_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, *, seed: int | None = None
) -> Sequential:
    """Krippahl's network for Fashion-MNIST, as his lecture trains it for 25 epochs: `lecture_cnn` with dropout 0.25.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling, dropout.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: L. Krippahl's lectures on deep learning (NOVA University of Lisbon), after A. Rosebrock's "MiniVGGNet".
    Published: 0.935 of Fashion-MNIST's test images after 25 epochs. Here: 0.938 after the last, 0.939 after the best
    one, ``fastconv train fashion-mnist --epochs 25 --seed 0 --best``.

    Examples
    --------
    >>> [layer.rate for layer in fashion_cnn().layers if type(layer).__name__ == "Dropout"]
    [0.25, 0.25, 0.5]
    """
    return lecture_cnn(input_shape, classes, dropout=0.25, seed=seed)


def mnist_cnn(
    input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, *, seed: int | None = None
) -> Sequential:
    """Djordjević's network for MNIST: three 3x3 convolutions of 32, 64 and 64 filters, pools between, dense 64.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    Source: Djordjević's lecture; the listing is that of F. Chollet, "Deep Learning with Python" (2017), section 5.1.
    Published: 0.990 of MNIST's test images after five epochs. Here: 0.991, ``fastconv train mnist --seed 0 --best``.

    Examples
    --------
    >>> model = mnist_cnn()
    >>> model.count_params(), [n for n in (layer.count_params() for layer in model.layers) if n]
    (93322, [320, 18496, 36928, 36928, 650])
    """
    classes = arguments.size("mnist_cnn", "classes", classes)
    return Sequential(
        [
            Conv2D(32, (3, 3), activation="relu", input_shape=input_shape),
            MaxPooling2D((2, 2)),
            Conv2D(64, (3, 3), activation="relu"),
            MaxPooling2D((2, 2)),
            Conv2D(64, (3, 3), activation="relu"),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(classes, activation="softmax"),
        ],
        name="mnist_cnn",
        seed=seed,
    )


def car_truck_cnn(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 2, *, seed: int | None = None
) -> Sequential:
    """The lecture's network for cars and trucks: convolutions of 7x7, 5x5 and 3x3, pools between, then dense 64.

    Parameters
    ----------
    input_shape : (H, W, C)
    classes : int
    seed : int, optional
        Makes the model repeatable: weights, shuffling.

    Returns
    -------
    Sequential
        Not compiled.

    Notes
    -----
    The lecture trains it by RMSprop for 30 epochs, beside a linear classifier by least squares (`least_squares`: 0.72
    of the training and 0.63 of the test images), and says 0.90. Here: 0.855 to 0.878 after the last of 30 epochs (mean
    of five seeds 0.867; Keras, three seeds, 0.855 to 0.884, mean 0.867), 0.874 to 0.888 at the best one; least squares
    0.83 and 0.64. ``fastconv train car-truck --baseline --best``; with ``--augment`` 0.897 and 0.895 (seeds 0 and 1).

    Examples
    --------
    >>> model = car_truck_cnn()
    >>> [layer.kernel_size for layer in model.layers if hasattr(layer, "kernel_size")]
    [(7, 7), (5, 5), (3, 3)]
    """
    classes = arguments.size("car_truck_cnn", "classes", classes)
    return Sequential(
        [
            Conv2D(32, (7, 7), activation="relu", input_shape=input_shape),
            MaxPooling2D((2, 2)),
            Conv2D(64, (5, 5), activation="relu"),
            MaxPooling2D((2, 2)),
            Conv2D(64, (3, 3), activation="relu"),
            Flatten(),
            Dense(64, activation="relu"),
            Dropout(0.5),
            Dense(classes, activation="softmax"),
        ],
        name="car_truck_cnn",
        seed=seed,
    )
