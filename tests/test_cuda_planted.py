"""Bugs planted in the small CUDA kernels around the large ones: borders, filters, conversions, pools, gradients."""

import cuda_problems as problems
import cudasim
import numpy as np
import pytest
from planting import assert_noticed, mutated

from fastconv.cuda import backend, border, direct, filters, halves, pointwise, pool, winograd
from fastconv.cuda.gemm import cores, tiles
from fastconv.cuda.pool import gradients
from fastconv.cuda.winograd import transforms

EXECUTOR = cudasim.Executor()


@pytest.fixture(autouse=True)
def simulator(monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(8, 8, 4, 2, 2),))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def convolution(name):
    return next(case for case in problems.CONV_CASES if str(case) == name)


def pooling(name):
    return next(case for case in problems.POOL_CASES if str(case) == name)


def right(pairs):
    for actual, expected in pairs:
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_nothing_is_noticed_without_a_bug():
    """What the tests below run, on the kernels as they are."""
    right(problems.convolve(op, "direct", case, last) for op in problems.CONVOLUTIONS for case in BORDERS for last in (0, 1))  # noqa: E501 # fmt: skip
    right(problems.convolve(op, "im2col", convolution("groups"), last) for op in problems.CONVOLUTIONS for last in (0, 1))  # noqa: E501 # fmt: skip
    for op, p in (("avg_pool", 2), ("lp_pool", 2), ("lp_pool", 3), ("lp_pool", np.inf)):
        right(pooled(problems, op, p, pool))
        right(pooled(problems, f"{op}_grad", p, gradients))
    right(pooled(problems, "max_pool_grad", 2, gradients))
    right(conversions(pointwise, halves))


# --- borders

