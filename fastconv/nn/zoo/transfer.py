"""Transfer learning: what a network has learned to see, kept, below a new last part for other classes."""

from __future__ import annotations

from copy import deepcopy

from ...errors import InvalidArgument
from .. import arguments
from ..layers import Dense, Dropout, Flatten
from ..layers.pooling import GlobalPooling
from ..models import Sequential


def transfer(
    model: Sequential, classes: int, *, hidden: int = 64, dropout: float = 0.0, seed: int | None = None
) -> Sequential:
    """The convolutions of a trained model, frozen, below new dense layers.

    Parameters
    ----------
    model : Sequential
        Built, most often trained; it stays as it is. Its layers before the first `Flatten`, `Dense` or global pool are
        copied with their weights, and a global pool is kept too.
    classes : int
        Of the other data set.
    hidden : int
        Width of a dense layer with relu before the last; 0 leaves it out.
    dropout : float
        Rate of a dropout layer before the last.
    seed : int, optional
        Makes the model repeatable: the weights of the new layers, shuffling, dropout.

    Returns
    -------
    Sequential
        Not compiled. ``layer.trainable = True`` and compiling anew let the copied layers learn as well ("fine-tuning"),
        best with a small learning rate.

    Raises
    ------
    InvalidArgument
        The model has no weights yet, or no layer before its dense ones.

    Examples
    --------
    What was learned on digits, put to use on garments:

    >>> from fastconv.nn import zoo
    >>> digits = zoo.mnist_cnn(seed=1)
    >>> digits.build()
    >>> garments = zoo.transfer(digits, 10, seed=2)
    >>> garments.build()
    >>> sum(w.data.size for w in garments.trainable_weights), garments.count_params()
    (37578, 93322)
    """
    if not isinstance(model, Sequential):
        raise arguments.wrong("transfer", "model", model, "a Sequential model")
    classes = arguments.size("transfer", "classes", classes)
    hidden = arguments.whole("transfer", "hidden", hidden, 0)
    dropout = arguments.real("transfer", "dropout", dropout, 0, below=1)
    if not model.built or model.input_shape is None:
        raise InvalidArgument("the model has no weights yet; train it first, or load its weights")
    count = next((i for i, layer in enumerate(model.layers) if isinstance(layer, (Flatten, Dense, GlobalPooling))), 0)
    if not count:
        raise InvalidArgument("the model has no layer before its dense ones; there is nothing to take over")
    new = Sequential(name=f"{model.name}_transfer", seed=seed)
    pooled = isinstance(model.layers[count], GlobalPooling)
    for layer in deepcopy(model.layers[: count + pooled]):
        layer.trainable = False
        new.add(layer)
    if not pooled:
        new.add(Flatten())
    if hidden:
        new.add(Dense(hidden, activation="relu"))
    if dropout:
        new.add(Dropout(dropout))
    new.add(Dense(classes, activation="softmax"))
    return new
