"""The functions of ``scipy.signal`` that convolve: its signatures, result dtypes, errors and modes, on our kernels.

Change ``from scipy import signal`` to ``from fastconv import signal``. Convolution turns its filter round here, as in
SciPy, and unlike `fastconv.conv1d` and its relatives. What has no kernel goes to SciPy's own function: the table in
docs/scipy.md says what is the same, what is faster and what differs.
"""

from .convolution import (
    choose_conv_method,
    convolve,
    correlate,
    correlation_lags,
    fftconvolve,
    oaconvolve,
)
from .images import convolve2d, correlate2d, medfilt2d, sepfir2d
from .smoothing import savgol_coeffs, savgol_filter, wiener
from .streaming import Stream

__all__ = [
    "Stream",
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "medfilt2d",
    "oaconvolve",
    "savgol_coeffs",
    "savgol_filter",
    "sepfir2d",
    "wiener",
]
