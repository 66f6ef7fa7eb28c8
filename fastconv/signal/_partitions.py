"""A long filter in parts of a block's length, whose spectra meet those of the blocks that went by."""

from __future__ import annotations

import numpy as np
from scipy import fft


class Partitions:
    """For blocks of `length` samples; `past` are the samples before the first of them, (channels, taps - 1).

        Y[t] = sum over p of X[t - p] * H[p]

    with X[t] the spectrum of blocks t - 1 and t, H[p] that of the taps p*length, ..., (p+1)*length - 1.
    """

    def __init__(self, taps: np.ndarray, length: int, past: np.ndarray) -> None:
        self.length = length
        self._real = taps.dtype.kind != "c" and past.dtype.kind != "c"
        self._size = fft.next_fast_len(2 * length, self._real)
        count = -(-len(taps) // length)
        parts = np.zeros((count, length), taps.dtype)
        parts.reshape(-1)[: len(taps)] = taps
        filters = self._transformed(parts)[::-1]
        self._filters = np.concatenate((filters, filters))  # any turn of the ring of spectra is a part of it
        before = np.zeros((len(past), (count + 1) * length), past.dtype)
        before[:, before.shape[1] - past.shape[1] :] = past  # a sample older than the filter meets no tap
        blocks = [before[:, i * length : (i + 2) * length] for i in range(count)]
        self._spectra = np.stack([self._transformed(pair) for pair in blocks])
        self._count, self._oldest = count, 0

    def next(self, pair: np.ndarray) -> np.ndarray:
        """The output of the last block, for it and the one before: (channels, 2 * length)."""
        count, size = self._count, self._size
        self._spectra[self._oldest] = self._transformed(pair)
        self._oldest = (self._oldest + 1) % count
        filters = self._filters[count - self._oldest : 2 * count - self._oldest]
        product = np.einsum("pcf,pf->cf", self._spectra, filters)
        y: np.ndarray = fft.irfft(product, size) if self._real else fft.ifft(product, size)
        return y[:, self.length : 2 * self.length]

    def _transformed(self, a: np.ndarray) -> np.ndarray:
        return fft.rfft(a, self._size) if self._real else fft.fft(a, self._size)  # type: ignore[no-any-return]
