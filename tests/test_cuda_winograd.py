"""Winograd's method on CUDA, in the simulator: against the oracle, and with planted bugs."""

from dataclasses import replace

import cuda_problems as problems
import cudasim
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend, filters, launch, winograd
from fastconv.cuda.gemm import tiles
from fastconv.cuda.winograd import gradient_transforms, transforms
from fastconv.errors import Unsupported
from fastconv.spec import conv_problem

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


GRADIENT_CASES = [case for case in CASES if str(case) != "slices"] + [
    _case("slices of stride 1", (1, 2, 3, 4, 5), (2, 2, 1, 3, 3), padding=((1, 1), (1, 0), (0, 1))),
    _case("padding beyond kernel", (1, 2, 3, 4), (2, 2, 3, 3), padding=(4, 3)),
]


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(8, 8, 4, 2, 2),))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def agree(actual, expected):
    size = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=10 * TOLERANCE * size)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_winograd(simulator, case, channels_last):
    agree(*problems.convolve("conv", "winograd", case, channels_last))


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("op", problems.CONVOLUTIONS[1:])
@pytest.mark.parametrize("case", GRADIENT_CASES, ids=str)
def test_gradients(simulator, case, op, channels_last):
    agree(*problems.convolve(op, "winograd", case, channels_last))


@pytest.mark.parametrize("op", problems.CONVOLUTIONS[1:])
def test_gradients_in_float64_and_wide_indices(simulator, op, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    actual, expected = problems.convolve(op, "winograd", CASES[3], True, "float64")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_weight_gradient_in_parts(simulator, monkeypatch):
    monkeypatch.setattr(filters, "LEAST_PART", 4)
    agree(*problems.convolve("conv_weight_grad", "winograd", CASES[1], False))


def test_weight_gradient_is_never_tf32(simulator):
    plain = problems.convolve("conv_weight_grad", "winograd", CASES[2], True)[0]
    with fc.allow_tf32():
        np.testing.assert_array_equal(problems.convolve("conv_weight_grad", "winograd", CASES[2], True)[0], plain)


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


def test_errors_of_gradients_are_within_their_bounds(simulator):
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 3, 9, 9), np.float32), rng.standard_normal((4, 3, 3, 3), np.float32)
    dy = rng.standard_normal((1, 4, 7, 7), np.float32)
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    wide = [a.astype(float) for a in (x, w, dy)]
    exact = naive.conv_input_grad(wide[2], wide[1], (9, 9), **plain)
    bound = 40 * 36 * 2**-24 * np.abs(dy).max() * np.abs(w).sum((0, 2, 3))
    error = np.abs(fc.conv2d_input_grad(dy, w, x.shape, device="cuda", method="winograd") - exact)
    assert (error <= bound.reshape(1, -1, 1, 1)).all()
    exact = naive.conv_weight_grad(wide[0], wide[2], (3, 3), **plain)
    error = np.abs(fc.conv2d_weight_grad(x, dy, w.shape, device="cuda", method="winograd") - exact)
    assert error.max() <= 60 * 49 * 2**-24 * np.abs(x).max() * np.abs(dy).max()


def test_gradients_serve_no_stride_along_the_depth():
    spec = conv_problem((1, 2, 4, 9, 9), (2, 2, 1, 3, 3), rank=3, stride=(2, 1, 1))
    assert dispatch.find(replace(spec, op="conv"), "winograd", "cuda").method == "winograd"
    for op in problems.CONVOLUTIONS[1:]:
        with pytest.raises(Unsupported, match="stride 1 along the depth"):
            dispatch.find(replace(spec, op=op), "winograd", "cuda")


def test_auto_never_takes_what_spreads_nan():
    """Nothing looks at data on a device: that would cost a synchronisation."""
    spec = conv_problem((8, 64, 56, 56), (64, 64, 3, 3), rank=2, padding=1)
    for op in problems.CONVOLUTIONS:
        assert dispatch.choose_method(replace(spec, op=op), "cuda") not in dispatch.SPREADING


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}], ids=str)
def test_what_it_cannot_serve(options):
    spec = conv_problem((1, 2, 9, 9), (2, 2, 3, 3), rank=2, **options)
    with pytest.raises(Unsupported, match="winograd.*serves"):
        dispatch.find(replace(spec, op="conv"), "winograd", "cuda")


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
}


def plant(mutant, monkeypatch):
    """The mutant's kernels in place of those that it was made of."""
    for name in ("make_to_points", "make_from_points", "make_gradient_to_points", "make_to_taps", "make_filter"):
        if getattr(mutant, name, None):
            monkeypatch.setattr(winograd, name, getattr(mutant, name))


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path, monkeypatch):
    plant(mutated(transforms, *BUGS[bug], tmp_path), monkeypatch)
    cases = [CASES[1], CASES[5]]
    assert_noticed(
        lambda: [problems.convolve("conv", "winograd", case, last) for case in cases for last in (0, 1)], 2e-5
    )


GRADIENT_BUGS = {
    "a point's sign": (
        "even + odd, even - odd\n        even, odd = g0 + b2",
        "even - odd, even + odd\n        even, odd = g0 + b2",
    ),
    "infinity": ("even + odd, even - odd, g3", "even + odd, even - odd, g0"),
    "scale of the taps": ("first * v[i] + sum_a + sum_b", "v[i] + sum_a + sum_b"),
    "last tap": ("a2 * sum_a + b2 * sum_b + v[i + 5 * step]", "a2 * sum_a + b2 * sum_b"),
    "rows of dy beyond the last": ("if oh < U(tiles.size_h) and ow", "if ow"),
    "columns of dy beyond the last": (" and ow < U(tiles.size_w):", ":"),
    "channels exchanged": ("c * U(filters.c) + o * U(filters.o)", "o * U(filters.c) + c * U(filters.o)"),
    "a thread too many": ("            t, o = item(i, tiles)", "            t, o = item(U(i // U(2)), tiles)"),
}


@pytest.mark.parametrize("bug", GRADIENT_BUGS)
def test_planted_bugs_in_gradients(simulator, bug, tmp_path, monkeypatch):
    plant(mutated(gradient_transforms, *GRADIENT_BUGS[bug], tmp_path), monkeypatch)
    assert_noticed(gradients, 2e-5)


CALL_BUGS = {
    "filters not turned": ("f._replace(tap=-f.tap)", "f"),
    "zeros around dy": ("r - a.before, r - a.after", "a.before, a.after"),
}


@pytest.mark.parametrize("bug", CALL_BUGS)
def test_planted_bugs_in_calls(simulator, bug, tmp_path):
    mutant = mutated(winograd, *CALL_BUGS[bug], tmp_path)
    assert_noticed(lambda: gradients(mutant), 2e-5)


def gradients(module=winograd):
    """Both gradients of a small problem, and what they should be."""
    case = _case("uneven", (1, 3, 6, 5), (2, 3, 3, 3), padding=((1, 0), (0, 0)))
    return [
        problems.convolve(op, "winograd", case, last, function=getattr(module, op))
        for op in problems.CONVOLUTIONS[1:]
        for last in (False, True)
    ]


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    plant(
        mutated(transforms, "    return from_points\n", "    return from_points  # the same\n", tmp_path), monkeypatch
    )
    agree(*problems.convolve("conv", "winograd", CASES[1], False))
    same = mutated(gradient_transforms, "    return to_taps\n", "    return to_taps  # the same\n", tmp_path)
    plant(same, monkeypatch)
    agree(*problems.convolve("conv_weight_grad", "winograd", CASES[1], False))
