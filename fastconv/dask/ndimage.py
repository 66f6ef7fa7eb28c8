"""The filters of `fastconv.ndimage` over Dask arrays: the same names and arguments, in any chunks."""

from __future__ import annotations

from .. import ndimage
from ._over import over

convolve = over(ndimage.convolve)
convolve1d = over(ndimage.convolve1d)
correlate = over(ndimage.correlate)
correlate1d = over(ndimage.correlate1d)
gaussian_filter = over(ndimage.gaussian_filter)
gaussian_filter1d = over(ndimage.gaussian_filter1d)
gaussian_gradient_magnitude = over(ndimage.gaussian_gradient_magnitude)
gaussian_laplace = over(ndimage.gaussian_laplace)
grey_dilation = over(ndimage.grey_dilation)
grey_erosion = over(ndimage.grey_erosion)
laplace = over(ndimage.laplace)
maximum_filter = over(ndimage.maximum_filter)
maximum_filter1d = over(ndimage.maximum_filter1d)
median_filter = over(ndimage.median_filter)
minimum_filter = over(ndimage.minimum_filter)
minimum_filter1d = over(ndimage.minimum_filter1d)
percentile_filter = over(ndimage.percentile_filter)
prewitt = over(ndimage.prewitt)
rank_filter = over(ndimage.rank_filter)
sobel = over(ndimage.sobel)
uniform_filter = over(ndimage.uniform_filter)
uniform_filter1d = over(ndimage.uniform_filter1d)

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
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
