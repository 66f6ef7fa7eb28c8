"""Long axes: pools in strips are the pools they are parts of, and neither tables nor caches grow with them."""

import gc
import tracemalloc

import numpy as np
import pytest
from child import run_script

import fastconv as fc
from fastconv.cpu import direct, lowering, stretches
from fastconv.cpu.pool import strips
from fastconv.kept import Kept, kept, nbytes
from fastconv.spec import conv_problem
from fastconv.windows import Adaptive, Sliding, cover_of

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


@pytest.fixture
def short_strips(monkeypatch):
    """A function that makes every axis a long one."""

    def shorten():
        for name, value in (("LONGEST", 5), ("LEAST", 3), ("TOGETHER", 1)):
            monkeypatch.setattr(strips, name, value)

    return shorten


def pools(rng, count):
    """Random pools: rank, layout, x, and arguments."""
    for _ in range(count):
        rank = int(rng.integers(1, 4))
        last = bool(rng.integers(2))
        size = tuple(int(n) for n in rng.integers(6, (60, 20, 9)[rank - 1], rank))
        shape = (
            (int(rng.integers(1, 3)), *size, 3) if last else (int(rng.integers(1, 3)), int(rng.integers(1, 3)), *size)
        )
        window = tuple(int(k) for k in rng.integers(1, 5, rank))
        padding = tuple((int(rng.integers(0, k)), int(rng.integers(0, k))) for k in window)
        options = {
            "stride": tuple(int(s) for s in rng.integers(1, 7, rank)),
            "dilation": int(rng.integers(1, 3)) if min(size) > 6 else 1,
            "padding": padding,
            "ceil_mode": bool(rng.integers(2)),
            "layout": LAYOUTS[rank][last],
        }
        yield rank, rng.standard_normal(shape), window, options


def results(rank, x, window, options, dys):
    """Everything that pools, and their gradients."""
    layout = {"layout": options["layout"]}

    def call(name):
        return getattr(fc, name.replace("pool", f"pool{rank}d"))

    y, where = call("max_pool")(x, window, return_indices=True, **options)
    yield from (y, where, call("max_pool")(x.astype(int), window, **options))
    yield call("max_pool_grad")(dys(y), where, x.shape, **layout)
    for include in (False, True):
        yield call("avg_pool")(x, window, count_include_pad=include, **options)
        yield call("avg_pool_grad")(dys(y), x.shape, window, count_include_pad=include, **options)
    yield call("avg_pool_grad")(dys(y), x.shape, window, divisor=3.5, **options)
    for p in (1, 2, 3, np.inf):
        norm = call("lp_pool")(x, window, p=p, **options)
        yield norm
        yield call("lp_pool_grad")(dys(y), x, norm, window, p=p, **options)
    for size in (1, 7, None):
        y, where = call("adaptive_max_pool")(x, size, return_indices=True, **layout)
        yield from (y, where)
        yield call("adaptive_avg_pool")(x, size, **layout)
        yield call("adaptive_avg_pool_grad")(dys(y), x.shape, **layout)


def test_strips_are_parts_of_the_whole(rng, short_strips):
    cases = list(pools(rng, 25))

    def all_results():
        for case in cases:
            draw = np.random.default_rng(0)
            yield from results(*case, lambda y, draw=draw: draw.standard_normal(y.shape))

    expected = list(all_results())
    short_strips()
    for whole, parts in zip(expected, all_results(), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["max_pool1d", "avg_pool1d"])
def test_a_long_signal(name, rng):
    """Against NumPy, over several strips of today's length."""
    x = rng.standard_normal((1, 1, 400_001)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[0, 0], 1, constant_values=np.nan), 3)[::2]
    expected = (np.nanmax if name.startswith("max") else np.nanmean)(windows, axis=1)
    options = {} if name.startswith("max") else {"count_include_pad": False}
    y = getattr(fc, name)(x, 3, stride=2, padding=1, **options)
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-6, atol=1e-6)


def rules():
    yield Sliding(50, -3, 2, 4, 1, 97, 0, 97)
    yield Sliding(50, -3, 2, 4, 1, 97, -3, 101)
    yield Sliding(31, -4, 3, 3, 2, 90, -4, 95)
    yield Sliding(12, 0, 9, 2, 1, 101, 0, 101)
    yield Adaptive(13, 0, 101, 13, 101, 0)
    yield Adaptive(101, 0, 13, 101, 13, 0)


