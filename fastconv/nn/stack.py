"""Layers one upon the other: their names, shapes, place and passes, always those of the layers as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from . import arguments, seeding
from .layers import Input, Layer
from .layers.base import Shape, image_shape
from .passes import Passes
from .placing import is_on_host, place
from .tracking import Holder, Parameter, Way, owned_weights

TRANSIENT = ("_passes", "_meter", "_buffers")  # what a copy does without: made when needed, or of the batch at hand


class Stack(Holder):
    """What a model is without its training.

    Parameters
    ----------
    layers : list of Layer, optional
        More can follow with `add`; the list `layers` may also be changed by itself, and the layers in it too.
    name : str
    seed : int, optional
        For `generator`.
    """

    _passes: Passes | None = None
    device = "cpu"
    """Where the weights lie and training runs: "cpu" or "cuda"."""

    def __init__(
        self, layers: Sequence[Layer] | None = None, name: str = "sequential", seed: int | None = None
    ) -> None:
        self.name = arguments.text(self, "name", name)
        self.layers: list[Layer] = []
        self._input: Input | None = None
        self._rng = None if seed is None else seeding.make_generator(seed, self)
        self._built_for: tuple[Layer, Shape] | None = None
        for layer in [] if layers is None else arguments.items(self, "layers", layers, "a list of layers"):
            self.add(layer)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "call" in vars(cls):
            raise InvalidArgument(
                f"class {cls.__name__[:60]!r} defines call, but a Sequential model runs its layers one by one and "
                "would never call it; write a Layer with that call, and put it into a model"
            )

    def __getstate__(self) -> dict[str, Any]:
        """A copy has a list of layers of its own, and makes its own passes."""
        self._adopt()
        kept = {name: value for name, value in vars(self).items() if name not in TRANSIENT}
        return {**kept, "layers": list(self.layers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for layer in self.layers:
            layer._in_model = True

    def generator(self) -> np.random.Generator:
        """Where initial weights, shuffling and dropout get their random numbers."""
        return self._rng if self._rng is not None else seeding.generator()

    def held(self) -> Iterator[tuple[Way, Holder]]:
        return (((layer.name,), layer) for layer in self.layers)

    def note_device(self, device: str) -> None:
        self.device = device

    @property
    def _title(self) -> str:
        return "the model"

    def add(self, layer: Layer) -> None:
        """Put a layer on top; it is built at once if the input's shape is known.

        Raises
        ------
        InvalidArgument
            `layer` is not a layer, is in a model already, or does not fit what comes before it.
        """
        if isinstance(layer, Stack):
            raise InvalidArgument(
                f"add() got the model {shown(layer.name)}; add its layers one by one, or keep it in an attribute of a "
                "layer of your own"
            )
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
        name = self._name_for(layer, self.layers)
        if layer.built and shape is not None:
            layer.refit(shape)
        elif shape is not None:
            self._build(layer, shape)
        layer.name = name
        layer._in_model = True
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

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self.layers) and all(isinstance(layer, Layer) and layer.built for layer in self.layers)

    @property
    def input_shape(self) -> Shape | None:
        """Shape of a batch, starting with None; None while it is not known."""
        first = self.layers[0] if self.layers else None
        declared = self._input or first
        if declared is not None and declared.declared_shape is not None:
            return (None, *declared.declared_shape)
        if self._built_for is not None and self._built_for[0] is first:
            return self._built_for[1]
        return None if first is None else first.input_shape

    @property
    def output_shape(self) -> Shape | None:
        """Shape of a batch's result, starting with None; None while it is not known."""
        if not self.built:
            return None
        self.passes  # noqa: B018  shapes are those of the layers as they are now
        return self.layers[-1].output_shape

    def _owned(self) -> list[tuple[Way, Holder, Parameter]]:
        return owned_weights(self.layers)

    @property
    def passes(self) -> Passes:
        """How the layers are run; made anew when they have changed."""
        if self._passes is None or not self._passes.fits(self.layers):
            self._adopt()
            self._refit()
            self._passes = Passes(self.layers, self.generator)
        on_host = self.device == "cpu"
        for layer in self.layers:
            for w in layer.own_weights if layer.is_builtin else layer.weights:
                if is_on_host(w.values) is not on_host:
                    place([layer], self.device)  # it came by itself, or is in another model too
                    break
        return self._passes

    def _adopt(self) -> None:
        """Name layers that were put into the list by hand as `add` would have."""
        for i, layer in enumerate(self.layers):
            if not (layer._in_model or layer.is_named):
                others = [*self.layers[:i], *self.layers[i + 1 :]]
                layer.name = self._name_for(layer, others)
            layer._in_model = True

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
        return self.input_shape

    @staticmethod
    def _name_for(layer: Layer, others: Sequence[Layer]) -> str:
        """The name of a layer beside others: its own, with a number if that is taken and nobody chose it."""
        taken, stem = {other.name for other in others}, layer.name
        if stem not in taken:
            return stem
        if layer.is_named:
            raise InvalidArgument(f"there is a layer named {shown(stem)} already; names must differ")
        if layer._in_model:
            raise InvalidArgument(
                f"layer {shown(stem)} is in another model, and this one has a layer of that name already; give one of "
                "the two a name of its own: layer.name = '...'"
            )
        return next(name for name in (f"{stem}_{i}" for i in range(1, len(taken) + 2)) if name not in taken)


def _batch_shape(shape: Any) -> Shape:
    """The shape of a batch, (None, ...), of what `Stack.build` was given."""
    sizes = arguments.items("build", "input_shape", shape, "the shape of a batch, such as (None, 28, 28, 1)")
    return (None, *image_shape("build", "input_shape", sizes[1:]))
