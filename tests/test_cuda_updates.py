"""Optimizer steps on CUDA, in the simulator: all weights in one launch, against the CPU's steps and float64."""

import math

import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import launch, updates
from fastconv.errors import InvalidArgument
from fastconv.ops import updates as ops

__all__ = ["simulator"]
SHAPES = [(3, 4), (), (5,), (1030,), (0, 3)]
#: A rule, how many arrays it keeps, its numbers, and its formula in float64: the weight, and what is kept.
STEPS = [
    ("sgd", 0, (0.1,), lambda w, g, rate: (w - rate * g,)),
    ("momentum", 1, (0.1, 0.9), lambda w, v, g, rate, mu: (w + mu * v - rate * g, mu * v - rate * g)),
    (
        "nesterov",
        1,
        (0.1, 0.9),
        lambda w, v, g, rate, mu: (w + mu * (mu * v - rate * g) - rate * g, mu * v - rate * g),
    ),
    ("adam", 2, (0.1, 0.9, 0.99, 1e-3), lambda w, m, v, g, *n: adam(w, m, v, None, g, *n)[:3]),
    ("amsgrad", 3, (0.1, 0.9, 0.99, 1e-3), lambda w, m, v, x, g, *n: adam(w, m, v, x, g, *n)),
    (
        "rmsprop",
        2,
        (0.1, 0.9, 0.5, 1e-3),
        lambda w, m, v, g, rate, rho, mu, e: by_square(w, m, rho * v + (1 - rho) * g * g, 0, g, rate, mu, e)[:3],
    ),
    (
        "centered_rmsprop",
        3,
        (0.1, 0.1, 0.5, 10.0),
        lambda w, m, v, x, g, rate, s, mu, e: by_square(w, m, v + s * (g * g - v), x + s * (g - x), g, rate, mu, e),
    ),
    ("adamax", 2, (0.1, 0.1, 0.99, 1e-3), lambda *given: adamax(*given)),
    ("nadam", 2, (0.1, 0.1, 0.01, 0.7, 0.4, 0.3, 1e-3), lambda *given: nadam(*given)),
    ("adagrad", 1, (0.1, 1e-3), lambda w, v, g, rate, e: (w - rate * g / np.sqrt(v + g * g + e), v + g * g)),
    ("adadelta", 2, (0.1, 0.05, 1e-3), lambda *given: adadelta(*given)),
    (
        "lion",
        1,
        (0.1, 0.9, 0.1, 0.01),
        lambda w, m, g, rate, b, s, t: (w - rate * np.sign(b * m + s * g), m + t * (g - m)),
    ),
    ("ftrl", 2, (0.1, 0.75, 0.5, 0.1, 0.2), lambda *given: ftrl(*given)),
    ("ftrl_by_root", 2, (0.1, 0.5, 0.5, 0.1, 0.2), lambda *given: ftrl(*given)),
    ("average", 0, (0.9, 0.1), lambda w, g, a, b: (a * w + b * g,)),
    ("sum", 0, (), lambda w, g: (w + g,)),
]


def adam(w, m, v, x, g, rate, b1, b2, e):
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    x = v if x is None else np.maximum(x, v)
    return w - rate * m / (np.sqrt(x) + e), m, v, x


def by_square(w, m, square, mean, g, rate, mu, e):
    m = mu * m + rate * g / np.sqrt(square - mean * mean + e)
    return w - m, m, square, mean


def adamax(w, m, u, g, rate, s, b2, e):
    m, u = m + s * (g - m), np.maximum(b2 * u, np.abs(g))
    return w - rate * m / (u + e), m, u


def nadam(w, m, v, g, rate, s, t, ahead, now, correction, e):
    m, v = m + s * (g - m), v + t * (g * g - v)
    return w - rate * (ahead * m + now * g) / (np.sqrt(v / correction) + e), m, v


def adadelta(w, v, c, g, rate, s, e):
    v = v + s * (g * g - v)
    delta = np.sqrt(c + e) / np.sqrt(v + e) * g
    return w - rate * delta, v, c + s * (delta * delta - c)


def ftrl(w, n, z, g, rate, power, l1, shrinkage, l2):
    total = n + g * g
    z = z + g + shrinkage * w - (total**power - n**power) / rate * w
    return (np.clip(z, -l1, l1) - z) / (total**power / rate + l2), total, z


def groups_of(rng, shapes, states, dtype="float32"):
    """For each shape: weights, states that are not negative, gradients."""
    return [
        [a.astype(dtype) for a in (rng.normal(size=s), *(rng.random((states, *s)) + 0.1), rng.normal(size=s))]
        for s in shapes
    ]


def expected_of(formula, group, numbers):
    """What a step makes of a group: weights, what is kept, the gradients themselves."""
    group = [a.astype(np.float64) for a in group]
    return [*formula(*group, *numbers), group[-1]]


def assert_right(groups, expected):
    for arrays, right in zip(groups, expected, strict=True):
        eps = np.finfo(arrays[0].dtype).eps
        for actual, exact in zip(arrays, right, strict=True):
            np.testing.assert_allclose(actual, exact, rtol=40 * eps, atol=40 * eps)


@pytest.mark.parametrize("name, states, numbers, formula", STEPS)
def test_steps(simulator, rng, name, states, numbers, formula):
    groups = groups_of(rng, SHAPES, states)
    device = [tuple(carried(*group)) for group in groups]
    before = simulator.launches
    ops.together(name, device, numbers)
    assert simulator.launches == before + 1
    assert_right([[a.numpy() for a in arrays] for arrays in device], [expected_of(formula, g, numbers) for g in groups])


