"""How fast is `fastconv.image` beside scikit-image and OpenCV? Results are checked, then all are timed in turns.

    python bench/image.py [--only match,filters,gabor,others] [--seconds 0.5] [--threads 2]

Times are medians in milliseconds; ratios above 1 mean that fastconv is faster. Rivals that are not installed are left
out. Checked against float64: scikit-image's function on the image as float64, or SciPy's filters one by one.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

import fastconv as fc
from fastconv.measure.timing import interleave

PARTS = ("match", "filters", "gabor", "others")


class Case(NamedTuple):
    """One row: ours and the rivals' calls, and what is right, with how far a result may be from it."""

    name: str
    calls: dict[str, Callable[[], Any]]
    expected: Callable[[], Any]
    limit: float


def optional(name: str) -> Any:
    """A module, or None."""
    try:
        return import_module(name)
    except ImportError:
        return None


FEATURE, FILTERS, METRICS = (optional(f"skimage.{name}") for name in ("feature", "filters", "metrics"))
CV2 = optional("cv2")


def picture(n: int, dtype: str) -> np.ndarray:
    """Something with structure of several sizes, from 0 to 1 or 255."""
    rng = np.random.default_rng(0)
    x = sum(ndimage.gaussian_filter(rng.standard_normal((n, n)), s) * s for s in (1, 4, 16))
    x = (x - x.min()) / (x.max() - x.min())
    return (x * 255).astype(dtype) if dtype == "uint8" else x.astype(dtype)


