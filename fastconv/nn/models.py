"""Models: a stack of layers that can be trained, saved and looked into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..errors import InvalidArgument, shown
from . import arguments, seeding
from .checkpoints import assign, load_state, named_weights, save_state
from .layers import Input, Layer
from .layers.base import check_weight, parse_shape
from .names import suggestion
from .placing import carrier, check_device, place, put
from .saving import checked_path, load_arrays, save_arrays
from .summary import summary_lines
from .training import Trainer


class Sequential(Trainer):
    """A stack of layers.

    Parameters
    ----------
    layers : list of Layer, optional
        More can follow with `add`.
    name : str
    seed : int, optional
        Makes this model repeatable by itself: its initial weights, shuffling and dropout. Without one they come from
        the generator of `fastconv.nn.utils.set_random_seed`.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> model = keras.models.Sequential(seed=1)
    >>> model.add(keras.layers.Conv2D(4, (3, 3), padding="same", input_shape=(8, 8, 1)))
    >>> model.add(keras.layers.Activation("relu"))
    >>> model.add(keras.layers.Flatten())
    >>> model.add(keras.layers.Dense(2, activation="softmax"))
    >>> model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.SGD(0.1), metrics=["accuracy"])
    >>> x = np.random.default_rng(1).random((8, 8, 8, 1))
    >>> y = keras.utils.to_categorical(np.arange(8) % 2)
    >>> history = model.fit(x, y, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['accuracy', 'loss']
    >>> model.predict(x).shape
    (8, 2)
    """

    def __init__(
        self, layers: Sequence[Layer] | None = None, name: str = "sequential", seed: int | None = None
    ) -> None:
        self.name = arguments.text(self, "name", name)
        self.layers: list[Layer] = []
        self._metrics = []
        self._input: Input | None = None
        self._rng = None if seed is None else seeding.make_generator(seed, self)
        for layer in [] if layers is None else arguments.items(self, "layers", layers, "a list of layers"):
            self.add(layer)

    def generator(self) -> np.random.Generator:
        """Where initial weights, shuffling and dropout get their random numbers."""
        return self._rng if self._rng is not None else seeding.generator()

    def add(self, layer: Layer) -> None:
        """Put a layer on top; it is built at once if the input's shape is known.

        Raises
        ------
        InvalidArgument
            `layer` is not a layer, is in a model already, or does not fit what comes before it.
        """
        if not isinstance(layer, Layer):
            raise InvalidArgument(f"add() got {shown(layer)}; expected a layer, such as fastconv.nn.layers.Dense(10)")
        if isinstance(layer, Input):
            if self.layers or self._input is not None:
                raise InvalidArgument("Input must be the first layer")
            self._input = layer
            return
        if any(layer is other for other in self.layers):
            raise InvalidArgument(f"layer {shown(layer.name)} is in this model already; make another one")
        shape = self._shape_above(layer)
        layer.rng = self.generator
        if not layer.is_named:
            layer.name = self._free_name(layer.name)
        elif any(layer.name == other.name for other in self.layers):
            raise InvalidArgument(f"there is a layer named {shown(layer.name)} already; names must differ")
        if shape is not None:
            layer.ensure_built(shape)
            place([layer], self.device)
        self.layers.append(layer)
        self._plan = None

    def pop(self) -> Layer:
        """Take the last layer off."""
        if not self.layers:
            raise InvalidArgument("there is no layer to take off")
        self._plan = None
        return self.layers.pop()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers for inputs of this shape, (None, ...)."""
        shape = self.input_shape if input_shape is None else _batch_shape(input_shape)
        if shape is None:
            raise InvalidArgument(
                "the input's shape is not known; give the first layer input_shape=, or call build(shape)"
            )
        if not self.layers:
            raise InvalidArgument("the model has no layers; add some first")
        for layer in self.layers:
            if not layer.built:
                layer.ensure_built(shape)
                place([layer], self.device)
            layer.ensure_built(shape)
            shape = layer.output_shape or shape

    def to(self, device: str) -> Sequential:
        """Move weights, moving statistics and the optimizer's state to another device; training then runs there.

        Parameters
        ----------
        device : {"cpu", "cuda"}

        Returns
        -------
        Sequential
            The model itself.

        Raises
        ------
        InvalidArgument
            There is no such device.
        DeviceMissing
            No GPU can be used: the message says what was looked for. The model stays as it is.

        Notes
        -----
        On "cuda" `fit` keeps everything in the GPU's memory: see there. `predict`, `evaluate`, `get_weights` and files
        are the same on both; results agree to rounding. Only layers of your own that call NumPy's functions beyond
        those of `fastconv.to_device`'s arrays do not run there.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> model = Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> model.to("cpu").device
        'cpu'
        """
        device = check_device(device)
        state = None if self.optimizer is None else self.optimizer.carried(carrier(device))
        place(self.layers, device)
        if self.optimizer is not None:
            self.optimizer.adopt(state)
        self.device = device
        return self

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self.layers) and all(layer.built for layer in self.layers)

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """Shape of a batch, starting with None; None while it is not known."""
        if self.layers and self.layers[0].built:
            return self.layers[0].input_shape
        first = self._input or (self.layers[0] if self.layers else None)
        return None if first is None or first.declared_shape is None else (None, *first.declared_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """Shape of a batch's result, starting with None; None while it is not known."""
        return self.layers[-1].output_shape if self.built else None

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """Apply the model to one batch, differentiably."""
        x = x if isinstance(x, Tensor) else self._batch(x)
        self.build((None, *x.shape[1:]))
        return self.plan.run(x, arguments.flag(self, "training", training))

    def feature_maps(self, x: Any) -> dict[str, np.ndarray]:
        """What every layer makes of a batch, by the layers' names.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> model = Sequential([keras.layers.Conv2D(4, 3, name="first", input_shape=(8, 8, 1))])
        >>> model.feature_maps(np.zeros((1, 8, 8, 1)))["first"].shape
        (1, 6, 6, 4)
        """
        maps: dict[str, np.ndarray] = {}
        tensor = self._batch(x)
        self.build((None, *tensor.shape[1:]))
        with no_grad():
            for layer in self.layers:
                tensor = layer.call(tensor, False)
                maps[layer.name] = tensor.numpy()
        return maps

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or place."""
        if index is not None:
            index = arguments.whole("get_layer", "index", index)
            if not -len(self.layers) <= index < len(self.layers):
                raise InvalidArgument(f"index is {shown(index)}; the model has {len(self.layers)} layers")
            return self.layers[index]
        for layer in self.layers:
            if isinstance(name, str) and layer.name == name:
                return layer
        known = dict.fromkeys(layer.name for layer in self.layers)
        hint = suggestion(name, known).rstrip(".")
        raise InvalidArgument(f"no layer named {shown(name)}{hint}; there are {', '.join(known) or 'none'}")

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers, their output shapes and numbers of weights."""
        width = 80 if line_length is None else arguments.whole("summary", "line_length", line_length, 0, 10_000) or 80
        print_fn = arguments.function("summary", "print_fn", print_fn, ("line",))
        if not self.built and self.input_shape is not None and self.layers:
            self.build()
        for line in summary_lines(self.name, self.layers, width):
            arguments.result_of("summary", "print_fn", print_fn, line)

    def count_params(self) -> int:
        """Number of weights, trainable or not."""
        return sum(layer.count_params() for layer in self.layers)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, layer by layer."""
        return [array for layer in self.layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights; number and shapes must agree."""
        expected = [(layer, w) for layer in self.layers for w in layer.weights]
        weights = arguments.items("set_weights", "weights", weights, "a list of arrays")
        if len(weights) != len(expected):
            raise InvalidArgument(f"the model has {len(expected)} weights but {len(weights)} were given")
        arrays = [arguments.host_array("set_weights", w.name, a) for (_, w), a in zip(expected, weights, strict=True)]
        for (layer, weight), array in zip(expected, arrays, strict=True):
            check_weight(layer, weight, array, "was given")
        for (_, weight), array in zip(expected, arrays, strict=True):
            put(weight.data, array)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write all weights to a .npz or .safetensors file, complete or not at all.

        Parameters
        ----------
        filepath : path
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        InvalidArgument
            The suffix names no format, the model is not built, or the file is there and may not be replaced.
        DataUnavailable
            The file cannot be written.
        """
        self._must_be_built()
        if not arguments.flag("save_weights", "overwrite", overwrite) and checked_path(filepath).exists():
            raise InvalidArgument(f"{filepath} is there already; pass overwrite=True to replace it")
        save_arrays(filepath, named_weights(self.layers))

    def load_weights(self, filepath: Any) -> None:
        """Read weights that `save_weights` wrote; the model stays as it is if anything is wrong with them.

        Raises
        ------
        InvalidArgument
            The file's layers or shapes are not the model's: the message names the layer.
        DataUnavailable
            The file does not exist or is damaged.
        """
        if not self.built:
            self.build()
        assign(self.layers, load_arrays(filepath), str(filepath))

    def save_state(self, filepath: Any) -> None:
        """Write all that a training run needs to be continued: weights, the optimizer's state, random generators.

        Parameters
        ----------
        filepath : path
            Ends with .npz or .safetensors.

        Examples
        --------
        Four epochs, or two and, later, two more, come to the same:

        >>> model.save_state("run.npz")  # doctest: +SKIP
        >>> model.load_state("run.npz")  # doctest: +SKIP
        >>> model.fit(x, y, epochs=4, initial_epoch=2)  # doctest: +SKIP
        """
        self._compiled()
        self._must_be_built()
        save_state(self, filepath)

    def load_state(self, filepath: Any) -> None:
        """Read what `save_state` wrote, into a model that was built and compiled in the same way."""
        self._compiled()
        if not self.built:
            self.build()
        load_state(self, filepath)

    def _batch(self, x: Any) -> Tensor:
        """Samples as a tensor on the model's device."""
        x = arguments.host_array(self, "x", x).astype(np.float32, copy=False)
        if x.ndim == 0:
            raise arguments.wrong(self, "x", x, "a batch: an array with an axis for the samples")
        return Tensor(carrier(self.device)(x))

    def _must_be_built(self) -> None:
        if not self.built:
            raise InvalidArgument("the model has no weights yet; build it first")

    def _shape_above(self, layer: Layer) -> tuple[int | None, ...] | None:
        """Shape of the input of a layer that is put on top, if it is known."""
        if self.layers:
            return self.layers[-1].output_shape
        if layer.declared_shape is not None:
            return (None, *layer.declared_shape)
        return self.input_shape

    def _free_name(self, stem: str) -> str:
        taken = {layer.name for layer in self.layers}
        return next(name for name in (stem, *(f"{stem}_{i}" for i in range(1, len(taken) + 2))) if name not in taken)


def _batch_shape(shape: Any) -> tuple[int | None, ...]:
    """The shape of a batch, (None, ...), of what `Sequential.build` was given."""
    sizes = arguments.items("build", "input_shape", shape, "the shape of a batch, such as (None, 28, 28, 1)")
    return (None, *parse_shape("build", "input_shape", sizes[1:]))
