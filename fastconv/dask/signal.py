"""The convolutions of `fastconv.signal` over Dask arrays: in2 is NumPy's, and goes to every worker."""

from __future__ import annotations

from .. import signal
from ._over import over

convolve = over(signal.convolve)
convolve2d = over(signal.convolve2d)
correlate = over(signal.correlate)
correlate2d = over(signal.correlate2d)
fftconvolve = over(signal.fftconvolve)
medfilt2d = over(signal.medfilt2d)
oaconvolve = over(signal.oaconvolve)

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "fftconvolve",
    "medfilt2d",
    "oaconvolve",
]