BORDERS = [
    problems.Case("edge", (2, 2, 3, 4), (2, 2, 2, 3), {"padding": ((2, 1), (0, 3)), "padding_mode": "edge"}),
    problems.Case("reflect", (1, 2, 2, 3, 3), (2, 2, 2, 2, 2), {"padding": (1, 2, 2), "padding_mode": "reflect"}),
]
BORDER_BUGS = {
    "rows by the columns' table": ("conv", "U(td[d]) * U(strides.d)", "U(tw[d]) * U(strides.d)"),
    "columns where they are": ("conv", "U(th[h]) * U(strides.h) + U(tw[w])", "U(th[h]) * U(strides.h) + U(w)"),
    "elements in another order": ("conv", "xp[i] = x[", "xp[U(U(total) - U(1) - i)] = x["),
    "the first copy alone": ("conv_input_grad", "range(tw[w], tw[U(w + U(1))])", "range(tw[w], tw[w] + 1)"),
    "a copy too many": ("conv_input_grad", "range(th[h], th[U(h + U(1))])", "range(th[h], th[U(h + U(1))] + 1)"),
    "the last copy": ("conv_input_grad", "acc += dxp", "acc = dxp"),
    "slices mixed up": ("conv_input_grad", "U(td[U(u)]) * U(strides.d)", "U(d) * U(strides.d)"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BORDER_BUGS)
def test_planted_bugs_in_borders(bug, tmp_path, monkeypatch):
    op, old, new = BORDER_BUGS[bug]
    monkeypatch.setattr(direct, "border", mutated(border, old, new, tmp_path))
    assert_noticed(lambda: [problems.convolve(op, "direct", case, last) for case in BORDERS for last in (False, True)])


# --- filters

FILTER_BUGS = {
    "filled up with numbers": ("conv", "if offset >= 0:", "if True:"),
    "group of the first filters": ("conv", "w[U(g * U(group) + U(offset)", "w[U(U(offset)"),
    "outputs side by side": ("conv", "U(offset) + o * U(step))]", "U(offset) + o)]"),
    "rows of the group before": ("conv", "offsets[U(q - g * U(rows))]", "offsets[U(q % U(3))]"),
    "a part too few": ("conv_weight_grad", "for p in range(count):", "for p in range(count - 1):"),
    "parts overlap": ("conv_weight_grad", "parts[U(U(p) * U(part) + at)]", "parts[U(U(p) * U(part - 1) + at)]"),
    "channels for taps": ("conv_weight_grad", "tap * U(filters.tap) + c * U(filters.c)", "c * U(filters.tap) + tap * U(filters.c)"),  # noqa: E501
    "all in one group": ("conv_weight_grad", "to = U(g * U(filters.group) + ", "to = U("),
}  # fmt: skip


@pytest.mark.parametrize("bug", FILTER_BUGS)
def test_planted_bugs_in_filters(bug, tmp_path, monkeypatch):
    op, old, new = FILTER_BUGS[bug]
    mutant = mutated(filters, old, new, tmp_path)
    monkeypatch.setattr(cores, "make_pack", mutant.make_pack)
    monkeypatch.setattr(cores, "sum_parts", mutant.sum_parts)
    monkeypatch.setattr(filters, "LEAST_PART", 8)  # several parts
    cases = [convolution("groups"), convolution("odd tails")]
    assert_noticed(lambda: [problems.convolve(op, "im2col", case, last) for case in cases for last in (False, True)])


# --- weight gradients by plain loops

WEIGHT_BUGS = {
    "a row of the next part": ("range(S(p) * part, min(last, rows))", "range(S(p) * part, min(last + 1, rows))"),
    "rows beside the image": ("if U(d) < U(s.D) and U(h) < U(s.H):\n                    at", "if U(d) < U(s.D):\n                    at"),  # noqa: E501
    "columns beside the image": ("if U(v) < U(s.W):\n                            acc", "if True:\n                            acc"),  # noqa: E501
    "no stride": ("S(ow * s.stride_w + S(kw)", "S(ow + S(kw)"),
}  # fmt: skip


@pytest.mark.parametrize("bug", WEIGHT_BUGS)
def test_planted_bugs_in_the_direct_weight_gradient(bug, tmp_path, monkeypatch):
    run = mutated(direct, *WEIGHT_BUGS[bug], tmp_path).conv_weight_grad
    monkeypatch.setattr(filters, "LEAST_PART", 5)
    case = convolution("strides by axis, uneven padding")
    assert_noticed(lambda: [problems.convolve("conv_weight_grad", "direct", case, last, function=run) for last in (False, True)])  # noqa: E501 # fmt: skip


# --- conversions and what is done to every element


def conversions(pointwise, halves):
    """(what the modules' kernels wrote, what they should have)."""
    x = np.array([[1.5, -2.0, 7.0], [0.25, 3.0, -1.0]])
    there = backend.to_device(x)
    filled = backend.empty((2, 3), np.float32)
    pointwise.fill(filled, 3)
    yield backend.to_host(pointwise.cast(there, np.float32)), x
    yield backend.to_host(pointwise.cast(backend.to_device(x.astype(np.float16)), np.float32)), x
    yield backend.to_host(filled), np.full((2, 3), 3)
    b = np.array([1.0, 2.0, 4.0])
    for last, bias in ((True, b), (False, b[:, None])):
        y = backend.to_device(x.copy() if last else x.T.copy()[None])
        pointwise.finish(y, backend.to_device(b), "relu", last)
        yield backend.to_host(y), np.maximum((x if last else x.T) + bias, 0).reshape(y.shape)
    y = backend.to_device(x.copy())
    pointwise.finish(y, None, "leaky_relu", True)
    yield backend.to_host(y), np.where(x < 0, 0.01 * x, x)
    half = halves.half_of(x, np.dtype(np.float16))
    yield backend.to_host(halves.widened(half)), x
    again = halves.empty(x.shape, np.dtype(np.float16))
    halves.narrowed(backend.to_device(x.astype(np.float32)), again)
    yield halves.to_host(again).astype(float), x


POINTWISE_BUGS = {
    "half of the precision": ("y[i] = T(X(x[i]))", "y[i] = T(U(x[i]))"),
    "fills all but the first": ("            y[i] = value\n", "            if i > 0:\n                y[i] = value\n"),
    "bias of the pixel": ("b[U(U(i // U(pixels)) % U(channels))]", "b[U(i % U(channels))]"),
    "bias after the activation": ("                v = T(act(v))\n            y[i] = v", "                v = T(act(y[i]))\n            y[i] = v"),  # noqa: E501
}  # fmt: skip
HALF_BUGS = {
    "bits for numbers": ("y[i] = convert(x[i])", "y[i] = T(x[i])"),
    "numbers for bits": ("y[i] = convert(x[i])", "y[i] = convert(x[i]) if widen else U(abs(x[i]))"),
    "one element for all": ("y[i] = convert(x[i])", "y[i] = convert(x[0])"),
}


@pytest.mark.parametrize("bug", POINTWISE_BUGS)
def test_planted_bugs_in_pointwise(bug, tmp_path):
    mutant = mutated(pointwise, *POINTWISE_BUGS[bug], tmp_path)
    assert_noticed(lambda: conversions(mutant, halves))


@pytest.mark.parametrize("bug", HALF_BUGS)
def test_planted_bugs_in_halves(bug, tmp_path):
    mutant = mutated(halves, *HALF_BUGS[bug], tmp_path)
    assert_noticed(lambda: conversions(pointwise, mutant))


# --- pools


def pooled(problems, op, p, module):
    """Three problems in both layouts."""
    names = ("overlapping, padded", "ceil_mode", "stride 1, dilated")
    for number, name in enumerate(names):
        options = {"p": p, "count_include_pad": not op.endswith("_grad"), "function": getattr(module, op)}
        yield from problems.pool(op, pooling(name), number % 2 == 0, **options)


SUM_BUGS = {
    "a tap too few": ("avg_pool", 2, "for v in range(tw[ow + U(1)]):", "for v in range(tw[ow + U(1)] - 1):"),
    "a row too few": ("lp_pool", 2, "for u in range(th[oh + U(1)]):", "for u in range(1, th[oh + U(1)]):"),
    "steps along the row": ("lp_pool", 3, "U(v * s.step_w) * U(xs.w)", "U(v) * U(xs.w)"),
    "divisor of the rows": ("avg_pool", 2, "td[od + U(2)] * th[oh + U(2)] * tw", "td[od + U(2)] * th[oh + U(1)] * tw"),
    "rows are not joined": ("lp_pool", np.inf, "acc = join(acc, row)", "acc = row"),
}  # fmt: skip
GRAD_BUGS = {
    "a window too few": ("avg_pool_grad", 2, "                    row = U(plane + U(od) * U(ys.d) + U(oh) * U(ys.h))\n                    for v in range(cw[w], cw[U(w + U(1))]):", "                    row = U(plane + U(od) * U(ys.d) + U(oh) * U(ys.h))\n                    for v in range(cw[w] + 1, cw[U(w + U(1))]):"),  # noqa: E501
    "divisor of another row": ("avg_pool_grad", 2, "th[U(oh * 3 + 2)]", "th[2]"),
    "dy of the first row": ("avg_pool_grad", 2, "acc += dy[U(row + U(ow) * U(ys.w))] / share", "acc += dy[U(plane + U(ow) * U(ys.w))] / share"),  # noqa: E501
    "norm of another window": ("lp_pool_grad", 2, "slope(value, y[o], p)", "slope(value, y[i], p)"),
    "slope of x for y": ("lp_pool_grad", 3, "slope(value, y[o], p)", "slope(y[o], value, p)"),
    "windows of the row above": ("lp_pool_grad", 2, "U(ch[U(u)]) * U(ys.h)", "U(ch[h]) * U(ys.h)"),
    "smallest index too large": ("max_pool_grad", 2, "if index >= 0 and (least < 0 or index < least):", "if index >= 0:"),  # noqa: E501
    "largest index of the last": ("max_pool_grad", 2, "most = max(most, index)", "most = index"),
}  # fmt: skip


@pytest.mark.parametrize("bug", SUM_BUGS)
def test_planted_bugs_in_sums(bug, tmp_path):
    op, p, old, new = SUM_BUGS[bug]
    assert_noticed(lambda: pooled(problems, op, p, mutated(pool, old, new, tmp_path)), 1e-5)


@pytest.mark.parametrize("bug", GRAD_BUGS)
def test_planted_bugs_in_gradients(bug, tmp_path, monkeypatch):
    op, p, old, new = GRAD_BUGS[bug]
    mutant = mutated(gradients, old, new, tmp_path)
    monkeypatch.setattr(mutant, "LEAST_BAND", 4)
    assert_noticed(lambda: pooled(problems, op, p, mutant), 1e-5)


# --- Winograd's filters

WINOGRAD_BUGS = {
    "a tap twice": ("w[U(at + U(k + 3) * U(filters.tap))],", "w[U(at + U(k + 6) * U(filters.tap))],"),
    "rows for columns": ("row = evaluate(v[0, j], v[1, j], v[2, j])", "row = evaluate(v[0, j], v[0, j], v[2, j])"),
    "filters of the first group": ("at = U(U(first) + g * U(filters.group) + c", "at = U(U(first) + c"),
}


@pytest.mark.parametrize("bug", WINOGRAD_BUGS)
def test_planted_bugs_in_transformed_filters(bug, tmp_path, monkeypatch):
    case = problems.Case("groups", (1, 4, 5, 4), (6, 2, 3, 3), {"groups": 2, "padding": 1})
    right([problems.convolve("conv", "winograd", case, True)])
    mutant = mutated(transforms, *WINOGRAD_BUGS[bug], tmp_path)
    monkeypatch.setattr(winograd, "make_filter", mutant.make_filter)
    assert_noticed(lambda: [problems.convolve("conv", "winograd", case, True)], 1e-4)
