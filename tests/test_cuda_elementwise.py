"""Activations, their gradients with sums, and dropout on CUDA, in the simulator: against float64 and the CPU."""

import cudasim
import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import backend, channels, elementwise, launch
from fastconv.errors import InvalidArgument
from fastconv.ops import elementwise as ops

__all__ = ["simulator"]
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")
FROM_INPUT = ops.FROM_INPUT
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
FORWARD = {
    "relu": lambda x: np.where(x < 0, 0, x),
    "leaky_relu": lambda x: np.where(x < 0, 0.25 * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
DERIVATIVE = {  # from the output
    None: lambda y: np.ones_like(y),
    "relu": lambda y: np.where(y > 0, 1.0, 0.0),
    "leaky_relu": lambda y: np.where(y > 0, 1.0, 0.25),
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}


def run_forward(x, activation):
    return ops.relu(x, 0.25) if activation == "leaky_relu" else getattr(ops, activation)(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(simulator, rng, activation, dtype):
    x = np.append(rng.normal(size=(3, 5, 7)) * 4, [[[-np.inf, -1000, 0, 1000, np.inf, np.nan, -0.0]]] * 5).astype(dtype)
    y = run_forward(*carried(x), activation)
    assert y.dtype == dtype
    with np.errstate(over="ignore", invalid="ignore"):
        expected = FORWARD[activation](x.astype(np.float64))
    np.testing.assert_allclose(y.numpy(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_gradients_and_sums(simulator, rng, activation, axis):
    dy, y = rng.normal(size=(2, 4, 9, 5)).astype(np.float32)
    y = np.tanh(y)
    dz, db = ops.activation_grad(*carried(dy, y), activation, axis, 0.25)
    expected = dy * DERIVATIVE[activation](y.astype(np.float64))
    np.testing.assert_allclose(dz.numpy(), expected, rtol=1e-5, atol=1e-6)
    if axis is None:
        assert db is None
    else:
        others = tuple(a for a in range(3) if a != axis % 3)
        np.testing.assert_allclose(db.numpy(), expected.sum(axis=others), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", FROM_INPUT)
def test_activations_from_their_input(simulator, rng, kind):
    """Values, slopes and sums are those of the CPU."""
    x, dy = rng.normal(size=(2, 4, 9, 5)) * 3
    y = ops.activate(*carried(x), kind, 0.5)
    dz, db = ops.activation_grad(*carried(dy, x), kind, 1, 0.5)
    expected = ops.activate(x, kind, 0.5), *ops.activation_grad(dy, x, kind, 1, 0.5)
    for got, wanted in zip((y, dz, db), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12, atol=1e-12)
    assert ops.activate(*carried(x.astype(np.float32)), kind).dtype == np.float32


@pytest.mark.parametrize("shape, axis", [((700, 3), 1), ((2, 3, 500), 1), ((90, 40), 1), ((1, 1), 0), ((2, 1, 3), 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_several_parts(simulator, rng, shape, axis, dtype):
    x = rng.normal(size=shape).astype(dtype)
    sums = ops.channel_sum(*carried(x), axis)
    expected = np.moveaxis(x, axis, -1).reshape(-1, shape[axis]).astype(np.float64).sum(axis=0)
    np.testing.assert_allclose(sums.numpy(), expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(x).sum())


def test_infinite_gradients_stop_at_zero_and_nan_outputs_pass(simulator):
    dy, y = np.array([np.inf, np.nan, 2.0]), np.array([0.0, -1.0, np.nan])
    assert ops.activation_grad(*carried(dy, y), "relu")[0].numpy().tolist() == [0, 0, 2]


def test_wide_indices(simulator, rng, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    x = rng.normal(size=(70, 3)).astype(np.float32)
    np.testing.assert_array_equal(ops.relu(*carried(x)).numpy(), np.maximum(x, 0))
    np.testing.assert_allclose(ops.channel_sum(*carried(x), 1).numpy(), x.sum(axis=0), atol=1e-5)
    np.testing.assert_array_equal(ops.dropout(*carried(x), 0.5, 3).numpy(), ops.dropout(x, 0.5, 3))


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.999])
def test_dropout_has_the_mask_of_the_cpu(simulator, rng, rate, seed):
    """Also beyond the run of elements that share a key."""
    x = rng.normal(size=(2, 4300)).astype(np.float32)
    np.testing.assert_array_equal(ops.dropout(*carried(x), rate, seed).numpy(), ops.dropout(x, rate, seed))


def test_empty_arrays(simulator):
    x = np.zeros((0, 3), np.float32)
    assert ops.relu(*carried(x)).shape == (0, 3)
    assert ops.channel_sum(*carried(x), 1).numpy().tolist() == [0, 0, 0]


def test_half_precision_is_computed_in_single(simulator):
    x = np.array([-1.0, 2.0], np.float16)
    y = ops.sigmoid(*carried(x))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), 1 / (1 + np.exp(-x.astype(np.float64))), rtol=1e-3)


def test_host_and_device_do_not_mix(simulator):
    (x,) = carried(np.ones(3, np.float32))
    with pytest.raises(InvalidArgument, match="y must be on the CUDA device"):
        ops.activation_grad(x, np.ones(3, np.float32), "relu")
    with pytest.raises(InvalidArgument, match="shapes differ"):
        ops.activation_grad(x, *carried(np.ones(4, np.float32)), "relu")


def test_the_cut_is_a_function_of_the_shape():
    layout = channels.layout_of((64, 28, 28, 32), 3)
    assert layout.constants == (256, 32) and layout.blocks == 196
    cut = layout.cut
    assert (cut.parts - 1) * cut.part < cut.total <= cut.parts * cut.part


PLANTED = [
    ("dz[at[k]] = v[k]", "dz[at[k]] = v[0]"),
    ("total += (v[0] + v[1]) + (v[2] + v[3])", "total += (v[0] + v[1]) + v[2]"),
    ("T(0) if y <= T(0) else d", "T(0) if y < T(0) else d"),
    ("if row == U(0) and real:\n            sums[U(part", "if row == U(0):\n            sums[U(part"),
    ("sums[U(part * U(cut.C) + channel)]", "sums[U(channel)]"),
]


def gradients_of(module):
    rng = np.random.default_rng(1)
    dy, y = rng.integers(-3, 4, (2, 300, 3)).astype(np.float32)
    d, o, dz, sums = (*carried(dy, y), *carried(np.empty_like(dy), np.empty(3, np.float32)))
    arrays = [a.handle for a in (d, o, dz, sums)]
    module.activation_grad(*arrays, kind="relu", axis=1)
    expected = dy * (y > 0)
    return [(dz.numpy(), expected), (sums.numpy(), expected.sum(axis=0))]


@pytest.mark.parametrize("old, new", PLANTED)
def test_planted_bugs_are_noticed(simulator, tmp_path, monkeypatch, old, new):
    monkeypatch.setattr(channels, "LEAST_PART", 16)
    assert_noticed(lambda: gradients_of(mutated(elementwise, old, new, tmp_path)))


def test_without_a_bug_nothing_is_noticed(simulator, monkeypatch):
    monkeypatch.setattr(channels, "LEAST_PART", 16)
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: gradients_of(elementwise))


@pytest.mark.parametrize(
    "old, new",
    [
        ("        cuda.syncthreads()\n        rows = U(half)", "        rows = U(half)"),
        ("if rest >= U(cut.inner):", "if rest > U(cut.inner):"),
        ("first = U(part * U(cut.part))", "first = U(part * U(cut.part) + U(1))"),
    ],
)
def test_bugs_in_what_sums_share_are_noticed(simulator, tmp_path, monkeypatch, old, new):
    mutant = mutated(channels, old, new, tmp_path)
    mutant.THREADS = 16
    for name in ("make_place", "make_walk", "make_fold"):
        monkeypatch.setattr(elementwise, name, getattr(mutant, name))

    def sums():
        x = np.arange(2 * 3 * 50, dtype=np.float32).reshape(2, 3, 50)
        return [(ops.channel_sum(*carried(x), 1).numpy(), x.sum(axis=(0, 2)))]

    with backend.run_on(cudasim.Executor()):  # nothing compiled from the other functions
        assert_noticed(sums)
