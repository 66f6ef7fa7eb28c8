"""Softmax and cross-entropy on CUDA, in the simulator: against float64, with planted bugs."""

import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import launch, rows, softmax
from fastconv.ops import elementwise as ops

__all__ = ["simulator"]
SHAPES = [(1, 1), (5, 3), (9, 11), (2, 3, 70), (40, 2)]
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}


def reference(z):
    z = z.astype(np.float64)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def agree(actual, expected, dtype="float32"):
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_and_gradient(simulator, rng, shape, dtype, logarithm):
    z, dy = (rng.normal(size=(2, *shape)) * 3).astype(dtype)
    p = reference(z)
    y = ops.softmax(*carried(z), logarithm)
    assert y.shape == shape and y.dtype == dtype
    agree(y.numpy(), np.log(p) if logarithm else p, dtype)
    dx = ops.softmax_grad(*carried(dy, y.numpy()), logarithm).numpy()
    d = dy.astype(np.float64)
    of_softmax = p * (d - (d * p).sum(axis=-1, keepdims=True))
    agree(dx, d - p * d.sum(axis=-1, keepdims=True) if logarithm else of_softmax, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy(simulator, rng, shape, dtype):
    z, target = (rng.normal(size=shape) * 3).astype(dtype), rng.random(shape).astype(dtype)
    p = reference(z)
    losses = -(target * np.log(p)).sum(axis=-1).reshape(-1)
    loss, q = ops.softmax_cross_entropy(*carried(z, target))
    agree(q.numpy(), p, dtype)
    np.testing.assert_allclose(loss.numpy(), losses, rtol=10 * TOLERANCE[dtype])
    dloss = rng.random(losses.shape).astype(dtype)
    dz = ops.softmax_cross_entropy_grad(*carried(dloss, q.numpy(), target)).numpy()
    weight = target.astype(np.float64).sum(axis=-1, keepdims=True)
    agree(dz, dloss.reshape(*shape[:-1], 1) * (p * weight - target), dtype)

    mean, q = ops.mean_cross_entropy(*carried(z, target))
    assert mean.shape == () and mean.dtype == dtype
    np.testing.assert_allclose(mean.numpy(), losses.mean(), rtol=10 * TOLERANCE[dtype])
    dz = ops.mean_cross_entropy_grad(*carried(np.array(2, dtype)), q, *carried(target)).numpy()
    agree(dz, 2 / losses.size * (p * weight - target), dtype)


def test_the_mean_over_several_blocks(simulator, rng, monkeypatch):
    monkeypatch.setattr(rows, "ENOUGH", 32)
    z, target = rng.normal(size=(2, 30, 4)).astype(np.float32)
    mean, _ = ops.mean_cross_entropy(*carried(z, target))
    assert simulator.launches == 2
    np.testing.assert_allclose(mean.numpy(), ops.mean_cross_entropy(z, target)[0], rtol=1e-5)


def test_large_logits_do_not_overflow_and_nan_stays_in_its_row(simulator):
    z = np.array([[1000.0, 0], [-1000, -1000], [0, np.nan], [np.nan, 0], [-np.inf, 0]], np.float32)
    y = ops.softmax(*carried(z)).numpy()
    np.testing.assert_array_equal(np.isnan(y).all(axis=1), [False, False, True, True, False])
    np.testing.assert_allclose(y[[0, 1, 4]], [[1, 0], [0.5, 0.5], [0, 1]])


def test_a_target_of_zero_counts_nothing(simulator):
    """0 * log(0) is 0."""
    z, target = np.array([[0.0, -np.inf]], np.float32), np.array([[1.0, 0.0]], np.float32)
    assert ops.mean_cross_entropy(*carried(z, target))[0].item() == 0


def test_wide_indices(simulator, rng, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    z = rng.normal(size=(3, 5)).astype(np.float32)
    agree(ops.softmax(*carried(z)).numpy(), reference(z))


def test_empty(simulator):
    z = np.zeros((0, 3), np.float32)
    assert ops.softmax(*carried(z)).shape == (0, 3)
    assert np.isnan(ops.mean_cross_entropy(*carried(z, z))[0].item())


@pytest.mark.parametrize(
    "old, new",
    [
        ("if x[U(at + k)] > top:", "if x[U(at + k)] < top:"),
        ("                losses += entropy", "                losses = entropy"),
        (
            "if t == U(0):\n                loss[U(cuda.blockIdx.x)]",
            "if t <= U(1):\n                loss[U(cuda.blockIdx.x)]",
        ),
        ("while k < K and real:", "while k < K:"),
        ("first = U(first + U(threads // lanes))", "first = U(first + U(threads))"),
    ],
)
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: cross_entropy_of(mutated(softmax, old, new, tmp_path)), 1e-4)


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: cross_entropy_of(softmax), 1e-4)


def cross_entropy_of(module):
    rng = np.random.default_rng(1)
    z, target = (rng.normal(size=(2, 11, 6)) * 60).astype(np.float32)
    arrays = carried(z, target, np.empty_like(z), np.empty((), np.float32))
    module.softmax_cross_entropy(*(a.handle for a in arrays), mean=True)
    p = reference(z)
    logs = z - z.max(axis=-1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    return [(arrays[2].numpy(), p), (arrays[3].numpy(), -(target * logs).sum(axis=-1).mean())]


@pytest.mark.parametrize(
    "old, new",
    [
        ("        cuda.syncthreads()\n        return found\n\n    return inlined(tree)",
         "        return found\n\n    return inlined(tree)"),
        ("if t % U(lanes) < half:", "if t < half:"),
    ],
)  # fmt: skip
def test_bugs_in_what_rows_share_are_noticed(simulator, tmp_path, monkeypatch, old, new):
    mutant = mutated(rows, old, new, tmp_path)
    for name in ("make_total", "make_largest"):
        monkeypatch.setattr(softmax, name, getattr(mutant, name))

    def run():
        rng = np.random.default_rng(1)
        dy, y = rng.integers(-9, 9, (2, 7, 12)).astype(np.float32)
        z = ops.softmax_cross_entropy(*carried(dy, y))[0].numpy()
        return [(z, ops.softmax_cross_entropy(dy, y)[0])]

    assert_noticed(run, 1e-5)