@pytest.mark.parametrize("rule", list(rules()), ids=repr)
def test_rules_of_parts_tell_the_same_windows(rule):
    """Element by element: what a part's table says, moved to its place, is what the whole one says."""
    step = rule.dilation

    def taps(table, shift=0):
        return [({first + shift + t * step for t in range(count)}, share) for first, count, share in table]

    whole = taps(rule.table())
    for first in range(0, rule.out, 5):
        last = min(rule.out, first + 5)
        part, low, high = rule.outputs(first, last)
        assert 0 <= low < high <= rule.size and part.out == last - first
        assert taps(part.table(), low) == whole[first:last]
    for low in range(0, rule.size, 7):
        high = min(rule.size, low + 7)
        part, first, last = rule.elements(low, high)
        inside = set(range(low, high))
        assert taps(part.table(), low) == [(held & inside, share) for held, share in whole[first:last]]
        assert not any(held & inside for held, _ in whole[:first] + whole[last:])


def test_adaptive_windows_that_lie_as_sliding_ones_do():
    """Wherever `spacing` tells how, and for all of the remainders 0, 1 and parts - 1."""
    for size in range(1, 30):
        for out in range(1, 30):
            rule = Adaptive(out, 0, size, out, size, 0)
            table, lie, run = rule.table(), rule.spacing(), rule.inner()
            assert rule.kernel == table[:, 1].max()
            assert lie is not None or out > size or size % out not in (0, 1, out - 1)
            if lie is not None:
                like = Sliding(out, -lie.before, lie.stride, lie.kernel, 1, size, 0, size)
                assert (like.table()[:, :2] == table[:, :2]).all()
            inside = table[run.first : run.last]
            assert len(inside) and (inside[:, 1:] == inside[0, 1:]).all()
            assert (np.diff(inside[:, 0]) == run.stride).all()


@pytest.mark.parametrize("rule", list(rules())[:4], ids=repr)
def test_windows_that_no_border_cuts(rule):
    run, table = rule.inner(), rule.table()
    whole = (table[:, 1] == rule.kernel) & (table[:, 2] == rule.kernel)
    assert np.flatnonzero(whole).tolist() == list(range(run.first, run.last))


def test_which_windows_hold_an_element():
    for rule in rules():
        cover, table = cover_of(rule), rule.table()
        for h in range(rule.size):
            first, count = table[:, 0], table[:, 1]
            tap, between = np.divmod(h - first, rule.dilation)
            holders = np.flatnonzero((between == 0) & (tap >= 0) & (tap < count))
            assert cover[cover[h] : cover[h + 1]].tolist() == holders.tolist()


def test_inner_strips_share_their_tables():
    short, long = Sliding(1000, -1, 2, 3, 1, 2000, -1, 2001), Sliding(1300, -1, 2, 3, 1, 2600, -1, 2600)
    inner = short.outputs(100, 200)[0]
    assert inner == short.outputs(500, 600)[0] == long.outputs(700, 800)[0]
    assert inner != short.outputs(0, 100)[0]


def test_kept_results_are_bounded_in_bytes():
    made = []

    @kept
    def table(n):
        made.append(n)
        return np.zeros(n, np.uint8)

    assert isinstance(table, Kept)
    table.limit = 1000_000
    assert table(1000) is table(1000) and made == [1000]
    assert table(600_000) is not table(600_000)  # too large to keep
    for n in range(100_000, 100_030):
        table(n)
    assert table.nbytes <= table.limit
    assert table(1000) is not None and made[-1] == 1000  # the oldest went first
    table.cache_clear()
    assert table.nbytes == 0


def test_bytes_of_what_is_kept():
    a = np.zeros(1000)
    assert nbytes((a, a[1:], [a], "text", 3, None)) == 8000
    assert nbytes({"no": "array"}) == 0


# Convolutions by direct and im2col


