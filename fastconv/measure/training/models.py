"""The models that are trained against each other, and fastconv as the first of the contenders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...nn import applications, layers
from ...nn.models import Sequential
from ...nn.optimizers import SGD

LR, MOMENTUM = 0.05, 0.9  # as ``fastconv train`` has them
BATCH = 64
BATCHES = 4  # different ones, so that no model learns one by heart and computes with zeros

Batch = tuple[np.ndarray, np.ndarray]  # images, channels last, and labels


@dataclass(frozen=True)
class Model:
    """A model by its name: how it is made, the shape of an image, and how many classes there are.

    With the learning rate `gentle` the losses of the first steps fall, and rounding does not yet lead them apart:
    batch normalisation makes the lecture's model so sensitive that at the trainer's rate PyTorch's two memory formats
    differ by a fortieth after one step.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    gentle: float
    make: Callable[..., Sequential]

    def batches(self, size: int = BATCH) -> list[Batch]:
        """Random images and labels, the same each time."""
        rng = np.random.default_rng(0)
        return [
            (rng.random((size, *self.shape), np.float32), rng.integers(0, self.classes, size)) for _ in range(BATCHES)
        ]

    def built(self, gentle: bool = False) -> Sequential:
        """The model with its weights, the same each time; `gentle` with that rate, and dropout that lets all pass."""
        model = self.make(self.shape, self.classes, seed=1)
        for layer in model.layers:
            if isinstance(layer, layers.Dropout) and gentle:
                layer.rate = 0.0
        model.compile(
            optimizer=SGD(self.gentle if gentle else LR, momentum=MOMENTUM), loss="sparse_categorical_crossentropy"
        )
        model.build((None, *self.shape))
        return model


@dataclass(frozen=True)
class Contender:
    """One way to train a model: ``train(i)`` does a step on batch i and gives its loss, ``predict(i)`` predicts it."""

    variant: str
    train: Callable[[int], float]
    predict: Callable[[int], Any]


def our_contender(model: Sequential, batches: Sequence[Batch]) -> Contender:
    """What a user of fastconv calls: NumPy in, NumPy out."""
    return Contender(
        "Sequential",
        lambda i: float(model.train_on_batch(*batches[i % len(batches)])),
        lambda i: model.predict_on_batch(batches[i % len(batches)][0]),
    )


def lenet(shape: tuple[int, int, int], classes: int, seed: int | None = None) -> Sequential:
    """The classic without batch normalisation: two 5x5 convolutions with pools, then two dense layers."""
    model = Sequential(name="lenet", seed=seed)
    for filters in (20, 50):
        model.add(layers.Conv2D(filters, (5, 5), input_shape=shape if filters == 20 else None))
        model.add(layers.Activation("relu"))
        model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(500))
    model.add(layers.Activation("relu"))
    model.add(layers.Dense(classes))
    model.add(layers.Activation("softmax"))
    return model


def _with_dropout(shape: tuple[int, int, int], classes: int, seed: int | None = None) -> Sequential:
    return applications.lecture_cnn(shape, classes, dropout=0.25, seed=seed)


MODELS = {
    model.name: model
    for model in (
        Model("lecture", (28, 28, 1), 10, 1e-4, applications.lecture_cnn),
        Model("lecture, dropout", (32, 32, 3), 2, 1e-4, _with_dropout),
        Model("lenet", (28, 28, 1), 10, 1e-2, lenet),
    )
}
