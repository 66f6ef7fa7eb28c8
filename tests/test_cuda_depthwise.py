"""Depthwise convolutions on CUDA, in the simulator: against the oracle, and with planted bugs."""

from dataclasses import replace

import cuda_problems as problems
import cudasim
import ml_dtypes
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv import dispatch
from fastconv.cuda import backend, direct, filters, launch
from fastconv.cuda.planar import depthwise, depthwise_grad, direct_tiled, register_rows
from fastconv.spec import conv_problem

EXECUTOR = cudasim.Executor()


def _case(name, x, w, **options):
    return problems.Case(name, x, w, {"groups": x[1], **options})


CASES = [
    _case("3x3", (2, 5, 9, 11), (5, 1, 3, 3), padding=1),
    _case("5x5, uneven padding", (1, 6, 7, 9), (6, 1, 5, 5), padding=((3, 0), (1, 4))),
    _case("stride 2", (1, 9, 8, 9), (9, 1, 3, 3), stride=2, padding=1),
    _case("strides by axis", (1, 3, 9, 10), (3, 1, 4, 2), stride=(3, 4), padding=(2, 1)),
    _case("dilation and even stride", (1, 3, 8, 9), (3, 1, 3, 3), dilation=(2, 3), stride=2, padding=3),
    _case("two outputs a channel, strided", (2, 3, 6, 7), (6, 1, 3, 3), stride=2, padding=1),
    _case("one image, four outputs", (1, 1, 6, 9), (4, 1, 3, 2)),
    _case("one channel", (2, 1, 7, 6), (1, 1, 3, 3), padding=2),
    _case("1-D", (2, 5, 13), (5, 1, 4), padding=((3, 0),)),
    _case("1-D, strided", (1, 4, 13), (4, 1, 3), stride=2, padding=1),
    _case("many channels", (1, 33, 4, 3), (33, 1, 1, 2)),
    _case("reflect", (1, 4, 5, 6), (4, 1, 3, 3), padding=2, padding_mode="reflect"),
    _case("stride beyond kernel", (1, 3, 7, 9), (3, 1, 2, 1), stride=(3, 4)),
]
each_op = pytest.mark.parametrize("op", problems.CONVOLUTIONS)


@pytest.fixture
def simulator():
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def large_tiles(monkeypatch):
    """As many rows a thread as large problems have."""
    for module in (filters, depthwise):  # mutants take it from the first
        monkeypatch.setattr(module, "ENOUGH_BLOCKS", 0)
    monkeypatch.setattr(depthwise, "TALL", 8)


def case_named(name):
    return next(case for case in CASES if str(case) == name)


@pytest.fixture
def no_plain_kernel(monkeypatch):
    for name in ("make_conv", "make_input_grad", "make_weight_grad"):
        monkeypatch.delattr(direct, name)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@each_op
@pytest.mark.parametrize("case", CASES, ids=str)
def test_depthwise(simulator, no_plain_kernel, case, op, channels_last):
    np.testing.assert_array_equal(*problems.convolve(op, "direct", case, channels_last))


@each_op
@pytest.mark.parametrize("name", ["3x3", "stride 2", "5x5, uneven padding"])
def test_large_tiles(simulator, large_tiles, name, op):
    for channels_last in (False, True):
        np.testing.assert_array_equal(*problems.convolve(op, "direct", case_named(name), channels_last))