def matches() -> Iterator[Case]:
    """match_template of all sizes."""
    for n in (256, 1024, 2048):
        for dtype in ("float32", "uint8"):
            x = picture(n, dtype)
            for k in (16, 64, 200):
                if 3 * k > n:
                    continue
                t = x[n // 3 : n // 3 + k, n // 4 : n // 4 + k].copy()
                calls = {"fastconv": lambda x=x, t=t: fc.image.match_template(x, t)}
                if dtype == "uint8":
                    calls["as float32"] = lambda x=x, t=t: fc.image.match_template(x, t, dtype="float32")
                if CV2:
                    calls["OpenCV"] = lambda x=x, t=t: CV2.matchTemplate(x, t, CV2.TM_CCOEFF_NORMED)
                if FEATURE:
                    calls["scikit-image"] = lambda x=x, t=t: FEATURE.match_template(x, t)
                right = lambda x=x, t=t: fc.image.match_template(x.astype("f8"), t.astype("f8"))  # noqa: E731
                if FEATURE:
                    right = lambda x=x, t=t: FEATURE.match_template(x.astype("f8"), t.astype("f8"))  # noqa: E731
                yield Case(f"match_template {n}x{n} {k}x{k} {dtype}", calls, right, 1e-2)


def banks() -> Iterator[Case]:
    """filter_bank: beside SciPy's filters one by one, and OpenCV's."""
    x, rng = picture(1024, "float32"), np.random.default_rng(1)
    gauss = [np.exp(-(np.arange(-r, r + 1) ** 2) / (r * r / 8.0)) for r in (6, 12, 24)]
    for name, kernels in (
        ("8 of 5x5", list(rng.standard_normal((8, 5, 5)))),
        ("8 of 15x15", list(rng.standard_normal((8, 15, 15)))),
        ("16 of 9x9 to 39x39", [rng.standard_normal((k, k)) for k in range(9, 41, 2)]),
        ("3 Gaussians to 49x49", [np.outer(g, g) / g.sum() ** 2 for g in gauss]),
    ):
        bank = fc.image.FilterBank(kernels)
        calls = {"fastconv": lambda bank=bank: bank(x)}
        if CV2:
            calls["OpenCV"] = lambda kernels=kernels: np.array(
                [CV2.filter2D(x, CV2.CV_32F, k, borderType=CV2.BORDER_REFLECT) for k in kernels]
            )
        right = lambda kernels=kernels: np.array([ndimage.correlate(x.astype("f8"), k) for k in kernels])  # noqa: E731
        if len(kernels) < 9:
            calls["SciPy"] = lambda kernels=kernels: np.array([ndimage.correlate(x, k) for k in kernels])
        yield Case(f"filter_bank 1024x1024 {name} float32", calls, right, 1e-2)


def gabors() -> Iterator[Case]:
    """gabor, and a bank of directions."""
    x = picture(512, "float32")
    angles = np.arange(8) * np.pi / 8
    calls = {"fastconv": lambda: np.array(fc.image.gabor(x, 0.2, 0.5))}
    if FILTERS:
        calls["scikit-image"] = lambda: np.array(FILTERS.gabor(x, 0.2, 0.5))
    yield Case("gabor 512x512 0.2 float32", calls, lambda: np.array(fc.image.gabor(x.astype("f8"), 0.2, 0.5)), 1e-4)
    calls = {"fastconv": lambda: fc.image.gabor_bank(x, [0.1, 0.2], angles)}
    if FILTERS:
        calls["scikit-image"] = lambda: np.array(
            [[complex_of(*FILTERS.gabor(x, f, a)) for a in angles] for f in (0.1, 0.2)]
        )
    yield Case(
        "gabor_bank 512x512 0.1, 0.2, 8 directions float32", calls,
        lambda: fc.image.gabor_bank(x.astype("f8"), [0.1, 0.2], angles), 1e-4,
    )  # fmt: skip
    kernels = [derivative(a) for a in angles]
    calls = {
        "fastconv": lambda: fc.image.steerable(x, angles, 3.0, 2),
        "SciPy": lambda: np.array([ndimage.correlate(x, k) for k in kernels]),
    }
    yield Case(
        "steerable 512x512 sigma 3 order 2, 8 directions", calls,
        lambda: np.array([ndimage.correlate(x.astype("f8"), k) for k in kernels]), 1e-4,
    )  # fmt: skip


def complex_of(real: np.ndarray, imag: np.ndarray) -> np.ndarray:
    """A response as one array."""
    return real + 1j * imag


def derivative(angle: float) -> np.ndarray:
    """A second derivative of a Gaussian in one direction, as a filter of its own."""
    xx, xy, yy = fc.image.steerable_basis(3.0, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * cos * xx + 2 * cos * sin * xy + sin * sin * yy


def others() -> Iterator[Case]:
    """Sharpening and comparing."""
    if not FILTERS:
        return
    for dtype in ("float32", "uint8"):
        x = picture(1024, dtype)
        y = picture(1024, dtype)[::-1].copy()
        for name, ours, theirs in (
            ("unsharp_mask radius 3", fc.image.unsharp_mask, FILTERS.unsharp_mask),
            ("difference_of_gaussians 3", fc.image.difference_of_gaussians, FILTERS.difference_of_gaussians),
        ):
            calls = {"fastconv": lambda f=ours, x=x: f(x, 3), "scikit-image": lambda f=theirs, x=x: f(x, 3)}
            wide = x if dtype == "uint8" else x.astype("f8")
            yield Case(f"{name} 1024x1024 {dtype}", calls, lambda f=theirs, x=wide: f(x, 3), 1e-5)
        options = {"data_range": 255 if dtype == "uint8" else 1.0, "full": True}
        for weights in (False, True):
            given = {**options, "gaussian_weights": weights}
            calls = {
                "fastconv": lambda x=x, y=y, o=given: fc.image.structural_similarity(x, y, **o)[1],
                "scikit-image": lambda x=x, y=y, o=given: METRICS.structural_similarity(x, y, **o)[1],
            }
            wide = x.astype("f8"), y.astype("f8")
            right = lambda w=wide, o=given: METRICS.structural_similarity(*w, **o)[1]  # noqa: E731
            yield Case(f"structural_similarity 1024x1024 gaussian={weights} {dtype}", calls, right, 2e-2)


def measure(case: Case, seconds: float) -> str:
    """Check and time a case: its row."""
    expected = case.expected()
    scale = float(np.abs(expected).max())
    errors = {who: float(np.abs(call() - expected).max()) / scale for who, call in case.calls.items()}
    right = {who: call for who, call in case.calls.items() if errors[who] <= case.limit}
    times = {who: timing.median * 1e3 for who, timing in interleave(right, seconds).items()}
    cells = [
        f"{who} {times[who]:.2f} ms" + (f" ({times[who] / times['fastconv']:.1f}x)" if who != "fastconv" else "")
        + f" err {errors[who]:.0e}" if who in times else f"{who} wrong ({errors[who]:.1e})"
        for who in case.calls
    ]  # fmt: skip
    return f"{case.name:58s} " + " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a row takes")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    fc.set_num_threads(options.threads)
    if CV2:
        CV2.setNumThreads(options.threads)
    sources = dict(zip(PARTS, (matches, banks, gabors, others), strict=True))
    for part in options.only.split(","):
        for case in sources[part]():
            print(measure(case, options.seconds), flush=True)


if __name__ == "__main__":
    main()
