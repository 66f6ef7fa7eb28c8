"""What the scipy suite measures of `fastconv.image`, whose rivals are OpenCV and scikit-image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from ...threads import get_num_threads
from .call import Call

TOLERANCE = 1e-3  # of the largest score: OpenCV's sums of squares of float32 lose digits
SIZES = ((256, 16), (1_024, 16), (1_024, 64), (1_024, 200), (2_048, 64))


def calls(dtype: str) -> Iterator[Call]:
    """Templates in images."""
    yield from (Call("image.match_template", ((n, n), (k, k))) for n, k in SIZES)


def rivals(dtype: np.dtype) -> dict[str, Callable[..., Any]]:
    """What takes the same arguments, by rival; OpenCV has no float64."""

    def opencv(x: np.ndarray, template: np.ndarray) -> Any:
        return cv2.matchTemplate(x, template, cv2.TM_CCOEFF_NORMED)

    def skimage(x: np.ndarray, template: np.ndarray) -> Any:
        return import_module("skimage.feature").match_template(x, template)

    try:
        cv2: Any = import_module("cv2")
        cv2.setNumThreads(get_num_threads())
    except ImportError:
        cv2 = None
    return {"skimage": skimage} | ({"opencv": opencv} if cv2 and dtype == np.float32 else {})


def expected(x: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The scores by their formula, in float64: normalised cross-correlation of what differs from the means."""
    correlate: Any = import_module("scipy.signal").fftconvolve
    turned, box = template[::-1, ::-1], np.ones(template.shape)
    products = correlate(x, turned - turned.mean(), "valid")
    sums, squares = correlate(x, box, "valid"), correlate(x * x, box, "valid")
    energy = (squares - sums**2 / template.size) * np.sum((template - template.mean()) ** 2)
    return products / np.sqrt(energy)  # type: ignore[no-any-return]
