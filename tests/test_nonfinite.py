"""NaN and Inf reach exactly the sums whose terms hold them, by "direct" and "auto"."""

import itertools

import numpy as np
import pytest
from cases import Case
from problems import oracle, solve

import fastconv as fc

NAN, INF = np.nan, np.inf
OPS = {"conv": "xw", "conv_input_grad": "yw", "conv_weight_grad": "xy"}

#: N, C, O, groups: lanes of pixels, of channels, of output channels, and mixtures.
CHANNELS = [(1, 1, 1, 1), (2, 3, 2, 1), (2, 2, 2, 2), (1, 2, 4, 2), (2, 1, 9, 1), (1, 17, 17, 17), (1, 20, 40, 20)]
CHANNELS += [(2, 40, 3, 1)]


def random_case(rng, rank):
    """A small problem of any kind."""
    while True:
        N, C, O, groups = CHANNELS[rng.integers(len(CHANNELS))]  # noqa: E741
        n = rng.integers(1, (40, 9, 5)[rank - 1], rank)
        k, s, d = rng.integers(1, 5, rank), rng.integers(1, 4, rank), rng.integers(1, 3, rank)
        p = rng.integers(0, 3, (rank, 2))
        if (n + p.sum(axis=1) > d * (k - 1)).all():
            break
    options = {"stride": s, "dilation": d, "padding": [tuple(map(int, pair)) for pair in p]}
    options = {name: tuple(v if name == "padding" else map(int, v)) for name, v in options.items()}
    mode = str(rng.choice(["zeros", "zeros", "edge", "wrap"]))
    shapes = (N, C, *map(int, n)), (O, C // groups, *map(int, k))
    return Case(f"{shapes} {options} {mode}", *shapes, {**options, "groups": groups, "padding_mode": mode})


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("count", [40, pytest.param(3000, marks=pytest.mark.slow)], ids=["some", "many"])
def test_bad_numbers_reach_what_holds_them(rank, count, rng):
    for _ in range(count):
        case, dtype = random_case(rng, rank), rng.choice([np.float32, np.float64])
        shapes = {"x": case.x_shape, "w": case.w_shape, "y": case.y_shape}
        whole = {name: rng.integers(-3, 4, shape).astype(float) for name, shape in shapes.items()}
        for op, bad in itertools.product(OPS, "xwy"):
            if bad not in OPS[op]:
                continue
            if op == "conv" and bad == "w" and case.plain["padding_mode"] == "zeros":
                continue  # a border of zeros may be left out of the sums
            arrays = {**whole, bad: whole[bad].copy()}
            arrays[bad].reshape(-1)[rng.integers(0, arrays[bad].size, 2)] = rng.choice([NAN, INF, -INF], 2)
            first, second = (arrays[name] for name in OPS[op])
            with np.errstate(invalid="ignore"):
                expected = oracle(case, op, first, second)
            for last, method in itertools.product((False, True), ("direct", "auto")):
                actual = solve(case, op, first, second, None, last, dtype, method=method)
                np.testing.assert_array_equal(actual, expected, err_msg=f"{op} {bad} {last} {method} {case.name}")


def test_taps_that_never_meet_a_bad_number():
    x, dy = np.array([[[1, 1, 1, 1, NAN]]]), np.ones((1, 1, 3))
    np.testing.assert_array_equal(fc.conv1d_weight_grad(x, dy, (1, 1, 3)), [[[3, 3, NAN]]])
    np.testing.assert_array_equal(fc.conv1d_weight_grad(x[..., ::-1], dy, (1, 1, 3)), [[[NAN, 3, 3]]])


def test_elements_that_a_bad_weight_never_meets():
    w = np.array([[[NAN, 1, INF]]])
    dx = fc.conv1d_input_grad(np.array([[[1.0, 2, 3]]]), w, (1, 1, 5))
    np.testing.assert_array_equal(dx, [[[NAN, NAN, NAN, INF, INF]]])
    y = fc.conv_transpose2d(np.ones((1, 1, 1, 40)), np.array([[[[1.0, -INF]]]]))
    np.testing.assert_array_equal(y[0, 0, 0], [1] + [-INF] * 40)
