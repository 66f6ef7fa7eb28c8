"""Operations on tensors: a forward function beside its gradient.

The engine, `tape`, knows no operation. One is a `Primitive`: a forward function that returns its result and what its
gradient needs, and a VJP (vector-Jacobian product) registered in `VJPS` under its name. See `autograd.functional`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from .halves import as_weights, weights_dtype
from .tape import DEPTH, PLAIN, PRIMITIVES, VJPS, Node, apart, arrays_in, is_recording, is_undisturbed, node_of
from .tensor import Tensor

Saved = tuple[np.ndarray, tuple[Any, ...]]  # what a forward function returns: the result, and what the VJP needs


class Primitive:
    """A differentiable operation; made by the decorator `primitive`.

    ``forward(*inputs, **options)`` gets arrays (or numbers, or None) and returns the result and a tuple of what the VJP
    needs. Inputs are what a gradient may flow to; options are plain values. Options of a forward function without
    ``**options``, and those it cannot do without, may also be given by place, after the inputs.

    An operand that others can write to is copied where ``forward`` keeps it, or a view of it, for the VJP; of
    everything else that it returns ``forward`` must be the only owner.
    """

    def __init__(self, forward: Callable[..., Saved], name: str | None = None) -> None:
        if name is not None:
            for function in (forward, inspect.unwrap(forward)):  # Python's own messages say it
                function.__name__ = function.__qualname__ = name
        update_wrapper(self, forward)
        self.name = name or forward.__name__
        self.forward = forward
        self._inputs, self._options, self._most = _parameters(forward)
        PRIMITIVES[self.name] = self

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        if len(inputs) > self._most or (options and not options.keys().isdisjoint(self._inputs)):
            inputs, options = self._sorted(inputs, options)
        if self._most == math.inf and len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
            inputs = tuple(inputs[0])
        if weights_dtype() is not None:
            inputs = as_weights(inputs)
        if options.get("out") is not None:
            raise InvalidArgument(
                f"{self.name} of tensors makes an array of its own, which must stay what it is: leave out= away"
            )
        for name, value in options.items():
            if isinstance(value, (Tensor, list, tuple)):
                options[name] = _plain(value, f"the option {name!r} of {self.name}")
        arrays: list[Any] = []
        lent: list[Any] = []  # what others can write to
        recorded = False
        for value in inputs:
            if isinstance(value, Tensor):
                recorded = recorded or value._requires_grad
                if value._node is None:
                    lent.append(value.values)
                value = value.values
            elif type(value) not in PLAIN:
                if hasattr(type(value), "__fastconv_operation__"):  # has no numbers yet, and notes what shall be done
                    return value.__fastconv_operation__(self, inputs, options)
                lent += arrays_in((_plain(value, f"a list given to {self.name}"),))
            arrays.append(value)
        y, saved = self.forward(*arrays, **options)
        result = Tensor(y)
        if recorded and is_recording() and result.values.dtype.kind not in "biu":
            if not is_undisturbed():
                lent += arrays_in(options.values())
                if lent:
                    saved, result.values = apart(saved, lent), apart(result.values, lent)
            parents = tuple([node_of(i) if isinstance(i, Tensor) else None for i in inputs])
            operands = tuple([None if isinstance(a, list) else getattr(a, "shape", a) for a in arrays])
            result._node = Node(self.name, parents, saved, result.values.shape, operands)
            result._requires_grad = True
        return result

    def _sorted(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Options that were given by place under their names, and inputs that were given by name at their places."""
        names = list(self._inputs)
        by_place = dict(zip([*names, *self._options], inputs, strict=False))
        twice = by_place.keys() & options.keys()
        if len(inputs) > len(names) + len(self._options) or twice:
            raise InvalidArgument(
                f"{self.name} got {', '.join(sorted(twice)) + ' twice' if twice else f'{len(inputs)} arguments'}; "
                f"it takes {', '.join([*names, *self._options])} by place, further options by name"
            )
        given = by_place | options
        while names and names[-1] not in given:
            names.pop()
        inputs = tuple(given.pop(name, None) for name in names)
        return inputs, given

    def vjp(self, function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        """Register ``function(dy, needs, *saved)`` as this operation's VJP; use as a decorator."""
        VJPS[self.name] = function
        return function


def primitive(forward: Callable[..., Saved]) -> Primitive:
    """Make a differentiable operation of a forward function; give it a VJP with ``@operation.vjp``.

    Examples
    --------
    >>> from fastconv.autograd import Tensor, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x**3, (x,)
    >>> @cube.vjp
    ... def _(dy, needs, x):
    ...     return (3 * x**2 * dy,)
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> float(x.grad)
    12.0
    >>> del PRIMITIVES["cube"], VJPS["cube"]
    """
    return Primitive(forward)


def _parameters(forward: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...], float]:
    """The inputs' names, those of the options that may be given by place, and how many inputs there may be."""
    parameters = inspect.signature(forward).parameters.values()
    kinds = [p.kind for p in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return (), (), math.inf
    is_open = inspect.Parameter.VAR_KEYWORD in kinds
    named = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    inputs = tuple(p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inputs, tuple(p.name for p in named if not is_open or p.default is inspect.Parameter.empty), len(inputs)


def _plain(value: Any, what: str, depth: int = DEPTH) -> Any:
    """A value without tensors, which may hold none that requires a gradient: none would reach it."""
    if isinstance(value, (tuple, list)):
        if depth == 0 or not any(map(_may_hold_tensors, value)):
            return value
        return type(value)([_plain(item, what, depth - 1) for item in value])
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad and is_recording():
        raise InvalidArgument(f"{what} is, or holds, a tensor whose gradient would be lost there; pass its detach()")
    return value.values


def _may_hold_tensors(value: Any) -> bool:
    return isinstance(value, (Tensor, tuple, list))
