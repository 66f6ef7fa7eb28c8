"""NumPy's Fourier transforms in cuFFT's place, for executors without a GPU."""

import numpy as np

from fastconv.cuda import backend
from fastconv.cuda.fft import spectra


def install(monkeypatch):
    """Let convolution by Fourier transforms use them."""
    monkeypatch.setattr(spectra, "rfftn", rfftn)
    monkeypatch.setattr(spectra, "irfftn", irfftn)


def rfftn(a, axes):
    spectrum = np.fft.rfftn(backend.to_host(a), axes=axes)
    parts = np.stack([spectrum.real, spectrum.imag], axis=-1)
    return backend.to_device(parts.astype(a.dtype))


def irfftn(spectrum, shape, axes):
    parts = backend.to_host(spectrum).reshape(*spectra.spectrum_shape(shape, axes), 2)
    values = parts[..., 0] + 1j * parts[..., 1]
    return backend.to_device(np.fft.irfftn(values, [shape[k] for k in axes], axes).astype(spectrum.dtype))
