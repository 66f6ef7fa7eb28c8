"""Reverse-mode differentiation: a tape of tensors, operations beside their gradients, and a check of both."""

from . import functional
from .gradcheck import gradcheck
from .tensor import PRIMITIVES, VJPS, Primitive, Tensor, is_recording, no_grad, primitive

__all__ = [
    "PRIMITIVES",
    "VJPS",
    "Primitive",
    "Tensor",
    "functional",
    "gradcheck",
    "is_recording",
    "no_grad",
    "primitive",
]