@pytest.mark.parametrize("name, states, numbers, formula", STEPS)
def test_steps_of_many_arrays_on_the_cpu(rng, name, states, numbers, formula):
    """Of several dtypes and blocks, and of none, in one call."""
    shapes = [(3,), (0, 4), (2, 5000), (1,), (30_000,)]
    groups = [group for dtype in ("float32", "float64") for group in groups_of(rng, shapes, states, dtype)]
    expected = [expected_of(formula, group, numbers) for group in groups]
    ops.together(name, groups, numbers)
    assert_right(groups, expected)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_weights_decay_and_gradients_are_clipped(simulator, rng, device):
    """Scaled, then brought within bounds, then shortened, array by array."""
    groups = groups_of(rng, [(3, 4), (5,), (1030,)], 0)
    expected = []
    for (w, g), keep in zip(groups, (1.0, 0.5, 0.75), strict=True):
        g = np.clip(2.0 * g.astype(np.float64), -1.5, 1.5)
        expected.append([w * keep - 0.1 * g * min(1.0, 3.0 / np.sqrt(np.square(g).sum()))])
    given = groups if device == "cpu" else [tuple(carried(*group)) for group in groups]
    ops.together("sgd", given, (0.1,), keeps=[1.0, 0.5, 0.75], scale=2.0, limit=1.5, length=3.0)
    found = [w if device == "cpu" else w.numpy() for w, _ in given]
    np.testing.assert_allclose(
        np.concatenate([w.ravel() for w in found]),
        np.concatenate([w.ravel() for (w,) in expected]),
        rtol=1e-5,
        atol=1e-6,
    )


def test_not_a_number_stays_where_it_was(rng):
    for name, states, numbers, _ in STEPS:
        w, *kept, g = groups_of(rng, [(37,)], states)[0]
        g[5] = np.nan
        ops.together(name, [(w, *kept, g)], numbers, limit=2.0)
        assert np.flatnonzero(np.isnan(w)).tolist() == [5], name


def test_more_weights_than_a_kernel_takes(simulator, rng):
    """Arguments of a kernel have 4,096 bytes; weights of several dtypes go by themselves."""
    groups = groups_of(rng, [(2,)] * 30, 1) + groups_of(rng, [(3,)] * 2, 1, "float64")
    device = [tuple(carried(*group)) for group in groups]
    before = simulator.launches
    name, _, numbers, formula = STEPS[1]
    ops.together(name, device, numbers)
    assert simulator.launches == before + 3
    for arrays, group in zip(device, groups, strict=True):
        np.testing.assert_allclose(arrays[0].numpy(), expected_of(formula, group, numbers)[0], rtol=1e-5, atol=1e-6)
    assert updates.MOST + 256 <= 4096


def test_wide_indices(simulator, rng, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    groups = groups_of(rng, [(3,), (4,)], 0)
    device = [tuple(carried(*group)) for group in groups]
    ops.together("sgd", device, (0.5,))
    np.testing.assert_allclose(device[1][0].numpy(), groups[1][0] - 0.5 * groups[1][1], rtol=1e-6)


def test_arrays_that_do_not_fit_are_refused(simulator):
    with pytest.raises(InvalidArgument, match="one shape and dtype"):
        ops.together("momentum", [tuple(carried(np.ones(2), np.ones(2), np.ones(3)))], (0.1, 0.9))


@pytest.mark.parametrize("size", [1, 9, 1500])
@pytest.mark.parametrize("most", [0.5, 1e6])
def test_long_gradients_are_shortened(simulator, rng, size, most, monkeypatch):
    monkeypatch.setattr(updates, "PART", 512)
    g = rng.normal(size=size).astype(np.float32)
    norm = math.sqrt(np.square(g.astype(np.float64)).sum())
    expected = g * min(1.0, most / norm)
    (device,) = carried(g)
    np.testing.assert_allclose(ops.clipped(device, length=most).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(ops.clipped(g, length=most), expected, rtol=1e-5)
    np.testing.assert_array_equal(device.numpy(), g)


def amsgrad_of(module):
    rng = np.random.default_rng(3)
    name, states, numbers, formula = STEPS[4]
    groups = groups_of(rng, [(5,), (1100,)], states)
    device = [carried(*group) for group in groups]
    lists = zip(*([a.handle for a in arrays] for arrays in device), strict=True)
    rest = {"keeps": [1.0, 1.0], "factors": [1.0, 1.0], "scale": 1.0, "limit": math.inf}
    module.update(*lists, rule=name, numbers=numbers, **rest)
    expected = [expected_of(formula, group, numbers) for group in groups]
    return [
        (a.numpy(), e)
        for arrays, right in zip(device, expected, strict=True)
        for a, e in zip(arrays, right, strict=True)
    ]


@pytest.mark.parametrize(
    "old, new",
    [
        ("q[i] = state[1]", "q[i] = state[0]"),
        ("arrays[U(which + U(2 * count))]", "arrays[U(which + U(count))]"),
        ("for first in range(0, size, run)", "for first in range(0, run, run)"),
        ("d = T(g[i] * scale)", "d = T(g[first] * scale)"),
        ("T(w[i] * keep)", "T(w[first] * keep)"),
    ],
)
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: amsgrad_of(mutated(updates, old, new, tmp_path)), 1e-5)


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: amsgrad_of(updates), 1e-5)
