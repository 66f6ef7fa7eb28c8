"""Layers one upon the other: their names, shapes and place, always those of the layers as they are now."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument, shown
from .. import arguments
from ..basics import seeding
from ..basics.tracking import Holder, Way, walk
from ..basics.unknown import fits
from ..layers import InputLayer, Layer
from ..layers.base import Shape
from ..layers.sizes import input_image_shape
from ..layers.symbols import Call, SymbolicTensor
from .graph import Graph, chain
from .network import Network, name_for
from .placing import place


class Stack(Network):
    """A network whose graph is one chain.

    Parameters
    ----------
    layers : list of Layer, optional
        More can follow with `add`; the list `layers` may also be changed by itself, and the layers in it too.
    name : str, optional
    seed : int, optional
        For `generator`.
    **keywords
        Those of `Layer`.
    """

    layers: list[Layer] = []  # type: ignore[assignment]  # noqa: RUF012  each has its own, which may be changed by hand
    builds_once = False
    _input: InputLayer | None = None
    _built_for: tuple[Layer, Shape] | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "call" in vars(cls):
            raise InvalidArgument(
                f"class {cls.__name__[:60]!r} defines call, but a Sequential model runs its layers one by one and "
                "would never call it; derive from keras.Model, or write a Layer with that call"
            )

    def __init__(
        self, layers: Sequence[Any] | None = None, name: str | None = None, seed: int | None = None, **keywords: Any
    ) -> None:
        self.layers = []
        super().__init__(name=name, seed=seed, **keywords)
        for layer in [] if layers is None else arguments.items(self, "layers", layers, "a list of layers"):
            self.add(layer)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has a list of layers of its own."""
        self._adopt()
        kept = {name: value for name, value in super().__getstate__().items() if name != "_graph"}
        return {**kept, "layers": list(self.layers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._adopt()

    @property
    def has_own_call(self) -> bool:
        return False

    @property
    def members(self) -> Sequence[Layer]:
        return self.layers

    @property
    def graph(self) -> Graph:  # type: ignore[override]
        if not self.built:
            self.build()
        self.passes  # noqa: B018  the graph is that of the layers as they are now
        assert self._graph is not None
        return self._graph

    def held(self) -> Iterator[tuple[Way, Holder]]:
        return (((layer.name,), layer) for layer in self.layers)

    def arranged(self, x: Any) -> Any:
        """What is given for the input."""
        return _only(x)

    def operands(self, x: Any) -> Tensor:
        """What the model is called on, as a tensor of its dtype and on its device."""
        x = _only(x)
        return x if isinstance(x, Tensor) else self.as_tensor(x)

    def call_of(self, layer: Layer) -> Call | None:
        """Where a layer stands in the chain, if it is there and the input's shape is known."""
        is_here = any(layer is other for other in self.layers)
        return super().call_of(layer) if is_here and self.input_shape is not None else None

    def add(self, layer: Any) -> None:
        """Put a layer, or a model, on top; it is built at once if the input's shape is known.

        Raises
        ------
        InvalidArgument
            `layer` is not a layer, is in a model already, or does not fit what comes before it.
        """
        if isinstance(layer, SymbolicTensor) and isinstance(layer.made_by.layer, InputLayer):
            layer = layer.made_by.layer
        if not isinstance(layer, Layer):
            raise InvalidArgument(f"add() got {shown(layer)}; expected a layer, such as fastconv.nn.layers.Dense(10)")
        if isinstance(layer, InputLayer):
            if self.layers or self._input is not None:
                raise InvalidArgument("Input must be the first layer")
            self._input = layer
            return
        if any(layer is other for other in self.layers):
            raise InvalidArgument(f"layer {shown(layer.name)} is in this model already; make another one")
        if isinstance(layer, Network) and any(inner is self for _, inner in walk(layer)):
            raise InvalidArgument(f"the model {shown(layer.name)} holds this one, and cannot be put into it: a cycle")
        shape = self._shape_above(layer)
        name = name_for(layer, self.layers)
        if layer.built and shape is not None:
            layer.refit(shape)
        elif shape is not None:
            self._build(layer, shape)
        layer.name = name
        self._note(layer)
        self.layers.append(layer)

    def pop(self) -> Layer:
        """Take the last layer off."""
        if not self.layers:
            raise InvalidArgument("there is no layer to take off")
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
        first = None if getattr(self.layers[0], "built", True) else self.layers[0]
        given = shape
        for layer in self.layers:
            self._build(layer, shape)
            shape = layer.output_shape or shape
        if first is not None:
            self._built_for = first, given

    def ensure_built(self, input_shape: Any, result_shape: Any = None) -> None:
        """Build once; afterwards, check that the input still fits."""
        if not self.built:
            self.build(input_shape)
        self._check_rank(input_shape)

    def refit(self, input_shape: Shape) -> None:
        """A model inside of another one keeps its shapes."""
        known = self.input_shape
        if known is None or not fits(input_shape, known):
            raise InvalidArgument(
                f"the model {shown(self.name)} takes inputs {self.input_shape} and cannot take {input_shape}"
            )

    @property  # type: ignore[misc]
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self.layers) and all(isinstance(layer, Layer) and layer.built for layer in self.layers)

    @property
    def input_shape(self) -> Shape | None:  # type: ignore[override]
        """Shape of a batch, starting with None; None while it is not known."""
        first = self.layers[0] if self.layers else None
        declared = self._input or first
        if declared is not None and declared.declared_shape is not None:
            return (None, *declared.declared_shape)
        if self._built_for is not None and self._built_for[0] is first:
            return self._built_for[1]
        return None if first is None else first.input_shape

    @input_shape.setter
    def input_shape(self, value: None) -> None:
        """What every layer sets when it is made; here it follows from the layers."""

    @property
    def output_shape(self) -> Any:  # type: ignore[override]
        """Shape of a batch's result, starting with None; None while it is not known."""
        if not self.built:
            return None
        self.passes  # noqa: B018  shapes are those of the layers as they are now
        return self.layers[-1].output_shape

    @output_shape.setter
    def output_shape(self, value: None) -> None:
        """As for `input_shape`."""

    def _prepare(self) -> None:
        self._adopt()
        self._refit()
        shape = self.input_shape
        beginning = self._input or InputLayer((shape or ())[1:] or (1,), dtype=self.input_dtype.name)
        self._graph = chain(self.layers, beginning.symbol)

    def _adopt(self) -> None:
        """Name layers that were put into the list by hand as `add` would have."""
        for i, layer in enumerate(self.layers):
            if not (layer._in_model or layer.is_named):
                layer.name = name_for(layer, [*self.layers[:i], *self.layers[i + 1 :]])
            self._note(layer)

    def _note(self, layer: Layer) -> None:
        """Let a layer know that it is here."""
        layer._in_model = True
        if not any(ref() is self for ref in layer._homes):
            layer._homes = (*(ref for ref in layer._homes if ref() is not None), weakref.ref(self))

    def _refit(self) -> None:
        """Bring the shapes of built layers up to date."""
        shape = self.input_shape
        if shape is None or not self.built:
            return
        self._built_for = self.layers[0], shape
        place(self.layers, self.device)
        for layer in self.layers:
            layer.refit(shape)
            shape = layer.output_shape or shape

    def _build(self, layer: Layer, shape: Shape) -> None:
        """Build a layer that is not yet, with this model's random numbers and on its device."""
        if not isinstance(layer, Layer):
            raise InvalidArgument(f"the model's layers hold {shown(layer)}, which is no layer")
        was_built = layer.built
        with seeding.drawing(self.generator()):
            layer.ensure_built(shape)
        if not was_built:
            place([layer], self.device)

    def _shape_above(self, layer: Layer) -> Shape | None:
        """Shape of the input of a layer that is put on top, if it is known."""
        if self.layers:
            return self.output_shape if self.built else self.layers[-1].output_shape
        if self._input is None and layer.declared_shape is not None:
            return (None, *layer.declared_shape)
        if self._input is None and isinstance(layer, Network):
            return layer.input_shape
        return self.input_shape


def _batch_shape(shape: Any) -> Shape:
    """The shape of a batch, (None, ...), of what `Stack.build` was given."""
    sizes = arguments.items("build", "input_shape", shape, "the shape of a batch, such as (None, 28, 28, 1)")
    return (None, *input_image_shape("build", "input_shape", sizes[1:]))


def _only(x: Any) -> Any:
    """The tensor or array in a list of one; anything else as it is."""
    is_one = isinstance(x, (list, tuple)) and len(x) == 1 and isinstance(x[0], (Tensor, np.ndarray))
    return x[0] if is_one else x
