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
STEPS = [
    ("sgd", 1, {"rate": 0.1, "momentum": 0.0, "nesterov": False}),
    ("sgd", 1, {"rate": 0.1, "momentum": 0.9, "nesterov": False}),
    ("sgd", 1, {"rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("adam", 2, {"rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-3}),
    ("rmsprop", 2, {"rate": 0.1, "rho": 0.9, "momentum": 0.5, "epsilon": 1e-3}),
]


def groups_of(rng, shapes, states, dtype="float32"):
    """For each shape: weights, states that are not negative, gradients."""
    return [
        [a.astype(dtype) for a in (rng.normal(size=s), *(rng.random((states, *s)) + 0.1), rng.normal(size=s))]
        for s in shapes
    ]


def expected_of(name, group, numbers):
    group = [a.astype(np.float64) for a in group]
    n = numbers
    w, *state, g = group
    if name == "sgd":
        step = n["momentum"] * state[0] - n["rate"] * g
        state = [step] if n["momentum"] else state
        w = w + (n["momentum"] * step - n["rate"] * g if n["nesterov"] else step)
    elif name == "adam":
        state = [n["beta_1"] * state[0] + (1 - n["beta_1"]) * g, n["beta_2"] * state[1] + (1 - n["beta_2"]) * g * g]
        w = w - n["rate"] * state[0] / (np.sqrt(state[1]) + n["epsilon"])
    else:
        square = n["rho"] * state[1] + (1 - n["rho"]) * g * g
        state = [n["momentum"] * state[0] + n["rate"] * g / np.sqrt(square + n["epsilon"]), square]
        w = w - state[0]
    return [w, *state, g]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, states, numbers", STEPS)
def test_steps(simulator, rng, name, states, numbers, dtype):
    groups = groups_of(rng, SHAPES, states, dtype)
    device = [tuple(carried(*group)) for group in groups]
    before = simulator.launches
    ops.together(name, device, **numbers)
    assert simulator.launches == before + 1
    for arrays, group in zip(device, groups, strict=True):
        for actual, expected in zip(arrays, expected_of(name, group, numbers), strict=True):
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(actual.numpy(), expected, rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("name, states, numbers", STEPS)
def test_steps_of_many_arrays_on_the_cpu(rng, name, states, numbers):
    """Of several dtypes and blocks, and of none, in one call."""
    shapes = [(3,), (0, 4), (2, 5000), (1,), (8192,)]
    groups = [group for dtype in ("float32", "float64") for group in groups_of(rng, shapes, states, dtype)]
    expected = [expected_of(name, group, numbers) for group in groups]
    ops.together(name, groups, **numbers)
    for arrays, exact in zip(groups, expected, strict=True):
        eps = np.finfo(arrays[0].dtype).eps
        for actual, right in zip(arrays, exact, strict=True):
            np.testing.assert_allclose(actual, right, rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("name, states, numbers", STEPS)
def test_one_array_by_the_functions_of_the_cpu(simulator, rng, name, states, numbers):
    (group,) = groups_of(rng, [(7, 3)], states)
    device = carried(*group)
    getattr(ops, name)(*device, **numbers)
    getattr(ops, name)(*group, **numbers)
    for actual, expected in zip(device, group, strict=True):
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_more_weights_than_a_kernel_takes(simulator, rng):
    """Arguments of a kernel have 4,096 bytes; weights of several dtypes go by themselves."""
    groups = groups_of(rng, [(2,)] * 30, 1) + groups_of(rng, [(3,)] * 2, 1, "float64")
    device = [tuple(carried(*group)) for group in groups]
    before = simulator.launches
    numbers = {"rate": 0.5, "momentum": 0.9, "nesterov": False}
    ops.together("sgd", device, **numbers)
    assert simulator.launches == before + 3
    for arrays, group in zip(device, groups, strict=True):
        np.testing.assert_allclose(arrays[0].numpy(), expected_of("sgd", group, numbers)[0], rtol=1e-5, atol=1e-6)
    assert updates.MOST + 256 <= 4096


def test_wide_indices(simulator, rng, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    groups = groups_of(rng, [(3,), (4,)], 1)
    device = [tuple(carried(*group)) for group in groups]
    ops.together("sgd", device, rate=0.5, momentum=0.0, nesterov=False)
    np.testing.assert_allclose(device[1][0].numpy(), groups[1][0] - 0.5 * groups[1][2], rtol=1e-6)


def test_arrays_that_do_not_fit_are_refused(simulator):
    with pytest.raises(InvalidArgument, match="one shape and dtype"):
        ops.sgd(*carried(np.ones(2), np.ones(2), np.ones(3)), rate=0.1)


@pytest.mark.parametrize("size", [1, 9, 1500])
@pytest.mark.parametrize("most", [0.5, 1e6])
def test_long_gradients_are_shortened(simulator, rng, size, most, monkeypatch):
    monkeypatch.setattr(updates, "PART", 512)
    g = rng.normal(size=size).astype(np.float32)
    norm = math.sqrt(np.square(g.astype(np.float64)).sum())
    expected = g * min(1.0, most / norm)
    (device,) = carried(g)
    np.testing.assert_allclose(ops.shortened(device, most).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(ops.shortened(g, most), expected, rtol=1e-5)
    np.testing.assert_array_equal(device.numpy(), g)


def adam_of(module):
    rng = np.random.default_rng(3)
    name, states, numbers = STEPS[3]
    groups = groups_of(rng, [(5,), (1100,)], states)
    device = [carried(*group) for group in groups]
    getattr(module, name)(*zip(*([a.handle for a in arrays] for arrays in device), strict=True), **numbers)
    expected = [expected_of(name, group, numbers) for group in groups]
    return [
        (a.numpy(), e)
        for arrays, right in zip(device, expected, strict=True)
        for a, e in zip(arrays, right, strict=True)
    ]


@pytest.mark.parametrize(
    "old, new",
    [
        ("means[i], squares[i] = mean, square", "squares[i] = square"),
        ("(d * d - squares[i]) * (T(1) - beta_2)", "(d - squares[i]) * (T(1) - beta_2)"),
        ("for first in range(0, size, run)", "for first in range(0, run, run)"),
        ("mean = T(means[i] + (d - means[i])", "mean = T(means[first] + (d - means[i])"),
    ],
)
def test_planted_bugs_are_noticed(simulator, tmp_path, old, new):
    assert_noticed(lambda: adam_of(mutated(updates, old, new, tmp_path)), 1e-5)


def test_without_a_bug_nothing_is_noticed(simulator):
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: adam_of(updates), 1e-5)
