"""Keras's module of settings; `fastconv.nn.backend` has them too."""

from .backend import backend, epsilon, floatx, image_data_format
from .policies import dtype_policy, set_dtype_policy, set_floatx

__all__ = ["backend", "dtype_policy", "epsilon", "floatx", "image_data_format", "set_dtype_policy", "set_floatx"]
