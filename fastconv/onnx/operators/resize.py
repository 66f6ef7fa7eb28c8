"""Resizing by the nearest element: for each axis a table of which element that is."""

from __future__ import annotations

import numpy as np

from ..graph import Node
from .registry import EITHER, Operand, Run, only, operator, value_of

_COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
_ROUNDED = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _refuses(node: Node) -> str:
    if node.op == "Upsample" or node.opset < 11:
        return only(mode=("nearest",))(node)
    return only(
        mode=("nearest",),
        coordinate_transformation_mode=(*_COORDINATES, "tf_half_pixel_for_nn"),
        nearest_mode=_ROUNDED,
        keep_aspect_ratio_policy=("stretch",),
        antialias=(0,),
    )(node)


@operator("Resize", "Upsample", layout=EITHER, refuses=_refuses)
def resize(
    node: Node, x: Operand, roi: Operand | None = None, scales: Operand | None = None, sizes: Operand | None = None
) -> Run:
    if node.op == "Upsample" or node.opset < 11:
        scales, sizes = roi, None  # the second input
        coordinates, rounded = "asymmetric", "floor"
    else:
        coordinates = node.get("coordinate_transformation_mode", "half_pixel")
        rounded = node.get("nearest_mode", "round_prefer_floor")
    tables = []
    for axis, scale, out in _targets(node, x, scales, sizes):
        size = x.shape[axis]
        if out != size or scale != 1:
            place = _place(np.arange(out, dtype=np.float32), coordinates, np.float32(scale), size, out)
            tables.append((x.axis(axis), np.clip(_nearest(place, rounded), 0, size - 1)))

    def run(x: np.ndarray, *_: object) -> np.ndarray:
        for axis, table in tables:
            x = np.take(x, table, axis)
        return x

    return run


def _targets(node: Node, x: Operand, scales: Operand | None, sizes: Operand | None) -> list[tuple[int, float, int]]:
    """(axis, scale, size of the result) of the axes that the node names."""
    factors = value_of(node, scales, "scales")
    if factors is None or factors.size == 0:
        factors = node.get("scales")
    wanted = value_of(node, sizes, "sizes")
    given = wanted if wanted is not None and wanted.size else factors
    assert given is not None  # the checker saw to it
    axes = node.get("axes") or range(len(given))
    targets = []
    for axis, number in zip(axes, np.ravel(given).tolist(), strict=True):
        size = x.shape[axis]
        if given is wanted:
            targets.append((axis, number / size, int(number)))
        else:
            targets.append((axis, number, int(np.floor(size * number))))
    return targets


def _place(i: np.ndarray, coordinates: str, scale: np.float32, size: int, out: int) -> np.ndarray:
    """Where the elements i of the result lie in x; in float32, as elsewhere, which decides at whole numbers."""
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "align_corners":
        return i * np.float32(size - 1) / np.float32(out - 1) if out > 1 else i * 0
    if coordinates == "pytorch_half_pixel" and out == 1:
        return i * 0
    if coordinates == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if coordinates == "half_pixel_symmetric":
        shift = np.float32(size / 2 * (1 - out / (float(scale) * size)))
        return shift + (i + 0.5) / scale - 0.5
    return (i + 0.5) / scale - 0.5


def _nearest(place: np.ndarray, rounded: str) -> np.ndarray:
    """Whole numbers, a half by the rule."""
    if rounded == "floor":
        nearest = np.floor(place)
    elif rounded == "ceil":
        nearest = np.ceil(place)
    else:
        nearest = np.ceil(place - 0.5) if rounded == "round_prefer_floor" else np.floor(place + 0.5)
    return nearest.astype(np.intp)
