"""Fourier transforms of device arrays, by cuFFT through CuPy; it is imported when the first transform is asked for.

Spectra are arrays of the real dtype with a last axis of two, the real and the imaginary part: kernels know no complex
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import MissingExtra
from .. import backend
from ..runtime.streams import current_stream

INSTALL = "pip install 'fastconv[cufft]' (CUDA 13) or 'fastconv[cufft12]'"


def rfftn(a: Any, axes: Sequence[int]) -> Any:
    """The transform of a real array along `axes`; the last of them keeps its non-negative frequencies."""
    cupy = _cupy()
    with _on_stream(cupy):
        spectrum = cupy.fft.rfftn(cupy.asarray(a), axes=tuple(axes))
        dtype = np.result_type(a.dtype, np.complex64)
        parts = cupy.ascontiguousarray(spectrum, dtype).view(a.dtype)
        return backend.executor().adopt(parts.reshape(*spectrum.shape, 2))


def irfftn(spectrum: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
    """The real array of `shape` that has a spectrum; scaled so that it undoes `rfftn`."""
    cupy = _cupy()
    with _on_stream(cupy):
        values = cupy.asarray(spectrum).view(np.result_type(spectrum.dtype, np.complex64))
        values = values.reshape(spectrum_shape(shape, axes))
        a = cupy.fft.irfftn(values, s=tuple(shape[k] for k in axes), axes=tuple(axes))
        return backend.executor().adopt(cupy.ascontiguousarray(a, spectrum.dtype))


def spectrum_shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Frequencies along each axis of an array of `shape`."""
    return tuple(n // 2 + 1 if k == axes[-1] else n for k, n in enumerate(shape))


@lru_cache(maxsize=1)
def _cupy() -> Any:
    try:
        return import_module("cupy")
    except ImportError as error:
        raise MissingExtra(
            f'method "fft" on cuda needs CuPy, which brings cuFFT ({error}): {INSTALL}; or take another method'
        ) from error


def _on_stream(cupy: Any) -> AbstractContextManager[Any]:
    """Let CuPy work on the stream that kernels start on."""
    pointer = current_stream()
    return cupy.cuda.ExternalStream(pointer) if pointer else cupy.cuda.Stream.null
