"""Models: layers that can be trained, saved and looked into together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..errors import InvalidArgument, Unsupported, nearest, shown
from ..ops.halves import is_half
from . import arguments
from .basics.structures import mapped
from .basics.tracking import walk
from .configs import custom_object_scope, deserialize, serialize
from .configs.graphs import config_of, made_of
from .layers import InputLayer, Layer
from .modelling.graph import Graph
from .modelling.model_files import ModelFiles
from .modelling.network import name_for
from .modelling.passes import Passes
from .modelling.placing import carrier, check_device, device_of, place
from .modelling.stack import Stack
from .modelling.summary import summary_lines
from .saving import clone_model, load_model, model_from_json, save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


class Model(ModelFiles):
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

    keras_name = "Functional"
    aliases = ("inputs", "outputs")

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

    def get_config(self) -> dict[str, Any]:
        """The layers' configurations, and where they are called; of a model with code of its own, its arguments."""
        if self._graph is None or type(self).__init__ is not Model.__init__:
            return super().get_config()
        return {**super().get_config(), **config_of(self._graph)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make the model that `get_config` has described, ours or Keras's, with new weights.

        Parameters
        ----------
        config : dict
        custom_objects : dict, optional
            Classes and functions of one's own, by their names.
        """
        with custom_object_scope(custom_objects):
            if cls.__init__ is not Model.__init__ or not isinstance(config, dict) or "input_layers" not in config:
                return super().from_config(config)
            inputs, outputs = made_of(config)
        made = cls(inputs, outputs, **_arguments_in(config))
        made._trainable = config.get("trainable") is not False
        return made

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
        for _, layer in walk(self) if isinstance(device, str) and device == "cuda" else ():
            if isinstance(layer, Layer) and is_half(layer.dtype_policy.compute):
                raise Unsupported(
                    f"layer {shown(layer.name)} computes in {layer.compute_dtype}, which models do on the CPU only: "
                    "give the layers of one for a GPU the policy 'float32'"
                )
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

    def summary(
        self, line_length: int | None = None, print_fn: Callable[[str], Any] = print, expand_nested: bool = False
    ) -> None:
        """Print the layers, their output shapes and numbers of weights, and in a graph what each layer takes.

        Parameters
        ----------
        line_length : int, optional
            80 by default, and 98 for a graph that is no chain.
        print_fn : callable
            Gets each line.
        expand_nested : bool
            Whether the layers of models inside are listed too.
        """
        width = None if line_length is None else arguments.whole("summary", "line_length", line_length, 0, 10_000)
        expand_nested = arguments.flag("summary", "expand_nested", expand_nested)
        print_fn = arguments.function("summary", "print_fn", print_fn, ("line",))
        if not self.built and self.input_shape is not None and self.layers:
            self.build()
        for line in summary_lines(self, width, expand_nested):
            arguments.result_of("summary", "print_fn", print_fn, line)


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

    def get_config(self) -> dict[str, Any]:
        """The layers' configurations, and what is known of the input."""
        config, shape = super().get_config(), self.input_shape
        if type(self).__init__ is not Sequential.__init__:  # it makes its layers by itself
            return config
        layers = [serialize(layer) for layer in self.layers]
        if shape is not None:
            declared = InputLayer(batch_shape=shape, dtype=self.input_dtype.name, name="input_layer")
            layers.insert(0, serialize(self._input or declared))
        return {**config, "layers": layers, "build_input_shape": shape}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make the model that `get_config` has described, ours or Keras's, with new weights.

        Parameters
        ----------
        config : dict
        custom_objects : dict, optional
            Classes and functions of one's own, by their names.
        """
        with custom_object_scope(custom_objects):
            if cls.__init__ is not Sequential.__init__ or not isinstance(config, dict):
                return super().from_config(config)  # type: ignore[return-value]
            made = cls(**_arguments_in(config))
            for described in arguments.items("from_config", "layers", config.get("layers"), "a list of layers"):
                made.add(deserialize(described, family="layers"))
            if made.layers and not made.built and config.get("build_input_shape") is not None:
                made.build(config["build_input_shape"])
        made._trainable = config.get("trainable") is not False
        return made


def _arguments_in(config: dict[str, Any]) -> dict[str, Any]:
    """What a model's configuration says beside its layers."""
    return {"name": config.get("name"), "seed": config.get("seed"), "dtype": deserialize(config.get("dtype"))}


def _only(value: Any) -> Any:
    """What a list of one thing holds; anything else as it is."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
