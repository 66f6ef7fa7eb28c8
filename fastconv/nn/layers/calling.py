"""How a layer is called: on arrays and tensors, which it computes with, or on symbolic tensors, which it notes down."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...autograd import Tensor, no_grad
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import arguments, policies, regularizers
from ..basics.structures import is_shape, leaves, mapped, mapped_shapes
from ..basics.tracking import Holder, walk
from ..basics.unknown import agreed, has_unknown
from ..modelling.placing import carrier, device_of, place
from .custom import add, checked_losses, invoke, is_training
from .symbols import Call, dtype_of, is_symbolic, only_call, recorded, symbols_in, zeros_for


class Calling(Holder):
    """Base of layers: what happens round `call`."""

    is_builtin = True
    """Whether the class is one of this package's: its code changes no weights, and keeps no layer but as activation."""

    takes_several = False
    """Whether a layer of this package takes a list of tensors; those of your own may take what they like."""

    dtype: np.dtype
    autocast: bool
    _policy: policies.DTypePolicy
    built: Any
    input_shape: Any
    output_shape: Any
    _calls: tuple[Call, ...] = ()
    """Where the layer was called on symbolic tensors."""
    _added: tuple[Tensor, ...] = ()
    """What the last call added to the loss."""
    _homes: tuple[Any, ...] = ()
    """Weak references to the `Sequential` models that the layer is in."""

    @property
    def kind(self) -> str:
        """What summaries and pictures call what the layer is."""
        return type(self).__name__

    def ensure_built(self, input_shape: Any, result_shape: Any = None) -> None:
        """Make the weights, once."""
        raise NotImplementedError

    def __call__(self, x: Any, *more: Any, training: bool | None = None, **options: Any) -> Any:
        """Build if need be, and apply the layer to an array or a tensor, or several in a list, tuple or dict.

        Of symbolic tensors, such as `fastconv.nn.Input`, it gives symbolic ones. Without `training`, which may come
        second, a layer that is called by another one, or in a model, does as that does; else it is False. Further
        arguments are those of the `call` of a layer of your own.
        """
        if more and (self.is_builtin or more[0] is None or isinstance(more[0], (bool, np.bool_))):
            training, *rest = more
            more = tuple(rest)
        if training is not None:
            training = arguments.flag(self, "training", training)
        if is_symbolic((x, more, options)):
            return self._called(x, more, options, training)
        x = self.operands(x)
        was_built = self.built
        result_shape = partial(self.shape_of_result, *zeros_for((x, *more)), **zeros_for(options))
        self.ensure_built(mapped(lambda t: (None, *t.shape[1:]), x), result_shape if more or options else None)
        if not was_built:
            place([self], device_of(leaves(x)[0].data))
        return invoke(self, x, is_training() if training is None else training, *more, **options)

    def _called(self, x: Any, more: tuple[Any, ...], options: dict[str, Any], training: bool | None) -> Any:
        """What the layer makes of symbolic tensors."""
        shapes = mapped(lambda item: getattr(item, "shape", ()), x)
        symbols = symbols_in((x, more, options))

        def of_size(unknown: int) -> Any:
            return self.shape_of_result(*zeros_for((x, *more), 1, unknown), **zeros_for(options, 1, unknown))

        def result_shape() -> Any:
            return agreed(of_size) if has_unknown([s.shape for s in symbols]) else of_size(1)

        self.ensure_built(shapes, result_shape if more or options else None)
        is_known = shapes == self.input_shape and not (more or options)
        made = self.output_shape if is_known else result_shape()
        dtype = self._result_dtype(dtype_of(symbols))
        return recorded(self, (x, *more), options, made, dtype, training)

    def add_loss(self, loss: Any) -> None:
        """Let training minimise `loss` too: a tensor, or several, that `call` has computed; of each the sum.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> class Near(keras.layers.Layer):
        ...     def call(self, x):
        ...         self.add_loss(0.1 * (x * x).mean())
        ...         return x
        >>> model = keras.Sequential([keras.Input((2,)), Near()])  # doctest: +SKIP
        >>> model.compile("sgd")  # which `fit` minimises alone, or beside a loss  # doctest: +SKIP
        """
        add(self, checked_losses(self, loss))

    @property
    def losses(self) -> list[Tensor]:
        """What is added to a model's loss: regularizers of weights, and what layers added when they were last called.

        A training loop of one's own adds their sum to its loss.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> layer = keras.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5))
        >>> _ = layer(np.ones((1, 3)))
        >>> [float(loss) for loss in layer.losses]
        [3.0]
        """
        regular = [w for w in self.trainable_weights if w.regularizer is not None]
        added = (loss for _, holder in walk(self) for loss in getattr(holder, "_added", ()))
        return [*(regularizers.penalty(w.regularizer, w) for w in regular), *added]

    def operands(self, x: Any) -> Any:
        """What the layer is called on, as tensors."""
        if isinstance(x, Tensor):
            return x
        several = isinstance(x, (list, tuple, dict)) and any(
            isinstance(item, Tensor) or (not self.is_builtin or self.takes_several) and isinstance(item, np.ndarray)
            for item in leaves(x)
        )
        return mapped(self._operand, x) if several else self._operand(x)

    def _operand(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            x = Tensor(arguments.host_array(self, "x", x).astype(policies.of_arrays(self.dtype), copy=False))
        if x.ndim == 0:
            raise arguments.wrong(self, "x", x, "a batch: an array with an axis for the images")
        return x

    def converted(self, x: Any) -> Any:
        """What `call` gets in place of x: tensors of the dtype that the layer computes in, where 16 bits take part."""
        computes = self._policy.compute
        if not self.autocast or (type(x) is Tensor and x.values.dtype is computes):
            return x
        return mapped(lambda t: F.astype(t, dtype=computes) if _is_converted(t, computes) else t, x)

    def _result_dtype(self, given: np.dtype) -> np.dtype:
        """The dtype of results, for inputs of one."""
        raise NotImplementedError

    @property
    def input(self) -> Any:
        """The symbolic tensor, or tensors, that the layer was called on: once, or in one `Sequential` model."""
        call = only_call(self)
        return call.args[0] if len(call.args) == 1 else list(call.args)

    @property
    def output(self) -> Any:
        """The symbolic tensor, or tensors, that the layer makes where it was called, once, or in one model.

        Examples
        --------
        >>> from fastconv import nn as keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(1)])
        >>> keras.Model(model.inputs, model.get_layer("hidden").output).output_shape
        (None, 3)
        """
        return only_call(self).outputs

    def check_number(self, input_shape: Any) -> None:
        """Refuse a structure of shapes where one is taken, and the other way round."""
        if self.is_builtin and not is_shape(input_shape) and not self.takes_several:
            count = len(leaves(mapped_shapes(lambda _: 0, input_shape)))
            raise InvalidArgument(
                f"layer {shown(self.name)} takes one tensor but got {count}, of shapes {shown(input_shape, 200)}; "
                "merge them first, such as by keras.layers.Concatenate()"
            )

    def shape_of_result(self, x: Any, *more: Any, **options: Any) -> Any:
        """Shape, or shapes, of what the layer makes of one sample."""
        carry = carrier(next((device_of(w.data) for w in self.weights), "cpu"))
        x, more = mapped(lambda item: Tensor(carry(item.data)) if isinstance(item, Tensor) else item, (x, more))
        with no_grad():
            y = invoke(self, x, False, *more, **options)
        return mapped(lambda item: (None, *item.shape[1:]), y)


def _is_converted(value: Any, computes: np.dtype) -> bool:
    return isinstance(value, Tensor) and policies.converts(value.dtype, computes)
