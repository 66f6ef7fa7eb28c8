"""The filters of ``scipy.ndimage``, with its signatures, result dtypes, errors and warnings, on our kernels.

Change ``from scipy import ndimage`` to ``from fastconv import ndimage``. Sums run in float64 in SciPy's order: the
results are SciPy's to the last bit but for means, and integers without exception. docs/scipy.md says function by
function what is the same, what is faster and what differs.
"""

from .derivatives import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    laplace,
    prewitt,
    sobel,
)
from .extrema import (
    grey_dilation,
    grey_erosion,
    maximum_filter,
    maximum_filter1d,
    minimum_filter,
    minimum_filter1d,
)
from .linear import convolve, convolve1d, correlate, correlate1d
from .ranks import median_filter, percentile_filter, rank_filter
from .smoothing import gaussian_filter, gaussian_filter1d, uniform_filter, uniform_filter1d

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "grey_dilation",
    "grey_erosion",
    "laplace",
    "maximum_filter",
    "maximum_filter1d",
    "median_filter",
    "minimum_filter",
    "minimum_filter1d",
    "percentile_filter",
    "prewitt",
    "rank_filter",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]
