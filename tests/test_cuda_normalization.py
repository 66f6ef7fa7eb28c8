"""Batch normalisation on CUDA, in the simulator: against float64, with planted bugs."""

import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import launch, normalization
from fastconv.errors import InvalidArgument
from fastconv.ops import normalization as ops
from fastconv.ops import to_host

__all__ = ["simulator"]
CASES = [((6, 5, 3), 2), ((6, 5, 3), 1), ((6, 5, 3), 0), ((300, 3), 1), ((3, 2, 120), 1), ((2, 20), 1), ((1, 1), 1)]
EPSILON = 1e-3


def per_channel(x, axis):
    """x as float64 (elements, C)."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]).astype(np.float64)


def shaped(values, x, axis):
    return np.reshape(values, [-1 if a == axis else 1 for a in range(x.ndim)])


def problem(rng, shape, axis, dtype="float32", relu=False):
    x = (rng.normal(size=shape) * 2 + (0.5 if relu else 10)).astype(dtype)
    gamma, beta = rng.normal(size=(2, shape[axis])).astype(dtype)
    return x, np.maximum(x, 0) if relu else x, gamma, beta


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, axis", CASES)
def test_training(simulator, rng, shape, axis, dtype, relu):
    x, seen, gamma, beta = problem(rng, shape, axis, dtype, relu)
    columns, eps = per_channel(seen, axis), np.finfo(dtype).eps
    mean, var = columns.mean(axis=0), columns.var(axis=0)
    for found, expected in zip(ops.channel_statistics(*carried(x), axis, relu), (mean, var), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=40 * eps, atol=40 * eps)

    running = carried(*(np.full(shape[axis], v, dtype) for v in (0, 1)))
    device = carried(x, gamma, beta)
    y, m, v = ops.batch_norm_training(*device, tuple(running), 0.75, EPSILON, axis, relu)
    scale = 1 / np.sqrt(var + EPSILON)
    normal = (seen.astype(np.float64) - shaped(mean, x, axis)) * shaped(scale, x, axis)
    expected = normal * shaped(gamma, x, axis) + shaped(beta, x, axis)
    np.testing.assert_allclose(y.numpy(), expected, rtol=2000 * eps, atol=2000 * eps)
    np.testing.assert_allclose(running[0].numpy(), 0.25 * mean, rtol=40 * eps, atol=40 * eps)
    np.testing.assert_allclose(running[1].numpy(), 0.75 + 0.25 * var, rtol=40 * eps)

    fixed = ops.batch_norm(device[0], m, v, *device[1:], EPSILON, axis, relu)
    np.testing.assert_array_equal(fixed.numpy(), y.numpy())


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape, axis", CASES[:5])
def test_gradient(simulator, rng, shape, axis, training, relu):
    x, seen, gamma, _ = problem(rng, shape, axis, "float64", relu)
    dy = rng.normal(size=shape)
    columns, d = per_channel(seen, axis), per_channel(dy, axis)
    mean, var = columns.mean(axis=0), columns.var(axis=0)
    scale = 1 / np.sqrt(var + EPSILON)
    normal = (columns - mean) * scale
    dgamma, dbeta = (d * normal).sum(axis=0), d.sum(axis=0)
    dx = d - (dbeta + normal * dgamma) / len(d) if training else d
    dx = np.where(per_channel(x, axis) > 0, dx * gamma * scale, 0) if relu else dx * gamma * scale
    device = carried(dy, x, mean, var, gamma)
    found = ops.batch_norm_grad(*device, EPSILON, axis, relu, training)
    expected = np.moveaxis(dx.reshape(np.moveaxis(x, axis, -1).shape), -1, axis), dgamma, dbeta
    for actual, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual.numpy(), right, rtol=1e-11, atol=1e-11)
    for arrays, tolerance in ((device, 1e-11), ((dy, x, mean, var, gamma), 1e-9)):  # sums of dx may cancel
        *same, dbias = ops.batch_norm_grad(*arrays, EPSILON, axis, relu, training, bias_grad=True)
        for actual, right in zip(same, expected, strict=True):
            np.testing.assert_allclose(to_host(actual), right, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(to_host(dbias), dx.sum(axis=0), rtol=tolerance, atol=tolerance)
    none, *sums = ops.batch_norm_grad(*device, EPSILON, axis, relu, training, input_grad=False)
    assert none is None
    for actual, right in zip(sums, expected[1:], strict=True):
        np.testing.assert_allclose(actual.numpy(), right, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_an_offset_costs_no_accuracy(simulator, rng, offset):
    """Also where the first element is far from all others."""
    x = (rng.normal(size=(400, 2)) + offset).astype(np.float32)
    x[0] = 0
    mean, var = (a.numpy() for a in ops.channel_statistics(*carried(x), 1))
    columns = x.astype(np.float64)
    np.testing.assert_allclose(mean, columns.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(var, columns.var(axis=0), rtol=1e-5)
    x[0] = offset
    columns = x.astype(np.float64)
    _, var = (a.numpy() for a in ops.channel_statistics(*carried(x), 1))
    np.testing.assert_allclose(var, columns.var(axis=0), rtol=1e-5 if offset < 1e4 else 1e-3)


def test_nan_stays_in_its_channel(simulator, rng):
    x, _, gamma, beta = problem(rng, (20, 3), 1)
    x[7, 1] = np.nan
    y, *_ = ops.batch_norm_training(*carried(x, gamma, beta), None, 0.9, EPSILON, 1, True)
    np.testing.assert_array_equal(np.isnan(y.numpy()).all(axis=0), [False, True, False])


def test_wide_indices(simulator, rng, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    x, _, gamma, beta = problem(rng, (9, 3), 1)
    y, mean, var = ops.batch_norm_training(*carried(x, gamma, beta), None, 0.9, EPSILON, 1)
    expected = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPSILON) * gamma + beta
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-4)
    dx, *_ = ops.batch_norm_grad(*carried(x, x), mean, var, *carried(gamma), EPSILON, 1)
    assert dx.shape == x.shape


def test_wrong_shapes_are_refused(simulator, rng):
    x, _, gamma, beta = problem(rng, (4, 3), 1)
    with pytest.raises(InvalidArgument, match=r"gamma has shape \(2,\) but x has 3 channels"):
        ops.batch_norm_training(*carried(x, gamma[:2], beta), None, 0.9, EPSILON, 1)
    with pytest.raises(InvalidArgument, match="no elements"):
        ops.channel_statistics(*carried(x[:0]), 1)


def training_of(module):
    rng = np.random.default_rng(1)
    x, dy = (rng.integers(-9, 9, (2, 600, 3)) + 4).astype(np.float32)
    gamma, beta = np.array([1, 2, 3], np.float32), np.array([3, 2, 1], np.float32)
    empty = np.empty(3, np.float32)
    names = ["x", "dy", "gamma", "beta", "y", "dx", "mean", "var", "dgamma", "dbeta", "moving_mean", "moving_var"]
    values = [
        x,
        dy,
        gamma,
        beta,
        np.empty_like(x),
        np.empty_like(x),
        *([empty] * 4),
        np.zeros(3, "f4"),
        np.ones(3, "f4"),
    ]
    a = {n: carried(v)[0].handle for n, v in zip(names, values, strict=True)}
    options = {"axis": 1, "epsilon": EPSILON, "relu": True}
    forward = (a[n] for n in ("x", "y", "mean", "var", "gamma", "beta", "moving_mean", "moving_var"))
    module.batch_norm_training(*forward, share=0.5, **options)
    module.batch_norm_grad(
        *(a[n] for n in ("dy", "x", "mean", "var", "gamma", "dx", "dgamma", "dbeta")), training=True, **options
    )
    running = np.zeros(3, np.float32), np.ones(3, np.float32)
    y, mean, var = ops.batch_norm_training(x, gamma, beta, running, 0.5, EPSILON, 1, True)
    dx, dgamma, dbeta = ops.batch_norm_grad(dy, x, mean, var, gamma, EPSILON, 1, True)
    expected = {"y": y, "mean": mean, "var": var, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    expected |= {"moving_mean": running[0], "moving_var": running[1]}
    from fastconv.cuda import backend

    return [(backend.to_host(a[n]), right) for n, right in expected.items()]


@pytest.mark.parametrize(
    "old, new",
    [
        ("v[k] = T(0) if v[k] < T(0) else v[k]", "v[k] = v[k]"),
        ("mean = T(shared[U(t % U(lanes))] / T(S(stop - first)))\n        cuda.syncthreads()",
         "mean = T(shared[U(t % U(lanes))] / T(S(stop - first)))"),
        ("if U(m + U(k * rows)) < stop:\n                    squares", "if True:\n                    squares"),
        ("(whole if p < last else tail)\n            p = U(p + U(rows))\n        shared[t] = total",
         "whole\n            p = U(p + U(rows))\n        shared[t] = total"),
        ("total += d * d * (whole if p < last else tail)", "total += d * (whole if p < last else tail)"),
        ("by_x, constant = T(-one * inverse * products), T(-one * sums)", "by_x, constant = T(0), T(-one * sums)"),
        ("if relu and v[k] <= T(0):", "if relu and v[k] < T(0):"),
        ("var_moving[channel] += share * (var - var_moving[channel])", "var_moving[channel] += share * var"),
        ("if part == U(0) and row == U(0) and real:\n            dgamma",
         "if row == U(0) and real:\n            dgamma"),
    ],
)  # fmt: skip
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: training_of(mutated(normalization, old, new, tmp_path)), 1e-4)


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: training_of(normalization), 1e-4)
