"""Sizes that are not known before there are images: None in the shapes of `fastconv.nn.Input`.

What a layer makes of them is found out with two sizes in their place: where the results differ, a size is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ...errors import InvalidArgument
from .structures import mapped_shapes

PROBES = (32, 64), (512, 1024)
"""Sizes in place of unknown ones; the second pair is for windows that the first images are too small for."""

Shape = tuple[int | None, ...]


def has_unknown(shapes: Any) -> bool:
    """Whether a size beside the number of samples is unknown, in a shape or in a structure of shapes.

    Examples
    --------
    >>> has_unknown((None, 28, 28, 1)), has_unknown([(None, 28), (None, None, 3)])
    (False, True)
    """
    return any(None in shape[1:] for shape in _shapes_in(shapes))


def fits(shape: Shape, known: Shape) -> bool:
    """Whether samples of a shape are of a known one, in which None is any size; both begin with the samples' number.

    Examples
    --------
    >>> fits((8, 17, 23, 3), (None, None, None, 3)), fits((8, 17, 23, 1), (None, None, None, 3))
    (True, False)
    """
    return len(shape) == len(known) and all(k is None or n == k for n, k in zip(shape[1:], known[1:], strict=True))


def agreed(make: Callable[[int], Any]) -> Any:
    """The shape, or structure of shapes, that `make` gives for unknown sizes of any size; None where that matters."""
    small, large = PROBES
    try:
        first, second = map(make, small)
    except InvalidArgument:
        first, second = map(make, large)
    others = iter(_shapes_in(second))
    return mapped_shapes(lambda shape: _common(shape, next(others)), first)


def through_unknown(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A `compute_output_shape` that is right for known sizes, for unknown ones too."""

    @wraps(compute)
    def computed(self: Any, input_shape: Any) -> Any:
        if not has_unknown(input_shape):
            return compute(self, input_shape)
        return agreed(lambda size: compute(self, mapped_shapes(lambda shape: sized(shape, size), input_shape)))

    return computed


def sized(shape: Shape, size: int = PROBES[-1][-1]) -> Shape:
    """A shape with a size in place of each that is not known.

    Examples
    --------
    >>> sized((None, None, None, 3), 28)
    (None, 28, 28, 3)
    """
    return (*shape[:1], *(size if n is None else n for n in shape[1:]))


def _common(first: Shape, second: Shape) -> Shape:
    return tuple(n if n == m else None for n, m in zip(first, second, strict=True))


def _shapes_in(shapes: Any) -> list[Shape]:
    found: list[Shape] = []
    mapped_shapes(found.append, shapes)
    return found
