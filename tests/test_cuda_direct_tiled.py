"""Direct convolutions in register tiles on CUDA, in the simulator: against the oracle, and with planted bugs."""

from dataclasses import replace

import cuda_problems as problems
import cudasim
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend, direct, filters, launch
from fastconv.cuda.planar import direct_tiled
from fastconv.spec import conv_problem

EXECUTOR = cudasim.Executor()


def _case(name, x, w, **options):
    return problems.Case(name, x, w, options)


CASES = [
    _case("3x3", (2, 3, 9, 11), (3, 3, 3, 3), padding=1),
    _case("five outputs", (1, 2, 7, 6), (5, 2, 3, 2), padding=((2, 0), (1, 3))),
    _case("5x5", (1, 3, 7, 9), (2, 3, 5, 5), padding=2),
    _case("stride 2", (1, 4, 8, 9), (4, 4, 3, 3), stride=2, padding=1),
    _case("strides by axis", (1, 3, 9, 10), (2, 3, 4, 2), stride=(3, 4), padding=(2, 1)),
    _case("dilation", (1, 3, 8, 9), (4, 3, 3, 3), dilation=(2, 3), stride=2, padding=3),
    _case("groups", (2, 6, 5, 6), (9, 2, 3, 3), groups=3, padding=1),
    _case("1-D", (2, 3, 13), (4, 3, 4), padding=((3, 0),)),
    _case("edge", (1, 2, 5, 6), (3, 2, 3, 3), padding=2, padding_mode="edge"),
    _case("1x1", (1, 2, 3, 5), (4, 2, 1, 1)),
]
each_op = pytest.mark.parametrize("op", problems.CONVOLUTIONS[:2])


@pytest.fixture
def simulator():
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def large_tiles(monkeypatch):
    """As many rows a thread as large problems have."""
    for module in (filters, direct_tiled):  # mutants take it from the first
        monkeypatch.setattr(module, "ENOUGH_BLOCKS", 0)


def case_named(name):
    return next(case for case in CASES if str(case) == name)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@each_op
@pytest.mark.parametrize("case", CASES, ids=str)
def test_direct_tiled(simulator, monkeypatch, case, op, channels_last):
    for name in ("make_conv", "make_input_grad"):
        monkeypatch.delattr(direct, name)
    np.testing.assert_array_equal(*problems.convolve(op, "direct", case, channels_last))


@pytest.mark.parametrize("op", problems.CONVOLUTIONS)
@pytest.mark.parametrize("case", problems.CONV_CASES, ids=str)
def test_the_plain_kernels_serve_every_problem(simulator, monkeypatch, case, op):
    for module in (direct.depthwise, direct.direct_tiled):
        monkeypatch.setattr(module, "serves", lambda *problem: False)
    for channels_last in (False, True):
        np.testing.assert_array_equal(*problems.convolve(op, "direct", case, channels_last))


@each_op
@pytest.mark.parametrize("name", ["3x3", "stride 2", "five outputs"])
def test_large_tiles(simulator, large_tiles, name, op):
    for channels_last in (False, True):
        np.testing.assert_array_equal(*problems.convolve(op, "direct", case_named(name), channels_last))


@each_op
def test_float64_and_wide_indices(simulator, op, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    for channels_last in (False, True):
        actual, expected = problems.convolve(op, "direct", case_named("groups"), channels_last, "float64")
        assert actual.dtype == np.float64
        np.testing.assert_array_equal(actual, expected)


def test_float16_goes_through_float32(simulator):
    x, w = (a.astype(np.float16) for a in problems.draw("halves", (1, 3, 5, 6), (2, 3, 3, 3)))
    y = fc.conv2d(x, w, padding=1, device="cuda", method="direct")
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((1, 1), (1, 1)), "groups": 1}
    np.testing.assert_array_equal(y, naive.conv(x.astype(float), w.astype(float), None, **plain))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activation_and_no_bias(simulator, activation):
    for bias in (True, False):
        pair = problems.convolve("conv", "direct", case_named("groups"), True, activation=activation, bias=bias)
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


def test_nan_reaches_its_windows_alone(simulator):
    x, w = np.ones((1, 3, 6, 7), np.float32), np.ones((2, 3, 3, 3), np.float32)
    x[0, 1, 3, 3] = np.nan
    y = fc.conv2d(x, w, padding=1, device="cuda", method="direct")
    expected = np.zeros(y.shape, bool)
    expected[0, :, 2:5, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


def test_what_is_served():
    def serves(kernel=(3, 3), size=(9, 9), stride=1, outputs=4, **options):
        shapes = (1, 20, *size), (outputs, 20, *kernel)
        return direct_tiled.serves(conv_problem(*shapes, rank=len(size), stride=stride, padding=1, **options))

    assert serves() and serves(kernel=(5, 5), outputs=8)
    assert not serves(outputs=9)
    assert not serves(op="conv_input_grad")  # 20 results
    assert not serves(kernel=(7, 7))
    assert not serves(kernel=(2, 3, 3), size=(2, 9, 9))
    assert not serves(stride=(5, 1))


def test_auto_takes_it_where_few_channels_result():
    spec = conv_problem((8, 64, 56, 56), (3, 64, 3, 3), rank=2, padding=1)
    assert dispatch.choose_method(replace(spec, op="conv"), "cuda") == "direct"
    assert dispatch.choose_method(replace(spec, op="conv_input_grad"), "cuda") == "im2col"
    spec = conv_problem((8, 3, 56, 56), (64, 3, 3, 3), rank=2, padding=1)
    assert dispatch.choose_method(replace(spec, op="conv"), "cuda") == "im2col"
    assert dispatch.choose_method(replace(spec, op="conv_input_grad"), "cuda") == "direct"


BUGS = {
    "output too many": (
        "                        if U(o + U(k)) < U(p.outputs):\n                            v",
        "                        if U(o + U(k)) <= U(p.outputs):\n                            v",
    ),
    "stored beyond the group": (
        "                if U(o + U(k)) < U(p.outputs):\n                    c",
        "                if U(o + U(k)) <= U(p.outputs):\n                    c",
    ),
    "one input channel": ("for _ in range(p.inputs):", "for _ in range(1):"),
    "the first channel's filter": ("filters, at = U(filters + U(p.c)), at + L(xs.c)", "at = at + L(xs.c)"),
    "another group's input": ("g * U(p.inputs) * U(xs.c)", "g * U(xs.c)"),
    "row too many": ("if U(oh + i) < U(down.result):", "if U(oh + i) <= U(down.result):"),
    "images beyond the last": ("if n < U(p.images) and tw", "if tw"),
    "bias of another group": ("extra = b[c]", "extra = b[o + U(k)]"),
    "sums not cleared": ("                acc[k] = T(0)\n", "                pass\n"),
    "sums of one channel": ("acc, known(k * PIXELS + i * P)\n", "acc, known(i * P)\n"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, large_tiles, bug, tmp_path):
    run = mutated(direct_tiled, *BUGS[bug], tmp_path).conv
    case = case_named("groups")
    assert_noticed(lambda: [problems.convolve("conv", "", case, last, function=run) for last in (False, True)])


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    run = mutated(direct_tiled, "    return direct_tiled\n", "    return direct_tiled  # the same\n", tmp_path).conv
    np.testing.assert_array_equal(*problems.convolve("conv", "", CASES[0], False, function=run))
