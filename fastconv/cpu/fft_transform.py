"""The Fourier transforms of method "fft", apart from everything else so that they can be replaced.

Arrays carry their spatial axes in the middle: ``(tiles, T0, T1, T2, channels)``. Along one axis, the real one, a
spectrum holds only the T//2 + 1 frequencies that a real signal needs; spectra are unscaled, and `signals` divides by
T0*T1*T2. Every line is transformed by itself, so the number of threads changes no bit.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from ..threads import team
from .fft_plan import real_axis, spectrum_shape

Triple = tuple[int, int, int]

# scipy.fft returns new arrays. The C library gives the pages of large ones back to the system and has them zeroed again
# for the next (a third of the time), until it has once seen a block of nearly 32 MiB freed.
np.empty(31 << 20, np.uint8)


def spectra(tiles: np.ndarray, tile: Triple) -> np.ndarray:
    """Transform real tiles of size `tile` over their three spatial axes.

    Before the real axis `tiles` may end early (filters do): the rest is zero, and lines of zeros cost nothing.
    """
    half = real_axis(tile)
    spectrum = scipy.fft.rfft(tiles, axis=half + 1, workers=_workers(tiles, half + 1))
    extent, shape = spectrum.shape[1:4], spectrum_shape(tile)
    if extent != shape:
        part = spectrum
        spectrum = np.zeros((len(part), *shape, part.shape[4]), part.dtype)
        spectrum[:, : extent[0], : extent[1], : extent[2]] = part
        del part
    for a in reversed(range(half)):
        if tile[a] > 1:
            lines = spectrum[(slice(None), *(slice(e) for e in extent[:a]))]
            scipy.fft.fft(lines, axis=a + 1, overwrite_x=True, workers=_workers(lines, a + 1))
    return spectrum


def signals(spectrum: np.ndarray, tile: Triple, keep: Triple) -> np.ndarray:
    """Transform spectra back; the axes before the real one are cut to their first `keep` positions on the way.

    The spectrum is overwritten.
    """
    half = real_axis(tile)
    for a in range(half):
        if tile[a] > 1:
            spectrum = scipy.fft.ifft(spectrum, axis=a + 1, overwrite_x=True, workers=_workers(spectrum, a + 1))
        spectrum = spectrum[(slice(None),) * (a + 1) + (slice(keep[a]),)]
    return scipy.fft.irfft(spectrum, tile[half], axis=half + 1, workers=_workers(spectrum, half + 1))


def _workers(array: np.ndarray, axis: int) -> int:
    """Threads for the lines of an array along an axis."""
    return team(array.size // array.shape[axis], 20 * array.size)
