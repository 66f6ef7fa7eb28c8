"""How a call is cut into blocks: by what the function's arguments say, or by the depth that is given.

The functions of fastconv are known, and SciPy's of the same names and arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InvalidArgument, shown
from ..spec import parse_axes, parse_padding_mode
from . import rules_filters, rules_ops, rules_signal  # noqa: F401 - they register themselves
from .operations import RULES, Operation, same_size
from .reach import CUT

FAMILIES = ("ops", "ndimage", "signal", "image")


def operation(
    function: Any, x: Any, args: Sequence[Any], keywords: dict[str, Any], depth: Any = None, borders: Any = None
) -> Operation:
    """How ``function(x, *args, **keywords)`` is cut; of x its shape and dtype are looked at.

    Raises
    ------
    InvalidArgument
        Nothing is known of the function and no depth given, or both; the arguments are wrong.
    """
    if not callable(function):
        raise InvalidArgument(
            f"function is {shown(function)}; expected a function of an array, such as fastconv.conv2d"
        )
    if 0 in x.shape:
        raise InvalidArgument(f"x has no elements: its shape is {tuple(x.shape)}; there is nothing to cut into blocks")
    known = RULES.get(_key(function))
    if known is None:
        if depth is None:
            raise InvalidArgument(
                f"how {shown(function)} is cut into blocks is not known; give depth=, how many elements to either side "
                "of its place an output depends on"
            )
        return _of_depth(function, x, args, keywords, depth, borders)
    if depth is not None or borders is not None:
        raise InvalidArgument(f"{function.__name__} says itself how it is cut; leave depth and borders out")
    return known(function, x, *args, **keywords)


def _key(function: Any) -> tuple[str, str]:
    """Where a function comes from and its name."""
    top, _, rest = str(getattr(function, "__module__", "")).partition(".")
    family = rest.partition(".")[0]
    return (family if top in ("fastconv", "scipy") and family in FAMILIES else "", getattr(function, "__name__", ""))


def _of_depth(
    function: Any, x: Any, args: Sequence[Any], keywords: dict[str, Any], depth: Any, borders: Any
) -> Operation:
    """Any function whose output depends on `depth` elements to either side of its place."""
    depths = parse_axes(depth, "depth", len(x.shape), least=0)
    mode = CUT if borders is None else parse_padding_mode(borders)
    return same_size(lambda block: function(block, *args, **keywords), x.shape, [(d, d) for d in depths], mode)
