"""The cost model: rates from measurements, kept in a file, and what "auto" and `explain` make of them."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from problems import OPS

import fastconv as fc
from fastconv import dispatch, measure, rates
from fastconv.errors import DataUnavailable, InvalidArgument
from fastconv.measure import tuning
from fastconv.measure.problems import conv
from fastconv.rates import Rate
from fastconv.simd.parallel import ParallelKernel
from fastconv.spec import conv_problem

ROWS = [(row, op) for row in dispatch.TABLE for op in row.ops if op in OPS and row.device == "cpu" and row.by_auto]
DEFAULT = {dispatch.rate_key(op, row): row.load().RATES[dispatch.rate_key(op, row)[0]] for row, op in ROWS}
TRUE = Rate(0.005, 0.01, 0.03, 0.02, 3000, 9000)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Rates in a folder of the test's own, forgotten afterwards."""
    monkeypatch.setattr(rates, "cache_dir", lambda: tmp_path)
    rates.tuned.cache_clear()
    dispatch.forget()
    yield tmp_path
    rates.tuned.cache_clear()
    dispatch.forget()


def measurements(rng, count=40, itemsize=4, noise=0.0):
    found = []
    for _ in range(count):
        work = (*np.exp(rng.uniform(10, 22, 4)), float(rng.integers(1, 4)), 0.0)
        seconds = TRUE.seconds(work, itemsize) * math.exp(noise * rng.standard_normal())
        found.append(tuning.Measured("direct", itemsize, work, seconds))
    return found


def test_fit_finds_the_rates(rng):
    prior = Rate(*(2.5 * rate for rate in TRUE))
    fitted = tuning.fit(measurements(rng), prior)
    for found, true in zip(fitted[:4], TRUE[:4], strict=True):
        assert found == pytest.approx(true, rel=0.05)


def test_fit_is_never_negative_and_predicts_noisy_times(rng):
    noisy = measurements(rng, noise=0.2)
    fitted = tuning.fit(noisy, TRUE)
    assert min(fitted) >= 0
    ratios = [fitted.seconds(m.work, m.itemsize) / m.seconds for m in noisy]
    assert 0.8 < np.median(ratios) < 1.25


def test_float64_operations_count_double():
    work = (1e6, 1e6, 0.0, 0.0, 0, 0)
    single, double = (TRUE.seconds(work, itemsize) - 1e-9 * TRUE.call for itemsize in (4, 8))
    assert double == pytest.approx(2 * single)


def test_rates_are_kept_and_found(own_cache):
    assert rates.tuned() == {}
    slow = Rate(*(1000 * rate for rate in DEFAULT["conv", "winograd"]))
    spec = conv_problem((8, 64, 56, 56), (64, 64, 3, 3), rank=2, padding=1)
    assert dispatch.choose_method(spec) == "winograd"
    rates.save({("conv", "winograd"): slow}, rates.tuned_file(), {"date": "today"})
    assert dispatch.rate("conv", dispatch.row_of("conv", "winograd")) == slow
    assert dispatch.rate("conv", dispatch.row_of("conv", "direct")) == DEFAULT["conv", "sweep"]
    assert dispatch.choose_method(spec) != "winograd"
    assert json.loads(rates.tuned_file().read_text())["date"] == "today"
    assert [path.name for path in own_cache.iterdir()] == [rates.tuned_file().name]


