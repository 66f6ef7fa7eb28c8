"""fastconv's kernels for code that you compile yourself: functions to call from ``@numba.njit`` functions.

For example::

    @numba.njit(cache=True)
    def features(x, w):
        return fc.njit.max_pool2d(fc.njit.conv2d(x, w, padding=1, activation="relu"), 2)

They compute what `fastconv`'s functions of the same names do, with the same methods and to the last bit, on the thread
that calls them: parallelism is yours, by ``prange`` or threads of your own. Called from Python they do the same.

Beside convolution, pooling and their gradients there are `convolve` and `correlate` of signals and images, which have
no batch and no channels, as SciPy's do.
"""

from ._door import ATTRIBUTE as _ATTRIBUTE
from ._door import door as _door_of_process
from .convolution import conv1d, conv2d, conv3d
from .gradients import (
    conv1d_input_grad,
    conv1d_weight_grad,
    conv2d_input_grad,
    conv2d_weight_grad,
    conv3d_input_grad,
    conv3d_weight_grad,
)
from .pool_gradients import (
    avg_pool1d_grad,
    avg_pool2d_grad,
    avg_pool3d_grad,
    max_pool1d_grad,
    max_pool2d_grad,
    max_pool3d_grad,
)
from .pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .signal import convolve, convolve2d, correlate, correlate2d

__all__ = [
    "avg_pool1d",
    "avg_pool1d_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "avg_pool3d",
    "avg_pool3d_grad",
    "conv1d",
    "conv1d_input_grad",
    "conv1d_weight_grad",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv3d",
    "conv3d_input_grad",
    "conv3d_weight_grad",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "max_pool1d",
    "max_pool1d_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool3d",
    "max_pool3d_grad",
]

globals()[_ATTRIBUTE] = _door_of_process()
