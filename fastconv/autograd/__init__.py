"""Reverse-mode differentiation: a tape of tensors, operations beside their gradients, and a check of both."""

from . import functional
from .gradcheck import gradcheck
from .operation import Primitive, primitive
from .tape import PRIMITIVES, VJPS, is_recording, no_grad, undisturbed
from .tensor import Tensor

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
    "undisturbed",
]