@each_op
def test_float64_and_wide_indices(simulator, no_plain_kernel, op, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    for channels_last in (False, True):
        actual, expected = problems.convolve(op, "direct", case_named("stride 2"), channels_last, "float64")
        assert actual.dtype == np.float64
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("padding_mode", ["zeros", "edge"])
def test_halves(simulator, dtype, padding_mode):
    x, w, dy = (a.astype(dtype) for a in problems.draw("halves", (1, 3, 5, 6), (3, 1, 3, 3), (1, 3, 5, 6)))
    options = {"padding": ((1, 1), (1, 1)), "groups": 3, "padding_mode": padding_mode}
    plain = {**options, "stride": (1, 1), "dilation": (1, 1)}
    launches = EXECUTOR.launches
    y = fc.conv2d(x, w, **options, device="cuda", method="direct")
    dx = fc.conv2d_input_grad(dy, w, x.shape, **options, device="cuda", method="direct")
    assert y.dtype == dx.dtype == dtype
    if padding_mode == "zeros":
        assert EXECUTOR.launches == launches + 2  # nothing is widened first
    wide = (a.astype(float) for a in (x, w, dy))
    x, w, dy = wide
    np.testing.assert_array_equal(y, naive.conv(x, w, None, **plain).astype(dtype))
    np.testing.assert_array_equal(dx, naive.conv_input_grad(dy, w, (5, 6), **plain).astype(dtype))


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_activation_and_no_bias(simulator, activation):
    for bias in (True, False):
        pair = problems.convolve("conv", "direct", CASES[0], True, activation=activation, bias=bias)
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


@each_op
def test_nan_reaches_its_windows_alone(simulator, op):
    x, w = np.ones((1, 4, 6, 7), np.float32), np.ones((4, 1, 3, 3), np.float32)
    x[0, 2, 3, 3] = np.nan
    options = {"padding": 1, "groups": 4, "device": "cuda", "method": "direct"}
    if op == "conv_weight_grad":
        dw = fc.conv2d_weight_grad(x, np.ones_like(x), w.shape, **options)
        assert np.isnan(dw[2]).all() and np.isfinite(dw[[0, 1, 3]]).all()
        return
    y = fc.conv2d(x, w, **options) if op == "conv" else fc.conv2d_input_grad(x, w, x.shape, **options)
    expected = np.zeros_like(y, bool)
    expected[0, 2, 2:5, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


def test_weight_gradient_in_parts(simulator, monkeypatch):
    """Sums of several blocks and several rounds of a block; their number depends on the problem alone."""
    monkeypatch.setattr(filters, "LEAST_PART", 1)
    monkeypatch.setattr(filters, "ENOUGH_BLOCKS", 2)
    case = _case("parts", (100, 2, 4, 5), (2, 1, 2, 1))
    for channels_last in (False, True):
        np.testing.assert_array_equal(*problems.convolve("conv_weight_grad", "direct", case, channels_last))


def test_what_is_served():
    assert depthwise.serves(conv_problem((1, 8, 9, 9), (8, 1, 7, 7), rank=2, groups=8, padding=3))
    refused = [
        ((1, 16, 9, 9), (8, 2, 3, 3), 1),  # two channels of a group
        ((1, 8, 2, 9, 9), (8, 1, 2, 3, 3), 1),  # depth
        ((1, 8, 9, 9), (8, 1, 8, 7), 1),  # many taps
        ((1, 8, 9, 99), (8, 1, 1, 12), 1),  # wide
        ((1, 8, 9, 9), (8, 1, 3, 3), (5, 1)),  # stride
    ]
    for x, w, stride in refused:
        assert not depthwise.serves(conv_problem(x, w, rank=len(x) - 2, groups=8, stride=stride))


def test_auto_takes_it():
    spec = conv_problem((8, 64, 56, 56), (64, 1, 3, 3), rank=2, groups=64, padding=1)
    assert all(dispatch.choose_method(replace(spec, op=op), "cuda") == "direct" for op in problems.CONVOLUTIONS)


@pytest.mark.parametrize("backward", [False, True])
def test_lines_hold_every_tap_once(backward):
    for kernel, stride, dilation in [(3, 1, 1), (5, 2, 1), (3, 2, 2), (2, 3, 1), (3, 4, 5)]:
        line = register_rows.line(kernel, stride, dilation, 2 * stride if backward else 3, backward)
        meets = {
            (line.first + p, i, t) for p, row in zip(line.offsets, line.taps, strict=True) for i, t in enumerate(row)
        }
        for i in range(line.results):
            for u in range(kernel):
                place = (i - u * dilation) / stride if backward else i * stride + u * dilation
                assert ((place, i, u) in meets) == (place == int(place))


FORWARD_BUGS = {
    "row too many": ("if U(oh + i) < U(down.result):", "if U(oh + i) <= U(down.result):"),
    "another channel's bias": ("extra = b[c]", "extra = b[0]"),
    "another filter": ("source, filters = c, c\n", "source, filters = c, U(0)\n"),
    "sums not cleared": ("            for k in unrolled(SUMS):\n                acc[k] = T(0)\n", ""),
    "lanes overlap": (
        "c = U(U(block - q * U(p.groups)) * U(lanes) + lane)",
        "c = U(U(block - q * U(p.groups)) * U(lanes - 1) + lane)",
    ),
    "more channels than there are": (" and c < U(p.channels) and tw", " and tw"),
    "share of outputs": ("U(c // U(p.share)) * U(p.several)", "U(c) * U(p.several)"),
}
ROW_BUGS = {
    "rows above the image": ("if inside and U(first", "if U(first"),
    "columns beside the image": ("if inside and U(first + known(OFFSETS[k])) < U(size):", "if inside:"),
    "column too many": ("if U(first + j) < U(size):", "if U(first + j) <= U(size):"),
    "taps mirrored": (
        "acc[i + j] += row[k] * w[u + known(TAPS[k][j])]",
        "acc[i + j] += row[k] * w[u + known(2 - TAPS[k][j])]",
    ),
}
GRAD_BUGS = {
    "no barrier": (
        "    def add_up(memory: Any, t: Any) -> None:\n        cuda.syncthreads()\n",
        "    def add_up(memory: Any, t: Any) -> None:\n",
    ),
    "barrier in a branch": (
        "            cuda.syncthreads()\n\n    return inlined(add_up)",
        "                cuda.syncthreads()\n\n    return inlined(add_up)",
    ),
    "half of the threads": ("if BLOCK >> k >= shared)", "if BLOCK >> k > shared)"),
    "rounds skipped": ("task = U(task + U(TASKS))", "task = U(task + U(2 * TASKS))"),
    "rows of dy beyond the last": ("if oh < U(down.result) and ow < U(across.result):", "if ow < U(across.result):"),
    "images beyond the last": ("if n < U(p.images) and c", "if c"),
    "taps in another order": ("U(u * WIDTH + v) * U(p.share)", "U(v * WIDTH + u) * U(p.share)"),
}


@pytest.mark.parametrize("bug", FORWARD_BUGS)
def test_planted_bugs(simulator, large_tiles, bug, tmp_path):
    run = mutated(depthwise, *FORWARD_BUGS[bug], tmp_path).conv
    cases = [CASES[0], case_named("two outputs a channel, strided")]
    assert_noticed(
        lambda: [problems.convolve("conv", "", case, last, function=run) for case in cases for last in (False, True)]
    )


@pytest.mark.parametrize("bug", ROW_BUGS)
def test_planted_bugs_in_rows(large_tiles, bug, tmp_path, monkeypatch):
    mutant = mutated(register_rows, *ROW_BUGS[bug], tmp_path)
    for name in ("make_load_row", "make_multiply", "make_store_row"):
        for module in (depthwise, direct_tiled):
            monkeypatch.setattr(module, name, getattr(mutant, name))
    cases = (CASES[0], True), (case_named("1-D"), False)
    for run in (depthwise.conv, direct_tiled.conv):
        with backend.run_on(cudasim.Executor()):  # one that keeps no kernels without the bug
            assert_noticed(lambda run=run: [problems.convolve("conv", "", *case, function=run) for case in cases])


@pytest.mark.parametrize("bug", GRAD_BUGS)
def test_planted_bugs_in_the_weight_gradient(simulator, bug, tmp_path, monkeypatch):
    monkeypatch.setattr(filters, "ENOUGH_BLOCKS", 1)  # a block has two rounds
    run = mutated(depthwise_grad, *GRAD_BUGS[bug], tmp_path).conv_weight_grad
    case = _case("parts", (70, 2, 4, 5), (2, 1, 2, 2))
    assert_noticed(
        lambda: [problems.convolve("conv_weight_grad", "", case, last, function=run) for last in (False, True)]
    )


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    run = mutated(depthwise, "    return depthwise\n", "    return depthwise  # the same\n", tmp_path).conv
    np.testing.assert_array_equal(*problems.convolve("conv", "", CASES[0], False, function=run))
    same = mutated(depthwise_grad, "    return depthwise_grad\n", "    return depthwise_grad  # the same\n", tmp_path)
    np.testing.assert_array_equal(
        *problems.convolve("conv_weight_grad", "", CASES[0], True, function=same.conv_weight_grad)
    )
