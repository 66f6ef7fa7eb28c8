"""Every small problem there is: sizes 1-3, filters of 1-2 taps, strides 1-3, padding 0-1 at either side, dilation 1-2.

What a fast path assumes ("stride 1 and one tap: rows adjoin") fails for few combinations, which a list of cases easily
misses. All operators, plans included, in both layouts and by every method that serves, are held against sums over 0/1
tables of each axis. The data are small whole numbers: what direct and im2col return is exact. Every run tries a sample;
the slow ones all images, all volumes under filters of one tap, and some of those under larger filters.
"""

import itertools
from functools import cache

import numpy as np
import pytest
from naive import to_first, to_last, weights_to_first, weights_to_last
from problems import LAYOUTS, function
from tolerances import EXACT

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import Unsupported

CHANNELS = ((1, 1, 1, 1), (2, 3, 2, 1), (2, 2, 2, 2), (1, 2, 4, 2), (2, 1, 9, 1), (1, 3, 1, 1))  # N, C, O, groups
PADDINGS = tuple(itertools.product(range(2), repeat=2))


@cache
def meets(n, k, s, d, padding):
    """1 where output i of an axis meets element h with tap u: (out, k, n)."""
    before, after = padding
    out = (n + before + after - d * (k - 1) - 1) // s + 1
    table = np.zeros((out, k, n))
    for i, u in itertools.product(range(out), range(k)):
        if 0 <= i * s + u * d - before < n:
            table[i, u, i * s + u * d - before] = 1
    return table


@cache
def axes():
    """(n, k, s, d, padding) of every axis with at least one output; the dilation of one tap means nothing."""
    every = itertools.product((1, 2, 3), (1, 2), (1, 2, 3), (1, 2), PADDINGS)
    return [a for a in every if a[0] + sum(a[4]) > a[3] * (a[1] - 1) and (a[1] > 1 or a[3] == 1)]


def summed(op, tables, first, second, groups):
    """y of (x, w), dx of (dy, w) or dw of (x, dy), channels-first; the other operand's channels are in groups."""
    names = [("abc"[i], "def"[i], "ghi"[i]) for i in range(len(tables))]  # output, tap, input
    place = {"x": "nq" + "".join(h for _, _, h in names), "w": "oq" + "".join(u for _, u, _ in names)}
    place["y"] = "no" + "".join(i for i, _, _ in names)
    terms = {"conv": "xw->y", "conv_input_grad": "yw->x", "conv_weight_grad": "xy->w"}[op]
    text = ",".join([place[terms[0]], place[terms[1]], *map("".join, names)]) + "->" + place[terms[-1]]
    parts = [
        np.einsum(text, a, b, *tables, optimize=len(tables) == 3)
        for a, b in zip(np.split(first, groups, 1), np.split(second, groups, 0 if "w" in terms[:2] else 1), strict=True)
    ]
    return np.concatenate(parts, 0 if op == "conv_weight_grad" else 1)


def check(number, problem):
    """One problem by all operators, layouts and methods; its number chooses channels and data."""
    N, C, O, groups = CHANNELS[number % len(CHANNELS)]  # noqa: E741
    n, k, s, d, padding = zip(*problem, strict=True)
    rank, tables = len(problem), [meets(*axis) for axis in problem]
    rng = np.random.default_rng(number)
    x, w = rng.integers(-4, 5, (N, C, *n)).astype(float), rng.integers(-4, 5, (O, C // groups, *k)).astype(float)
    dy = rng.integers(-4, 5, (N, O, *(len(t) for t in tables))).astype(float)
    options = {"stride": s, "dilation": d, "padding": padding, "groups": groups}
    y, dx, dw = (
        summed(op, tables, a, b, groups)
        for op, a, b in (("conv", x, w), ("conv_input_grad", dy, w), ("conv_weight_grad", x, dy))
    )
    extra = tuple(n_ - (t.shape[0] - 1) * s_ - d_ * (k_ - 1) - 1 + sum(p) for t, (n_, k_, s_, d_, p) in zip(
        tables, problem, strict=True))  # fmt: skip
    cuts = all(0 <= e < max(s_, d_) for e, s_, d_ in zip(extra, s, d, strict=True))
    for last, method in itertools.product((False, True), (*dispatch.METHODS,)):
        a, b, c = (to_last(x), weights_to_last(w), to_last(dy)) if last else (x, w, dy)
        choice = {**options, "layout": LAYOUTS[rank][last], "method": method}
        transposed = getattr(fc, f"conv_transpose{rank}d")
        plan = getattr(fc, f"plan_conv{rank}d")
        shapes = [to_last(x).shape, weights_to_last(w).shape] if last else [x.shape, w.shape]
        calls = [
            (y, lambda: function("conv", rank)(a, b, **choice)),  # noqa: B023 - called before the loop goes on
            (y, lambda: plan(b, a.shape, **choice)(a)),  # noqa: B023
            (dx, lambda: function("conv_input_grad", rank)(c, b, shapes[0], **choice)),  # noqa: B023
            (dw, lambda: function("conv_weight_grad", rank)(a, c, shapes[1], **choice)),  # noqa: B023
        ]
        if cuts:
            calls.append((dx, lambda: transposed(c, b, output_padding=extra, **choice)))  # noqa: B023
        for place, (expected, call) in enumerate(calls):
            try:
                result = call()
            except Unsupported:
                assert method != "auto"
                continue
            if last:
                result = weights_to_first(result) if place == 3 else to_first(result)
            tolerance = 0 if method in EXACT else 1e-11
            np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance, err_msg=f"{place} {choice}")


def sample(rank, taps, step):
    """Every `step`-th problem of a rank whose filters have at most `taps` taps along each axis, with its number."""
    some = [axis for axis in axes() if axis[1] <= taps]
    return itertools.islice(enumerate(itertools.product(some, repeat=rank)), 0, None, step)


@pytest.mark.parametrize(
    ("rank", "taps", "step"),
    [
        (1, 2, 1),
        (2, 1, 13),
        (2, 2, 197),
        (3, 1, 307),
        (3, 2, 20011),
        pytest.param(2, 2, 1, marks=pytest.mark.slow),
        pytest.param(3, 1, 1, marks=pytest.mark.slow),
        pytest.param(3, 2, 151, marks=pytest.mark.slow),
    ],
)
def test_every_small_problem(rank, taps, step):
    for number, problem in sample(rank, taps, step):
        check(number, problem)
