"""Borders as ONNX describes them: `pads`, or `auto_pad`."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Node
from .registry import sizes

Pairs = tuple[tuple[int, int], ...]


def pairs_of(pads: Sequence[int]) -> Pairs:
    """ONNX's order, all that lies before and then all behind, as a pair for each axis."""
    half = len(pads) // 2
    return tuple((int(a), int(b)) for a, b in zip(pads[:half], pads[half:], strict=True))


def border(node: Node, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]) -> Pairs:
    """The border of a convolution's or pool's input."""
    rank, auto = len(size), node.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return ((0, 0),) * rank
    if auto == "NOTSET":
        return pairs_of(sizes(node, "pads", 2 * rank, 0))
    pairs = []
    for n, e, s in zip(size, extent, stride, strict=True):
        total = max(0, (-(-n // s) - 1) * s + e - n)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return tuple(pairs)


def extents(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Elements that a window or filter spans."""
    return [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]


def refuses_border(node: Node) -> str:
    """Why a node's border is not served."""
    pads = node.get("pads", ())
    if any(p < 0 for p in pads):
        return f"pads={list(pads)} are negative"
    auto = node.get("auto_pad", "NOTSET")
    return "" if auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") else f"auto_pad={auto!r} is not served"
