"""Models: layers that can be trained, saved and looked into together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..errors import InvalidArgument, nearest, shown
from . import arguments
from .checkpoints import load_state, load_weights, save_state, weight_arrays
from .graph import Graph
from .layers import Layer
from .network import name_for
from .passes import Passes
from .placing import carrier, check_device, device_of, place
from .saving import checked_path, save_arrays
from .stack import Stack
from .structures import mapped
from .summary import summary_lines
from .training import Trainer


class Model(Trainer):
    """Layers between inputs and outputs, or around a `call` of your own.

    Parameters
    ----------
    inputs, outputs : symbolic tensor, or list or dict of them
        What `keras.Input` gave, or layers made of it, and what is computed from that: the model runs all layers in
        between. Inputs may also lie inside of another model, ``Model(model.inputs, model.get_layer("x").output)``: the
        two then have these layers, and their weights, in common. Without both, a class derived from this one defines
        `call`.
    name : str, optional
    seed : int, optional
        Makes shuffling and dropout of this model repeatable by itself.
    **keywords
        `trainable` and `dtype` of every layer.

    Raises
    ------
    InvalidArgument
        The outputs depend on an input that is not among `inputs`, or something is no symbolic tensor.

    Examples
    --------
    A block with a skip connection:

    >>> from fastconv import nn as keras
    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    >>> x = keras.layers.Add()([inputs, x])
    >>> x = keras.layers.GlobalAveragePooling2D()(x)
    >>> model = keras.Model(inputs=inputs, outputs=keras.layers.Dense(2)(x), name="block")
    >>> model.predict(np.ones((4, 8, 8, 3)), verbose=0).shape
    (4, 2)

    A class with a `call`:

    >>> class Double(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense = keras.layers.Dense(1)
    ...     def call(self, inputs):
    ...         return 2 * self.dense(inputs)
    >>> model = Double()
    >>> model.compile("sgd", "mse")
    >>> sorted(model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0).history)
    ['loss']
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        name: str | None = None,
        seed: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(name=name, seed=seed, **keywords)
        if inputs is None and outputs is None:
            return
        if inputs is None or outputs is None:
            missing = "inputs" if inputs is None else "outputs"
            raise InvalidArgument(f"{missing} is missing: Model(inputs=..., outputs=...) takes both, symbolic tensors")
        self._graph = Graph(_only(inputs), _only(outputs))
        vars(self)["_given"] = (), {"name": name, "seed": seed, **keywords}  # the graph says the rest
        if name is None and type(self) is Model:
            self.name = "functional"
        self._adopt()

    def _adopt(self) -> None:
        """Take the layers of a graph over: their names differ, and the model is where their weights are."""
        assert self._graph is not None
        graph = self._graph
        self.input_shape = mapped(lambda symbol: symbol.shape, graph.inputs)
        self.output_shape = mapped(lambda symbol: symbol.shape, graph.outputs)
        kept: list[Layer] = []
        for layer in sorted(graph.layers, key=lambda layer: (not layer._in_model, layer.number)):
            layer.name = name_for(layer, kept, strict=False)
            layer._in_model = True
            kept.append(layer)
        self.device = next((device_of(w.values) for w in self.weights), "cpu")

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.optimizer is not None:
            self.optimizer.follow(self)

    def to(self, device: str) -> Model:
        """Move weights, moving statistics and the optimizer's state to another device; training then runs there.

        Parameters
        ----------
        device : {"cpu", "cuda"}

        Returns
        -------
        Model
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
        >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
        >>> model.to("cpu").device
        'cpu'
        """
        device = check_device(device)
        state = None if self.optimizer is None else self.optimizer.carried(carrier(device))
        place([self], device)
        if self.optimizer is not None:
            self.optimizer.adopt(state)
        self.device = device
        return self

    def feature_maps(self, x: Any) -> dict[str, np.ndarray]:
        """What every layer makes of a batch, by the layers' names; of a second call of one by ``name:1``, and so on.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> model = keras.Sequential([keras.layers.Conv2D(4, 3, name="first", input_shape=(8, 8, 1))])
        >>> model.feature_maps(np.zeros((1, 8, 8, 1)))["first"].shape
        (1, 6, 6, 4)
        """
        x = self.operands(x)
        self.ensure_built(mapped(lambda t: (None, *t.shape[1:]), x))
        graph = self._known_graph()
        names: dict[str, Any] = {}
        for call in graph.calls:
            if any(
                name.partition(":")[0] == call.layer.name and layer is not call.layer
                for name, (layer, _) in names.items()
            ):
                raise InvalidArgument(
                    f"two layers are named {shown(call.layer.name)}; set the name of one to something else"
                )
            times = sum(layer is call.layer for layer, _ in names.values())
            names[f"{call.layer.name}:{times}" if times else call.layer.name] = call.layer, call.outputs
        passes = Passes(self, Graph(graph.inputs, {name: made for name, (_, made) in names.items()}))
        with no_grad():
            results = passes.run(self.arranged(x), False)
        return {name: mapped(Tensor.numpy, result) for name, result in results.items()}

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or place."""
        if index is not None:
            index = arguments.whole("get_layer", "index", index)
            if not -len(self.layers) <= index < len(self.layers):
                raise InvalidArgument(f"index is {shown(index)}; the model has {len(self.layers)} layers")
            return self.layers[index]
        named = [layer for layer in self.layers if isinstance(name, str) and layer.name == name]
        if len(named) > 1:
            raise InvalidArgument(
                f"{len(named)} layers are named {shown(name)}; give them names of their own, or index="
            )
        if named:
            return named[0]
        known = [layer.name for layer in self.layers]
        hint = nearest(name, known)
        raise InvalidArgument(f"no layer named {shown(name)}{hint}; there are {', '.join(known) or 'none'}")

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers, their output shapes and numbers of weights."""
        width = 80 if line_length is None else arguments.whole("summary", "line_length", line_length, 0, 10_000) or 80
        print_fn = arguments.function("summary", "print_fn", print_fn, ("line",))
        if not self.built and self.input_shape is not None and self.layers:
            self.build()
        for line in summary_lines(self, width):
            arguments.result_of("summary", "print_fn", print_fn, line)

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
        save_arrays(filepath, weight_arrays(self))

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
        self._must_be_built()
        load_weights(self, filepath)

    def export(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the model, as it predicts, to an ONNX file, complete or not at all.

        Parameters
        ----------
        filepath : path
            Ends with .onnx.
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        Unsupported
            ONNX has no word for what a layer of your own, or an activation, computes: the message names the layer.
        InvalidArgument
            The suffix is another one, the model is not built, or the file is there and may not be replaced.
        MissingExtra
            The package onnx is not installed.
        DataUnavailable
            The file cannot be written.

        Notes
        -----
        Input and output have the model's own layout, channels-last or -first, and batches of any size; opset 17. What
        other runtimes compute differs from `predict` by rounding. `fastconv.onnx.load` reads the file again.

        Examples
        --------
        >>> model.export("model.onnx")  # doctest: +SKIP
        """
        path = arguments.path("export", "filepath", filepath)
        if path.suffix != ".onnx":
            raise InvalidArgument(f"filepath is {shown(str(path))}; end the name with .onnx")
        self._must_be_built()
        if not arguments.flag("export", "overwrite", overwrite) and path.exists():
            raise InvalidArgument(f"{path} is there already; pass overwrite=True to replace it")
        from .exporting import export  # here, for few models are exported

        export(self, path)

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
        self._must_be_built()
        load_state(self, filepath)

    def _must_be_built(self) -> None:
        if not self.built:
            raise InvalidArgument("the model has no weights yet; build it first")
        self.passes  # noqa: B018  the layers have their names


class Sequential(Stack, Model):
    """A stack of layers.

    Parameters
    ----------
    layers : list of Layer, optional
        More can follow with `add`; a model may be one of them, and what `keras.Input` gives the first.
    name : str, optional
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


def _only(value: Any) -> Any:
    """What a list of one thing holds; anything else as it is."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
