"""Winograd's method on CUDA, in the simulator: against the oracle, and with planted bugs."""

import cuda_problems as problems
import cudasim
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend, gemm, launch, tune, winograd
from fastconv.errors import Unsupported
from fastconv.spec import conv_spec

EXECUTOR = cudasim.Executor()
TOLERANCE = 2e-6  # of the largest sum of products' sizes


def _case(name, x, w, **options):
    return problems.Case(name, x, w, options)


CASES = [
    _case("one tile", (1, 1, 6, 6), (1, 1, 3, 3)),
    _case("odd tails", (2, 3, 5, 6), (5, 3, 3, 3), padding=1),
    _case("whole steps of channels", (1, 4, 9, 7), (8, 4, 3, 3), padding=((2, 0), (1, 3))),
    _case("groups", (1, 4, 5, 4), (6, 2, 3, 3), groups=2, padding=1),
    _case("edge", (1, 2, 4, 5), (3, 2, 3, 3), padding=2, padding_mode="edge"),
    _case("slices", (1, 2, 3, 4, 5), (2, 2, 1, 3, 3), stride=(2, 1, 1), padding=((1, 1), (1, 0), (0, 1))),
    _case("empty batch", (0, 2, 4, 5), (3, 2, 3, 3)),
]


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setattr(tune, "TILES", (gemm.Tile(8, 8, 4, 2, 2),))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def agree(actual, expected):
    size = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=10 * TOLERANCE * size)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_winograd(simulator, case, channels_last):
    agree(*problems.convolve("conv", "winograd", case, channels_last))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activations_and_no_bias(simulator, activation):
    agree(*problems.convolve("conv", "winograd", CASES[1], True, activation=activation, bias=False))


def test_float64_and_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    actual, expected = problems.convolve("conv", "winograd", CASES[3], False, "float64")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_error_is_within_its_bound(simulator):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((1, 6, 8, 8), np.float32), rng.standard_normal((2, 6, 3, 3), np.float32)
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    exact = naive.conv(x.astype(float), w.astype(float), None, **plain)
    bound = 40 * 54 * 2**-24 * np.abs(x).max() * np.abs(w).sum((1, 2, 3))
    error = np.abs(fc.conv2d(x, w, device="cuda", method="winograd") - exact)
    assert (error <= bound.reshape(1, -1, 1, 1)).all()


def test_float16_goes_through_float32(simulator):
    x, w = (a.astype(np.float16) for a in problems.draw("halves", (1, 2, 4, 4), (2, 2, 3, 3)))
    expected = naive.conv(x, w, None, stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1)
    np.testing.assert_array_equal(fc.conv2d(x, w, device="cuda", method="winograd"), expected)


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}], ids=str)
def test_what_it_cannot_serve(options):
    spec = conv_spec((1, 2, 9, 9), (2, 2, 3, 3), rank=2, **options)
    with pytest.raises(Unsupported, match="winograd.*serves"):
        dispatch.find("conv", spec, "winograd", "cuda")


BUGS = {
    "tile step": ("S(S(h) * M - tiles.before_h)", "S(S(h) * TILE - tiles.before_h)"),
    "rows above the image": (" and U(y0 + j) < U(tiles.size_h)", ""),
    "columns beside the image": ("if inside and U(x0 + k) < U(tiles.size_w):", "if inside:"),
    "points exchanged": ("odd = d4 - b2 * d2, a * (d3 - b2 * d1)", "odd = d4 - a2 * d2, a * (d3 - b2 * d1)"),
    "scale of the filters": ("of_a * (w0 + a2 * w2), of_a * a * w1", "of_b * (w0 + a2 * w2), of_a * a * w1"),
    "sum of the outputs": ("a3 * difference_a + b3 * difference_b + v5", "a3 * difference_a + b3 * difference_b"),
    "one row too many": ("< U(tiles.size_h):\n", "<= U(tiles.size_h):\n"),
    "one column too many": ("if U(w * U(M) + U(k)) < U(tiles.size_w):", "if U(w * U(M) + U(k)) <= U(tiles.size_w):"),
    "another channel's bias": ("value + b[o]", "value + b[0]"),
    "slices": ("S(S(d) * tiles.step_d - tiles.before_d)", "S(S(d) * tiles.step_d)"),
    "a thread too many": ("            t, o = item(i, tiles)", "            t, o = item(U(i // U(2)), tiles)"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path):
    run = mutated(winograd, *BUGS[bug], tmp_path).conv
    cases = [CASES[1], CASES[5]]
    assert_noticed(
        lambda: [problems.convolve("conv", "winograd", case, last, function=run) for case in cases for last in (0, 1)],
        2e-5,
    )


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    run = mutated(winograd, "    return from_points\n", "    return from_points  # the same\n", tmp_path).conv
    agree(*problems.convolve("conv", "winograd", CASES[1], False, function=run))
