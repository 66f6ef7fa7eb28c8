"""What a model is without its training: a layer that runs other layers, with a place and random numbers of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument, shown
from .. import arguments
from ..basics import seeding
from ..basics.structures import is_shape, leaves, mapped, mapped_shapes
from ..basics.tracking import Holder, Parameter, Way, found_in, named_weights
from ..layers import InputLayer, Layer
from ..layers.operations import Operation
from ..layers.symbols import Call, SymbolicTensor
from .graph import Graph
from .inference import Plans
from .passes import Passes
from .placing import carrier, place

TRANSIENT = (
    "_passes",
    "_meter",
    "_buffers",
    "_plans",
)  # what a copy does without: made when needed, or of the batch at hand


class Network(Layer):
    """A layer whose result other layers compute: those of a graph, or those that its own `call` calls.

    Parameters
    ----------
    name : str, optional
    seed : int, optional
        For `generator`.
    **keywords
        Those of `Layer`.
    """

    family = "models"
    extensions = ("seed",)
    takes_several = True
    builds_once = False
    device = "cpu"
    """Where the weights lie and training runs: "cpu" or "cuda"."""

    _passes: Passes | None = None
    _plans: Plans | None = None
    _graph: Graph | None = None
    _rng: np.random.Generator | None = None
    _is_ensuring = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.is_builtin = cls.call is Network.call

    def __init__(self, *, seed: int | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._rng = None if seed is None else seeding.make_generator(seed, self)

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes its own passes."""
        return {name: value for name, value in super().__getstate__().items() if name not in TRANSIENT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for layer in self.layers:
            layer._in_model = True

    def generator(self) -> np.random.Generator:
        """Where initial weights, shuffling and dropout get their random numbers."""
        return self._rng if self._rng is not None else seeding.generator()

    @property
    def _title(self) -> str:
        return "the model"

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside, without the operators of a graph."""
        if self._graph is not None:
            return [layer for layer in self._graph.layers if not isinstance(layer, Operation)]
        inside = (holder for _, holder in self.held() if isinstance(holder, Layer))
        return list({id(layer): layer for layer in inside}.values())

    @property
    def graph(self) -> Graph | None:  # type: ignore[override]
        """The calls of layers that the model runs; None where it has a `call` of its own."""
        return self._graph if self.is_builtin else None

    @property
    def has_own_call(self) -> bool:
        """Whether code of the user's says what the model computes, and of what."""
        return self._graph is None or not self.is_builtin

    @property
    def members(self) -> Sequence[Any]:
        """What the graph was made of."""
        return (self._graph,)

    def held(self) -> Iterator[tuple[Way, Holder]]:
        layers = [] if self._graph is None else self._graph.layers
        known = {id(layer) for layer in layers}
        yield from (((layer.name,), layer) for layer in layers)
        if type(self).__module__.partition(".")[0] != "fastconv" or self._graph is None:
            yield from ((way, h) for way, h in found_in(self._attributes(), Holder) if id(h) not in known)

    def named_weights(self) -> dict[str, tuple[Holder, Parameter]]:
        """Every weight, with its layer, by its name in files: that of the layer, or the way to it, and its own."""
        return named_weights(self)

    def note_device(self, device: str) -> None:
        self.device = device

    @property
    def passes(self) -> Passes:
        """How the layers are run; made anew when they have changed."""
        if self._passes is None or not self._passes.fits():
            self._prepare()
            self._passes = Passes(self, self._graph if self.is_builtin else None)
        on_host = self.device == "cpu"
        for layer in self._passes.layers:
            for w in layer._own if layer.is_builtin else layer.weights:  # asked at every step, by C where it can be
                if isinstance(w.values, np.ndarray) is not on_host:
                    place([layer], self.device)  # it came by itself, or is in another model too
                    break
        return self._passes

    def _prepare(self) -> None:
        """Bring names and shapes up to date, before passes are made."""

    def converted(self, x: Any) -> Any:
        """The layers convert what they take; a `call` of the user's gets what a layer of the model's policy would."""
        return x if self.is_builtin else super().converted(x)

    def _result_dtype(self, given: np.dtype) -> np.dtype:
        graph = self.graph
        return super()._result_dtype(given) if graph is None else leaves(graph.outputs)[0].dtype

    def call(self, x: Any, training: bool = False) -> Any:
        """The model's result, by its graph; a model of your own may define it."""
        passes = self.passes
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} does not define call(self, inputs), and was not made of inputs and outputs"
            )
        return passes.run(self.arranged(x), training)

    def arranged(self, x: Any) -> Any:
        """What is given for the inputs, in their structure: a dict goes by their names, a list by their order.

        Raises
        ------
        InvalidArgument
            There are too few or too many, or a name is not known.
        """
        if self.graph is None:
            return x
        inputs = self.graph.inputs
        if isinstance(inputs, SymbolicTensor):
            given = leaves(x)
            return given[0] if len(given) == 1 else self._refuse_number(len(given))
        names = list(inputs) if isinstance(inputs, dict) else self.input_names
        if isinstance(x, dict):
            missing = [name for name in names if name not in x]
            if missing:
                raise InvalidArgument(
                    f"{self._title} {shown(self.name)} has the inputs {', '.join(map(shown, names))}, but "
                    f"{shown(missing[0])} is missing among {', '.join(map(shown, x)) or 'none'}"
                )
            given = [item for name in names for item in leaves(x[name])]
        else:
            given = leaves(x)
        wanted = leaves(inputs)
        if len(given) != len(wanted):
            self._refuse_number(len(given))
        source = iter(given)
        return mapped(lambda _: next(source), inputs)

    def _refuse_number(self, count: int) -> Any:
        names = ", ".join(map(shown, self.input_names))
        raise InvalidArgument(
            f"the model {shown(self.name)} takes {len(self.input_names)} input{'s' * (len(self.input_names) != 1)} "
            f"({names}) but got {count}"
        )

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers for inputs of this shape, (None, ...), or of a structure of shapes."""
        if self._graph is None and not (self._is_ensuring or self._building):
            self.ensure_built(
                mapped_shapes(tuple, input_shape if isinstance(input_shape, dict) else tuple(input_shape))
            )

    def ensure_built(self, input_shape: Any, result_shape: Any = None) -> None:
        outer, self._is_ensuring = self._is_ensuring, True
        try:
            super().ensure_built(input_shape, result_shape)
        finally:
            self._is_ensuring = outer

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the graph begins with."""
        return leaves(self._known_graph().inputs)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the graph ends with."""
        return leaves(self._known_graph().outputs)

    @property
    def input(self) -> Any:
        """The symbolic tensor that the graph begins with, or the structure of them that the model was made of."""
        return self._known_graph().inputs

    @property
    def output(self) -> Any:
        """The symbolic tensor that the graph ends with, or the structure of them that the model was made of."""
        return self._known_graph().outputs

    @property
    def input_names(self) -> list[str]:
        """What the inputs are called in dicts."""
        given = self._known_graph().inputs
        return list(given) if isinstance(given, dict) else [symbol.name for symbol in leaves(given)]

    @property
    def output_names(self) -> list[str] | None:
        """What several outputs are called; None where there is one, or where they are not known yet."""
        shapes = self.output_shape
        if shapes is None or is_shape(shapes):
            return None
        if isinstance(shapes, dict):
            return list(shapes)
        if self._graph is None:
            return [f"output_{i}" for i in range(len(shapes))]
        names = [symbol.name for symbol in leaves(self._graph.outputs)]
        return [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]

    def _known_graph(self) -> Graph:
        graph = self.graph
        if graph is None:
            raise InvalidArgument(
                f"{self._title} {shown(self.name)} runs by a call of its own, so that no inputs and outputs are known; "
                "call it on keras.Input(shape), and make a model of that and what it returns"
            )
        return graph

    def call_of(self, layer: Layer) -> Call | None:
        """Where a layer stands in the graph, if that is known and it is there."""
        graph = self.graph
        return next((call for call in graph.calls if call.layer is layer), None) if graph is not None else None

    def operands(self, x: Any) -> Any:
        """What the model is called on, as tensors of its dtype and on its device."""
        if self.graph is not None and isinstance(self.graph.inputs, SymbolicTensor):
            x = x[0] if isinstance(x, (list, tuple)) and len(x) == 1 and isinstance(x[0], (Tensor, np.ndarray)) else x
            return x if isinstance(x, Tensor) else self.as_tensor(x)
        if isinstance(x, (list, tuple, dict)) and any(isinstance(item, (Tensor, np.ndarray)) for item in leaves(x)):
            return self.arranged(mapped(lambda item: item if isinstance(item, Tensor) else self.as_tensor(item), x))
        return x if isinstance(x, Tensor) else self.as_tensor(x)

    def as_tensor(self, x: Any) -> Tensor:
        """A batch in the model's dtype and on its device."""
        x = arguments.host_array(self, "x", x).astype(self.input_dtype, copy=False)
        if x.ndim == 0:
            raise arguments.wrong(self, "x", x, "a batch: an array with an axis for the samples")
        return Tensor(carrier(self.device)(x))

    @property
    def input_dtype(self) -> np.dtype:
        """What samples are converted to: float64 where an input, or the first layer with weights, counts in it."""
        layers = self.layers
        first = (layer for layer in layers if type(layer).build is not Layer.build or isinstance(layer, Network))
        counted = [*(layer for layer in layers if isinstance(layer, InputLayer)), *islice(first, 1)] or layers
        return np.result_type(np.float32, *(getattr(layer, "input_dtype", layer.dtype) for layer in counted))


def name_for(layer: Layer, others: Sequence[Layer], strict: bool = True) -> str:
    """The name of a layer beside others: its own, with a number if that is taken and nobody chose it.

    With `strict`, one that it has in another model stays as it is.
    """
    taken, stem = {other.name for other in others}, layer.name
    if stem not in taken:
        return stem
    if layer.is_named:
        raise InvalidArgument(f"there is a layer named {shown(stem)} already; names must differ")
    if layer._in_model and strict:
        raise InvalidArgument(
            f"layer {shown(stem)} is in another model, and this one has a layer of that name already; give one of "
            "the two a name of its own: layer.name = '...'"
        )
    return next(name for name in (f"{stem}_{i}" for i in range(1, len(taken) + 2)) if name not in taken)
