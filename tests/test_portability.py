"""Narrower vector units than the host's: the same kernels compiled for AVX2 and for SSE2, on the same problems."""

import platform

import llvmlite.binding as llvm
import pytest
from child import run_cases, run_script

from fastconv.dispatch import rows

UNITS = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"},
    "SSE2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
}
POOLS = """
import sys
sys.path.insert(0, sys.argv[1])

import numpy as np

import fastconv as fc

rng = np.random.default_rng(5)
for layout in ("NCHW", "NHWC"):
    for shape in ((2, 5, 13, 37), (1, 33, 6, 7)):
        for size, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1)):
            x = rng.integers(-9, 10, shape).astype(np.float32)
            last = layout == "NHWC"
            given = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
            options = {"stride": stride, "padding": padding, "layout": layout}
            y, indices = fc.max_pool2d(given, size, return_indices=True, **options)
            mean = fc.avg_pool2d(given, size, **options)
            back = fc.max_pool2d_grad(y, indices, given.shape, layout=layout)
            spread = fc.avg_pool2d_grad(mean, given.shape, size, **options)
            wanted = np.full((*x.shape[:2], *(n + 2 * padding for n in x.shape[2:])), -np.inf, np.float32)
            inside = (slice(padding, n + padding) for n in x.shape[2:])
            wanted[(slice(None), slice(None), *inside)] = x
            windows = np.lib.stride_tricks.sliding_window_view(wanted, (size, size), (2, 3))[:, :, ::stride, ::stride]
            y, mean = (np.moveaxis(a, -1, 1) if last else a for a in (y, mean))
            np.testing.assert_array_equal(y, windows.max((-2, -1)))
            zeros = np.where(np.isinf(windows), 0, windows).astype(np.float64)
            np.testing.assert_allclose(mean, zeros.sum((-2, -1)) / size**2, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(back.sum(), y.sum(), rtol=1e-4, atol=1e-2)
            if not padding:
                covered = spread.sum()
                np.testing.assert_allclose(covered, mean.sum(), rtol=1e-4, atol=1e-2)
"""


def missing(unit):
    """Why code for this unit cannot run here."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return "not an x86 processor"
    features = llvm.get_host_cpu_features()
    needed = [name[1:] for name in UNITS[unit]["NUMBA_CPU_FEATURES"].split(",")]
    absent = [name for name in needed if not features.get(name)]
    return f"the processor has no {', '.join(absent)}" if absent else None


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["every ninth", "all"])
def test_convolutions(step, unit):
    if reason := missing(unit):
        pytest.skip(reason)
    run_cases(UNITS[unit], step, [row.method for row in rows("conv")], unit)


@pytest.mark.parametrize("unit", UNITS)
def test_pools(unit):
    if reason := missing(unit):
        pytest.skip(reason)
    run_script(UNITS[unit], POOLS)