STORED = f'{{"counted": {rates.COUNTED}, "rates": %s}}'
NUMBERS = STORED % '[["conv", "fft", [1, 1, 1, 1, 1, %s]]]'


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", STORED % 3, STORED % '[["conv", "fft", ["x"]]]', '{"other": 1}', "[" * 100_000,
        STORED % '[[["conv"], "fft", [1, 1, 1, 1, 1, 1]]]', STORED % "{}", '{"counted": [], "rates": []}',
        *(NUMBERS % number for number in ("NaN", "Infinity", "-1", "1" + "0" * 400, "null")),
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_a_broken_file_means_default_rates(own_cache, text):
    rates.tuned_file().write_text(text)
    assert rates.tuned() == {}


def test_rates_of_other_counts_are_not_used(own_cache):
    rates.tuned_file().write_text(NUMBERS % 1)
    assert rates.tuned() == {("conv", "fft"): Rate(1, 1, 1, 1, 1, 1)}
    rates.tuned_file().write_text(
        (NUMBERS % 1).replace(f'"counted": {rates.COUNTED}', f'"counted": {rates.COUNTED - 1}')
    )
    rates.tuned.cache_clear()
    assert rates.tuned() == {}


def test_rates_that_cannot_be_kept(own_cache):
    (own_cache / "file").write_text("")
    for place in (own_cache, own_cache / "file" / "rates.json"):
        with pytest.raises(DataUnavailable, match="cannot be written"):
            rates.save(DEFAULT, place, {})


def test_tune_measures_fits_and_keeps(own_cache, monkeypatch):
    problems = [
        conv("conv", 1, 4, 8, size, 3, padding=1, layout=layout) for size in (9, 20) for layout in ("NHWC", "NCHW")
    ]
    problems += [conv("weight_grad", 1, 4, 8, size, 3, padding=1) for size in (9, 20)]
    monkeypatch.setattr(tuning, "calibration", lambda: problems)
    monkeypatch.setattr(tuning, "SECONDS", 0.001)
    said = []
    tuned = measure.tune(said.append)
    assert said == [str(problem) for problem in problems]
    assert {(t.kind, t.engine) for t in tuned} == set(DEFAULT)
    assert rates.load(rates.tuned_file()) == {(t.kind, t.engine): t.rate for t in tuned}
    assert all(min(t.rate) >= 0 and math.isfinite(t.error) for t in tuned)


def test_explain_tells_of_every_method():
    report = fc.explain((2, 16, 24, 24), (16, 16, 3, 3), padding=1, seconds=0.05)
    assert [c.method for c in report.candidates] == [row.method for row in dispatch.rows("conv") if row.by_auto]
    for candidate in report.candidates:
        assert candidate.reason is None
        assert candidate.predicted > 0
        assert candidate.measured > 0
        assert candidate.extra >= 0
    assert report.chosen == fc.choose_method((2, 16, 24, 24), (16, 16, 3, 3), padding=1)
    assert report.fastest in {c.method for c in report.candidates}
    text = str(report)
    assert f"auto takes {report.chosen}" in text
    assert text.count("<- auto") == 1


def test_explain_says_why_not():
    report = fc.explain((1, 4, 4, 8), (1, 1, 8, 8), layout="NHWC", seconds=0)
    reasons = {c.method: c.reason for c in report.candidates}
    assert "3x3" in reasons["winograd"]
    assert "one tap" in reasons["fft"]
    assert report.fastest is None
    assert all(c.measured is None for c in report.candidates)


def test_explain_with_prepared_weights():
    report = fc.explain((1, 32, 16, 16), (32, 32, 3, 3), prepared=True, seconds=0.02)
    assert "weights prepared" in str(report)
    alone = fc.explain((1, 32, 16, 16), (32, 32, 3, 3), seconds=0)
    for ready, other in zip(report.candidates, alone.candidates, strict=True):
        assert ready.predicted <= other.predicted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "pool"}, "op is 'pool'"),
        ({"x_shape": (3, 3)}, "three to five axes"),
        ({"w_shape": (4, 3, 1, 1)}, "3 input channels"),
        ({"op": "conv_weight_grad", "prepared": True}, "prepared goes with op 'conv'"),
        ({"op": "max_pool", "w_shape": 2, "prepared": True}, "prepared goes with op 'conv'"),
        ({"op": "avg_pool", "w_shape": 2, "groups": 2}, "groups is 2 .* avg_pool has neither"),
        ({"op": "max_pool", "w_shape": 9}, "output would be empty"),
        ({"op": "max_pool", "w_shape": 2, "x_shape": (3, 3)}, "three to five axes"),
    ],
)
def test_explain_on_bad_input(change, message):
    with pytest.raises(InvalidArgument, match=message):
        fc.explain(**{"x_shape": (1, 4, 8, 8), "w_shape": (4, 4, 3, 3), "seconds": 0, **change})


@pytest.mark.parametrize(
    ("op", "size", "options", "kernel"),
    [
        ("max_pool", 2, {}, "reduce_pairs"),
        ("max_pool", 3, {"stride": 2, "padding": 1}, "reduce_pairs"),
        ("max_pool", (1, 33), {}, "reduce_regions"),
        ("avg_pool", 5, {"stride": 3}, "reduce_rows"),
        ("max_pool", 2, {"layout": "NHWC"}, "largest_last"),
        ("max_pool_grad", 2, {}, "max_grad"),
        ("avg_pool_grad", 2, {}, "avg_grad_pairs"),
        ("avg_pool_grad", 3, {"stride": 1, "dilation": 2}, "avg_grad_first"),
        ("avg_pool_grad", 2, {"layout": "NHWC"}, "avg_grad_last"),
    ],
)
def test_explain_names_the_kernel_that_pools(op, size, options, kernel, monkeypatch):
    """The one that runs when the call is made, and no other."""
    ran = []
    plain = ParallelKernel.__call__
    monkeypatch.setattr(ParallelKernel, "__call__", lambda self, *args: (ran.append(self.__name__), plain(self, *args)))
    report = fc.explain((2, 3, 40, 40), size, op=op, seconds=0.01, **options)
    (candidate,) = report.candidates
    assert candidate.kernel.partition(":")[0] == kernel
    assert set(ran) - {"argmax_rows", "argmax_last"} == {kernel}
    assert candidate.measured > 0 and candidate.extra >= 0 and candidate.predicted is None
    assert report.chosen == "direct" and kernel in str(report)


def test_explain_a_pool_of_a_long_axis():
    report = fc.explain((1, 1, 2_000_000), 2, op="max_pool", seconds=0)
    assert report.candidates[0].kernel.endswith("in strips")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("op", ["max_pool", "avg_pool", "max_pool_grad", "avg_pool_grad"])
def test_memory_of_a_pool(op, layout):
    """What is counted is what NumPy is asked for."""
    problem = measure.parse_problem(f"{op}:n2c3h40w4000_k7s3p0", layout=layout)
    with fc.threads(1):
        counted = dispatch.work(problem.spec, "direct").extra
        call = measure.our_call(problem, measure.make_arrays(problem))
        call()
        tracemalloc.start()
        try:
            result = call()
            peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        finally:
            tracemalloc.stop()
    assert counted <= peak < counted + 8000


def test_explain_names_the_engines_of_convolutions():
    report = fc.explain((1, 32, 16, 16), (32, 32, 3, 3), seconds=0)
    kernels = {c.method: c.kernel for c in report.candidates}
    assert kernels["winograd"].startswith("F(") and kernels["fft"].startswith("tiles of ")
    assert kernels["direct"].startswith("panels: ")
    assert fc.explain((1, 1, 64, 64), (1, 1, 3, 3), seconds=0).candidates[-1].kernel.startswith("planar: ")
    for op in ("conv_input_grad", "conv_weight_grad"):
        assert all(c.kernel for c in fc.explain((1, 8, 16, 16), (8, 8, 3, 3), op=op, seconds=0).candidates[:2])