@pytest.mark.parametrize("method", ["direct", "im2col"])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("last", [False, True])
def test_convolutions_in_strips(method, channels, last, rng, monkeypatch):
    """Strips of seven columns give the bits of the whole, but for sums over all columns."""

    def everything():
        draw = np.random.default_rng(1)
        for kernel, options in (
            (3, {"padding": 1}),
            (5, {"padding": ((3, 9),), "padding_mode": "reflect"}),
            (2, {"stride": 3, "dilation": 4, "padding": 2, "padding_mode": "wrap"}),
            (1, {}),
            (4, {"stride": 5, "padding": 3, "padding_mode": "edge"}),
        ):
            shape, weights = (2, channels, 101), (3, channels, kernel)
            x, w, b = draw.standard_normal(shape), draw.standard_normal(weights), draw.standard_normal(3)
            if last:
                x, w = x.transpose(0, 2, 1).copy(), w.transpose(2, 1, 0).copy()
                options["layout"] = "NWC"
            options["method"] = method
            y = fc.conv1d(x, w, b, **options)
            planned = fc.plan_conv1d(w, x.shape, b, **options)(x)
            np.testing.assert_array_equal(planned, y)
            yield y
            yield fc.conv1d_input_grad(y, w, x.shape, **options)
            yield fc.conv1d_weight_grad(x, y, w.shape, **options)
        image = draw.standard_normal((2, channels, 9, 40))
        w = draw.standard_normal((channels, 1, 3, 3))
        y = fc.conv2d(image, w, padding=1, groups=channels, method=method, activation="relu")
        yield y
        yield fc.conv2d_input_grad(y, w, image.shape, padding=1, groups=channels, method=method)
        yield fc.conv2d_weight_grad(image, y, w.shape, padding=1, groups=channels, method=method)

    def forget():
        for made in (direct._forward, direct._backward, direct._weight_stretches):
            made.cache_clear()

    forget()
    whole = list(everything())
    monkeypatch.setattr(stretches, "LONGEST", 7)
    forget()
    try:
        strips = list(everything())
    finally:
        monkeypatch.undo()
        forget()
    for a, b in zip(strips, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
@pytest.mark.parametrize("method", ["direct", "im2col", "fft", "auto"])
def test_a_long_signal_needs_no_table_of_its_length(method, mode):
    n, w = 4_000_000, np.ones((2, 1, 9), np.float32)
    x = np.ones((1, 1, n), np.float32)
    y = np.ones((1, 2, n), np.float32)
    options = {"padding": 4, "padding_mode": mode, "method": method}
    calls = [lambda: fc.conv1d(x, w, **options), lambda: fc.conv1d_weight_grad(x, y, w.shape, **options)]
    if mode == "zeros":  # else the gradient with its border is made before it is folded
        calls.append(lambda: fc.conv1d_input_grad(y, w, x.shape, **options))
    for call in calls:
        gc.collect()
        tracemalloc.start()
        try:
            result = call()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak - result.nbytes < 24 << 20, f"{(peak - result.nbytes) / 2**20:.0f} MiB; a table is 31"


def test_strips_without_a_border_are_one_problem(monkeypatch):
    monkeypatch.setattr(stretches, "LONGEST", 10)
    problem = conv_problem((1, 1, 100), (1, 1, 3), rank=1, padding=1, layout="NCW", dtype="float32")
    parts = stretches.stretches(lowering.lower_conv(problem))
    assert [part.y_start for part in parts] == list(range(0, 100, 10))
    assert len({id(part.low) for part in parts[1:-1]}) == 1 and len({id(part.low) for part in parts}) == 3
    assert [part.x_start for part in parts] == [0, *range(9, 80, 10), 0]


GROWTH = """
import numpy as np
import fastconv as fc

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def calls(n):
    x = np.ones((1, 1, n), np.float32)
    image = np.ones((1, 1, 3, n // 3), np.float32)
    w = np.ones((1, 1, 5), np.float32)
    y, where = fc.max_pool1d(x, 3, stride=2, return_indices=True)
    fc.max_pool1d_grad(y, where, x.shape)
    fc.max_pool2d(image, 2)
    fc.avg_pool1d_grad(fc.avg_pool1d(x, 5, stride=1), x.shape, 5, stride=1)
    fc.lp_pool1d_grad(y, x, fc.lp_pool1d(x, 3, stride=2), 3, stride=2)
    fc.adaptive_avg_pool1d(x, n // 7)
    fc.adaptive_max_pool1d(x, n // 5)
    fc.global_avg_pool1d(x)
    fc.unfold1d(x, 3) if hasattr(fc, "unfold1d") else None
    for mode in ("zeros", "reflect"):
        options = {"padding": 2, "padding_mode": mode}
        for method in ("direct", "im2col", "fft"):
            fc.conv1d(x, w, method=method, **options)
            fc.conv1d_input_grad(x, w, x.shape, method=method, **options)
            fc.conv1d_weight_grad(x, x, w.shape, method=method, **options)
        fc.conv1d(x, w, **options)
        fc.plan_conv1d(w, x.shape, **options)(x)
    fc.conv1d(x, w[..., :1], method="direct")
    fc.conv2d(image, np.ones((1, 1, 3, 3), np.float32), padding=1, method="winograd")

for n in range(150_000, 150_000 + int(sys.argv[2])):
    calls(n)
before = resident()
for n in range(300_000, 300_000 + int(sys.argv[3])):
    calls(n)
grown = resident() - before
assert grown < int(sys.argv[4]) << 20, f"{grown / 2**20:.0f} MiB more"
"""


@pytest.mark.slow
def test_changing_long_shapes_keep_memory_flat():
    """Every function, two hundred lengths: after the caches have filled nothing grows."""
    run_script({}, "import sys\n" + GROWTH, "100", "200", "64")


def test_changing_long_pools_keep_little():
    """Sixty lengths near two million: what stays is a few megabytes, where it was 5.5 GB."""
    script = """
import numpy as np
import fastconv as fc

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

x = np.ones((1, 1, 2_000_100), np.float32)
fc.max_pool1d(x[..., :200_000], 2)
before = resident()
for n in range(2_000_000, 2_000_060):
    fc.max_pool1d(x[..., :n], 2)
assert resident() - before < 50 << 20, (resident() - before) / 2**20
"""
    run_script({}, script)
