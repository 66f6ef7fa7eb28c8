"""ONNX's operators on fastconv's functions: a family a module; the table that they fill is `OPERATORS`."""

from . import activations, arithmetic, convolution, normalization, pooling, resize, shapes
from .registry import ALIKE, EITHER, FIRST, LAST, OPERATORS, Fixed, Operand, Run

__all__ = [
    "ALIKE",
    "EITHER",
    "FIRST",
    "LAST",
    "OPERATORS",
    "Fixed",
    "Operand",
    "Run",
    "activations",
    "arithmetic",
    "convolution",
    "normalization",
    "pooling",
    "resize",
    "shapes",
]
