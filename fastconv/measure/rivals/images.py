"""Libraries for images and signals: SciPy and OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from ...problem import ConvProblem
from ..oracle import Arrays
from ..problems import Problem
from .base import Candidate


def _one_image(problem: Problem) -> str | None:
    """Why an image or signal library cannot do a problem: it filters one plane, and leaves its size as it is."""
    spec = problem.spec
    if not isinstance(spec, ConvProblem) or problem.op != "conv":
        return "filters only"
    if spec.dtype == "bfloat16":
        return "no bfloat16"
    if (spec.N, spec.C, spec.O) != (1, 1, 1):
        return "one image of one channel only"
    if max(spec.stride) > 1 or max(spec.dilation) > 1:
        return "neither stride nor dilation"
    if spec.out != spec.size or any(before != after for before, after in spec.padding) or spec.padding_mode != "zeros":
        return 'zero padding of "same" size only'
    return None


def _plane(problem: Problem, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, Callable[[Any], np.ndarray]]:
    """The image, the filter, and how a filtered image gets the problem's shape."""
    spec = problem.spec
    first = 3 - spec.rank
    assert isinstance(spec, ConvProblem)
    image = arrays["x"].reshape(spec.size[first:])
    return image, arrays["w"].reshape(spec.kernel[first:]), lambda y: np.asarray(y).reshape(spec.y_shape)


def scipy_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    reason = _one_image(problem)
    if reason:
        return reason
    fft, ndimage, signal = (import_module(f"scipy.{name}") for name in ("fft", "ndimage", "signal"))
    image, w, to_numpy = _plane(problem, arrays)
    flipped = np.flip(w).copy()

    def transformed(function: Any) -> Callable[[], Any]:
        def call() -> Any:
            with fft.set_workers(threads):
                return function(image, flipped, mode="same")

        return call

    candidates = [
        Candidate("signal.fftconvolve", transformed(signal.fftconvolve), to_numpy),
        Candidate("signal.oaconvolve", transformed(signal.oaconvolve), to_numpy),
    ]
    if w.size > 81:  # beyond, the direct ones take seconds and the transforms are far ahead
        return candidates
    candidates.append(Candidate("ndimage.correlate", lambda: ndimage.correlate(image, w, mode="constant"), to_numpy))
    if image.ndim == 2:
        candidates.append(Candidate("signal.correlate2d", lambda: signal.correlate2d(image, w, "same"), to_numpy))
    return candidates


def opencv_ways(problem: Problem, arrays: Arrays, threads: int) -> list[Candidate] | str:
    reason = _one_image(problem) or (None if problem.spec.rank == 2 else "images only")
    if reason:
        return reason
    cv2: Any = import_module("cv2")
    cv2.setNumThreads(threads)
    image, w, to_numpy = _plane(problem, arrays)
    call = lambda: cv2.filter2D(image, -1, w, borderType=cv2.BORDER_CONSTANT)  # noqa: E731
    return [Candidate("filter2D", call, to_numpy)]
