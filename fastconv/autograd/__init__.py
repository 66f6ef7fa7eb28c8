"""Reverse-mode differentiation: a tape of tensors, operations beside their gradients, and a check of both."""

from . import functional
from .gradcheck import gradcheck
from .graph import Graph, draw
from .operation import Primitive, primitive
from .tape import PRIMITIVES, VJPS, is_recording, no_grad, undisturbed
from .tensor import Tensor

__all__ = [
    "PRIMITIVES",
    "VJPS",
    "Graph",
    "Primitive",
    "Tensor",
    "draw",
    "functional",
    "gradcheck",
    "is_recording",
    "no_grad",
    "primitive",
    "undisturbed",
]
