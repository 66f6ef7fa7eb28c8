"""Normalisation of single images on CUDA, in the simulator: against the CPU's, with planted bugs."""

import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import group_normalization, row_normalization
from fastconv.ops import group_normalization as ops

__all__ = ["simulator"]
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


def agree(actual, expected, dtype):
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a.numpy(), b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * max(1, np.abs(b).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, axes", [((5, 3), (1,)), ((1, 70), (1,)), ((2, 3, 4), (0, 2)), ((9, 2), (1,))])
def test_layers(simulator, rng, shape, axes, dtype):
    x, dy = (rng.normal(size=(2, *shape)) + 3).astype(dtype)
    gamma, beta = rng.normal(size=(2, *(shape[a] for a in axes))).astype(dtype)
    for centred in (True, False):
        y, statistics = ops.layer_norm(*carried(x, gamma, beta), 0.1, axes, centred)
        expected, own = ops.layer_norm(x, gamma, beta, 0.1, axes, centred)
        agree([y], [expected], dtype)
        found = ops.layer_norm_grad(*carried(dy, x), statistics, *carried(gamma), axes, centred)
        agree(found, ops.layer_norm_grad(dy, x, own, gamma, axes, centred), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape, axis, groups", [((2, 6, 5), 1, 3), ((2, 3, 4), 2, 2), ((3, 4), 1, 4), ((1, 2, 4, 3), 2, 1)]
)
def test_groups(simulator, rng, shape, axis, groups, dtype):
    x, dy = (rng.normal(size=(2, *shape)) + 3).astype(dtype)
    gamma, beta = rng.normal(size=(2, shape[axis])).astype(dtype)
    y, statistics = ops.group_norm(*carried(x, gamma, beta), 0.1, groups, axis)
    expected, own = ops.group_norm(x, gamma, beta, 0.1, groups, axis)
    agree([y], [expected], dtype)
    found = ops.group_norm_grad(*carried(dy, x), statistics, *carried(gamma), axis)
    agree(found, ops.group_norm_grad(dy, x, own, gamma, axis), dtype)


PLANTED = [
    ("found += v * v", "found += v"),
    ("found += x[U(at + k)]", "found += x[at]"),
    ("means[n] = mean\n", "means[U(0)] = mean\n"),
    ("* inverse * gamma[w] + beta[w])", "* inverse * gamma[k] + beta[w])"),
    ("by_one += g\n", "by_one += T(g * g)\n"),
    ("products[U(at + k)] = T(d * z)", "products[U(at + k)] = T(d * d)"),
    ("- by_one - z * by_z))", "- by_one - by_z))"),
]


def of_groups(module):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(2, 2, 4, 5)).astype(np.float32)
    gamma, beta = rng.normal(size=(2, 4)).astype(np.float32)
    y, own = ops.group_norm(x, gamma, beta, 0.1, 2, 1)
    wanted = [y, *own, *ops.group_norm_grad(dy, x, own, gamma, 1)]
    a, b, g, s = carried(x, dy, gamma, beta)
    empty = carried(np.empty_like(x), *np.zeros((2, 2, 2), np.float32), np.empty_like(x), *np.zeros((2, 4), np.float32))
    out, mean, inverse, dx, dgamma, dbeta = (e.handle for e in empty)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("add_sums", "gradient_of_rows", "normalize_rows"):
            patch.setattr(group_normalization, name, getattr(module, name))
        run_both(a, b, g, s, out, mean, inverse, dx, dgamma, dbeta)
    return [(e.numpy(), w) for e, w in zip(empty, wanted, strict=True)]


def run_both(a, b, g, s, out, mean, inverse, dx, dgamma, dbeta):
    module = group_normalization
    module.group_norm(a.handle, out, mean, inverse, g.handle, s.handle, channels_last=False, epsilon=0.1)
    module.group_norm_grad(b.handle, a.handle, mean, inverse, g.handle, dx, dgamma, dbeta, channels_last=False)


@pytest.mark.parametrize("old, new", PLANTED)
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: of_groups(mutated(row_normalization, old, new, tmp_path)), 1e-4)


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: of_groups(row_normalization), 1e-4)
