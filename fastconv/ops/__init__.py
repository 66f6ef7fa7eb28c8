"""The functional API: each function checks its arguments once, finds its kernel in the dispatch table, and runs it."""

from .choice import choose_method
from .convolution import conv1d, conv2d, conv3d
from .gradients import (
    conv1d_input_grad,
    conv1d_weight_grad,
    conv2d_input_grad,
    conv2d_weight_grad,
    conv3d_input_grad,
    conv3d_weight_grad,
)
from .product import matmul
from .transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d

try:
    from .pooling import *  # noqa
    from .unfolding import *  # noqa
except ImportError:
    pass
