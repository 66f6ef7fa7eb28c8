"""fastconv.measure: problem strings, the check before timing, the protocol, ratios."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import naive
import numpy as np
import pytest

from fastconv import measure
from fastconv.errors import FastconvError, InvalidArgument
from fastconv.measure import Entry, Problem, Rival, Row, Timing, load, parse_problem, timing
from fastconv.measure.load import Load
from fastconv.measure.problems import conv, pool
from fastconv.measure.rivals import Candidate
from fastconv.measure.timing import Disturbance
from fastconv.spec import LAYOUTS

QUICK = {"seconds": 0.01, "seed": 3}
OPTIONS = [  # (C, O, size, kernel, options): everything the oracle has to get right
    (2, 4, (7,), (3,), {"stride": 2, "padding": ((2, 1),)}),
    (3, 2, (6, 7), (3, 2), {"padding": ((1, 2), (0, 1)), "dilation": (1, 2)}),
    (4, 6, (8, 5), (3, 3), {"groups": 2, "stride": (2, 1), "padding": 1}),
    (2, 3, (5, 6), (3, 3), {"padding": 2, "padding_mode": "reflect"}),
    (2, 3, (5, 6), (3, 3), {"padding": 2, "padding_mode": "wrap", "stride": 2}),
    (2, 2, (4, 5, 6), (2, 3, 1), {"padding": 1, "stride": (1, 2, 1)}),
    (1, 1, (3, 3), (5, 5), {"padding": 4}),
]


# Problem strings


@pytest.mark.parametrize("name", measure.SUITES)
@pytest.mark.parametrize("tiny", [False, True])
def test_every_suite_can_be_read_back(name, tiny):
    problems = measure.suite(name, tiny=tiny)
    assert problems
    assert len(set(problems)) == len(problems)
    for problem in problems:
        assert parse_problem(str(problem), layout=problem.layout, dtype=problem.spec.dtype) == problem


def test_layers_begin_with_those_of_the_target():
    assert [problem.label for problem in measure.suite("layers")][:8] == [
        "64×[32→32@28 3×3]",
        "64×[32→64@14 3×3]",
        "64×[64→64@14 3×3]",
        "1×[64→64@112 3×3]",
        "8×[64→64@56 3×3]",
        "8×[128→128@28 3×3]",
        "8×[256→256@14 3×3]",
        "8×[512→512@7 3×3]",
    ]
    assert {problem.layout[-1] for problem in measure.suite("layers")} == {"C"}
    assert {problem.layout for problem in measure.suite("first")} == {"NCHW"}
    assert {problem.spec.dtype for problem in measure.suite("double")} == {"float64"}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("C", "O", "size", "kernel", "options"), OPTIONS)
def test_strings_carry_every_option(C, O, size, kernel, options, last):
    layout = LAYOUTS[len(size)][last]
    problem = conv("weight_grad", 2, C, O, size, kernel, layout=layout, **options)
    assert parse_problem(str(problem), layout=layout) == problem


def test_defaults_of_a_string():
    problem = parse_problem("n1c2w9_o3k3")
    assert (problem.op, problem.spec.rank, problem.spec.stride, problem.spec.padding) == (
        "conv",
        1,
        (1,) * 3,
        ((0, 0),) * 3,
    )
    assert parse_problem("n1c2h9w9_k3").spec.stride == (1, 3, 3)
    assert parse_problem("n1c2h9w9_k3").op == "max_pool"
    assert parse_problem("n1c2h9w8_o3k3s2psame").spec.out == (1, 5, 4)
    assert parse_problem("n1c2h9w9_o3k3", dtype="float64").spec.dtype == "float64"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "conv:n1c2h9w9_k3",
        "max_pool:n1c2h9w9_o2k3",
        "pool:n1c2h9w9_k3",
        "n1c2d4w9_o2k3",
        "n1c2h9w9_o2k3x3x3",
        "n1c2h9w9_o2k3s0",
        "n1c2h9w9_o2k30",
        "n1c2h9w9_o2k3g3",
        "n1c2h9w9_o2k3g0",
        "n1c0h9w9_o2k3",
        "n1c2h9w9_o2k3_zigzag",
        "max_pool:n1c2h9w9_k3s3p3",
        "avg_pool:n1c2h9w9_k3g2",
    ],
)
def test_bad_problem_strings(text):
    with pytest.raises(InvalidArgument):
        parse_problem(text)


def test_unknown_suite():
    with pytest.raises(InvalidArgument, match="layers"):
        measure.suite("everything")


# The check before timing


def oracle(problem, arrays):
    """The whole result by tests/naive.py's loops, in the problem's layout."""
    spec = problem.spec
    first = 3 - spec.rank
    last = spec.channels_last
    x, w, dy = (naive.wide(arrays[name]) for name in ("x", "w", "dy"))
    if last:
        x, w, dy = naive.to_first(x), naive.weights_to_first(w), naive.to_first(dy)
    plain = {
        "stride": spec.stride[first:],
        "dilation": spec.dilation[first:],
        "padding": spec.padding[first:],
        "padding_mode": spec.padding_mode,
        "groups": spec.groups,
    }
    if problem.op == "conv":
        y = naive.conv(x, w, **plain)
        return naive.to_last(y) if last else y
    if problem.op == "input_grad":
        dx = naive.conv_input_grad(dy, w, spec.size[first:], **plain)
        return naive.to_last(dx) if last else dx
    dw = naive.conv_weight_grad(x, dy, spec.kernel[first:], **plain)
    return naive.weights_to_last(dw) if last else dw


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("op", ["conv", "input_grad", "weight_grad"])
@pytest.mark.parametrize(("C", "O", "size", "kernel", "options"), OPTIONS)
def test_expected_values_are_those_of_the_loops(op, C, O, size, kernel, options, last):
    layout = LAYOUTS[len(size)][last]
    problem = conv(op, 2, C, O, size, kernel, layout=layout, dtype="float64", **options)
    arrays = measure.make_arrays(problem)
    expected = measure.expect(problem, arrays, samples=200)
    assert expected.error(oracle(problem, arrays)) < 1e-13


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
def test_expected_values_of_pools(op, layout):
    problem = pool(op, 2, 3, (7, 6), (3, 2), stride=2, padding=((1, 0), (1, 1)), layout=layout, dtype="float64")
    arrays = measure.make_arrays(problem)
    x = naive.to_first(arrays["x"]) if layout == "NHWC" else arrays["x"]
    fill = -np.inf if op == "max_pool" else 0.0
    xp = np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 1)), constant_values=fill)
    reduce = np.max if op == "max_pool" else np.mean
    _, OH, OW = problem.spec.out
    y = np.stack(
        [
            np.stack([reduce(xp[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2], axis=(2, 3)) for j in range(OW)], -1)
            for i in range(OH)
        ],
        -2,
    )
    expected = measure.expect(problem, arrays, samples=200)
    assert expected.error(naive.to_last(y) if layout == "NHWC" else y) < 1e-14


def test_wrong_results_are_noticed():
    problem = conv("conv", 1, 2, 3, (6, 6), (3, 3))
    arrays = measure.make_arrays(problem)
    expected = measure.expect(problem, arrays)
    right = oracle(problem, arrays)
    assert expected.error(right) < expected.tolerance
    assert expected.error(right * 1.001) > expected.tolerance
    assert expected.error(right[..., ::-1]) > expected.tolerance
    assert expected.error(right[:, :-1]) == math.inf
    holed = right.copy()
    holed[tuple(axis[0] for axis in expected.positions)] = np.nan
    assert expected.error(holed) == math.inf


# Comparing


def rival(name, *candidates):
    return Rival(name, "numpy", "pip install numpy", lambda problem, arrays, threads: list(candidates))


@pytest.mark.parametrize("problem", measure.suite("quick", tiny=True), ids=str)
def test_compare_times_everyone(problem):
    arrays = measure.make_arrays(problem, QUICK["seed"])
    right = measure.our_call(problem, arrays)()
    copy = Candidate("copy", lambda: right, np.asarray)
    row = measure.compare(problem, [rival("echo", copy)], **QUICK)
    assert not row.wrong
    assert row.best("echo").variant == "copy"
    for method, entry in row.ours.items():
        assert entry.error <= row.tolerance
        assert entry.timing.minimum > 0
        assert row.ratio(method, "echo") < 1
    assert row.ours["auto"].variant == row.chosen
    json.dumps(row.as_dict(), allow_nan=False)


def test_a_wrong_rival_is_not_timed():
    problem = conv("conv", 1, 2, 3, (6, 6), (3, 3))
    calls = []

    def call():
        calls.append(1)
        return np.zeros(problem.spec.y_shape, np.float32)

    row = measure.compare(problem, [rival("liar", Candidate("zeros", call, np.asarray))], **QUICK)
    assert [entry.who for entry in row.wrong] == ["liar"]
    assert len(calls) == 1
    assert row.best("liar") is None
    assert row.ratio("auto", "liar") is None
    assert measure.summary([row]) == {}


def test_errors_between_the_samples_are_noticed():
    problem = conv("conv", 2, 2, 16, (20, 20), (3, 3))
    right = measure.our_call(problem, measure.make_arrays(problem, QUICK["seed"]))()
    sampled = measure.expect(problem, measure.make_arrays(problem, QUICK["seed"])).positions
    unseen = np.ones(right.shape, bool)
    unseen[sampled] = False
    bad = right.copy()
    bad[tuple(np.argwhere(unseen)[0])] += 1
    row = measure.compare(problem, [rival("sly", Candidate("almost", lambda: bad, np.asarray))], **QUICK)
    assert [entry.who for entry in row.wrong] == ["sly"]


def test_a_method_that_cannot_serve_is_a_note():
    row = measure.compare(conv("conv", 1, 2, 3, (6, 6), (1, 1)), methods=["auto", "fft"], **QUICK)
    assert row.ours["fft"].timing is None
    assert "fft" in row.ours["fft"].note
    assert row.ours["auto"].timing is not None


def agree(name, problems):
    """Every way of a rival gives what was expected; how many of the problems it does."""
    served = 0
    for problem in problems:
        arrays = measure.make_arrays(problem)
        expected = measure.expect(problem, arrays)
        candidates = measure.RIVALS[name].candidates(problem, arrays, os.cpu_count())
        if isinstance(candidates, str):
            assert candidates
            continue
        served += 1
        for candidate in candidates:
            assert expected.error(candidate.to_numpy(candidate.call())) <= expected.tolerance, (problem, candidate)
            assert not candidate.prepared or problem.op == "conv"
    return served


@pytest.mark.parametrize("name", [name for name in measure.RIVALS if name != "keras"])
def test_rivals_agree(name):
    if not measure.RIVALS[name].installed():
        pytest.skip(f"{name} is not installed")
    some = [
        conv("conv", 2, C, O, size, kernel, layout=LAYOUTS[len(size)][last], **options)
        for last in (False, True)
        for C, O, size, kernel, options in OPTIONS
    ]
    assert agree(name, measure.suite("quick", tiny=True))
    assert agree(name, some) or name in ("scipy", "opencv")


def test_keras_has_models_only():
    assert "train" in measure.RIVALS["keras"].candidates(parse_problem("n1c2w9_o3k3"), {}, 1)


def test_rivals_that_are_not_there(monkeypatch):
    monkeypatch.setitem(
        measure.RIVALS, "torch", Rival("torch", "no_such_module", "pip install torch", lambda *_: "never")
    )
    found, missing = measure.find_rivals(("torch",))
    assert (found, [rival.name for rival in missing]) == ([], ["torch"])
    with pytest.raises(InvalidArgument, match="opencv"):
        measure.find_rivals(("tensorflow",))


def test_a_rival_that_needs_another_module():
    assert Rival("r", "numpy", "", lambda *_: "never", needs=("json",)).installed()
    assert not Rival("r", "numpy", "", lambda *_: "never", needs=("no_such_module",)).installed()


# Rivals that compile a model first, with modules in their place that note how they are called


def answer(problem, arrays):
    """The right result, with channels first."""
    y = measure.our_call(problem, arrays)()
    return np.moveaxis(y, -1, 1) if problem.spec.channels_last else y


class Recorder:
    """Stands in for a module: `calls` holds the arguments of each call under its dotted name."""

    def __init__(self, calls, name, answers):
        self.__dict__.update(_calls=calls, _name=name, _answers=answers)

    def __getattr__(self, name):
        return Recorder(self._calls, f"{self._name}.{name}", self._answers)

    def __setattr__(self, name, value):
        self._calls[f"{self._name}.{name}"] = value

    def __getitem__(self, key):
        return self._answers.get(self._name, self)

    def __call__(self, *arguments, **options):
        self._calls[self._name] = arguments, options
        return self._answers.get(self._name, Recorder(self._calls, f"{self._name}()", self._answers))


STRIDED = conv("conv", 2, 4, 6, (8, 5), (3, 3), groups=2, stride=(2, 1), padding=((1, 2), (0, 1)), dilation=(1, 2))


def recorded(monkeypatch, name, modules, answers=None):
    """The calls that a rival makes for `STRIDED`, and what its only candidate gives."""
    calls, arrays = {}, measure.make_arrays(STRIDED)
    y = answer(STRIDED, arrays)
    results = {key: value(y) for key, value in (answers or {}).items()}
    for module in modules:
        monkeypatch.setitem(sys.modules, module, Recorder(calls, module, results))
    (candidate,) = measure.RIVALS[name].candidates(STRIDED, arrays, os.cpu_count())
    assert candidate.prepared
    calls["result"] = candidate.to_numpy(candidate.call())
    assert measure.expect(STRIDED, arrays).error(calls["result"]) < 1e-4
    return calls, arrays


def test_how_onnxruntime_is_called(monkeypatch):
    run = {"onnxruntime.InferenceSession().run": lambda y: [y]}
    calls, _ = recorded(monkeypatch, "onnxruntime", ["onnxruntime", "onnx", "onnx.helper", "onnx.numpy_helper"], run)
    assert calls["onnxruntime.SessionOptions().intra_op_num_threads"] == os.cpu_count()
    assert calls["onnxruntime.InferenceSession"][1] == {"providers": ["CPUExecutionProvider"]}
    window = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 1], "group": 2}
    assert calls["onnx.helper.make_node"] == (("Conv", ["x", "w"], ["y"]), window)
    assert calls["onnx.numpy_helper.from_array"][0][0].shape == (6, 2, 3, 3)
    assert calls["onnxruntime.InferenceSession().run"][0][1]["x"].shape == (2, 4, 8, 5)


def test_how_openvino_is_called(monkeypatch):
    infer = {"openvino.Core().compile_model().create_infer_request().infer": lambda y: [y]}
    calls, _ = recorded(monkeypatch, "openvino", ["openvino", "openvino.opset13"], infer)
    assert calls["openvino.Core().compile_model"][0][2]["INFERENCE_NUM_THREADS"] == os.cpu_count()
    assert calls["openvino.Core().compile_model"][0][2]["INFERENCE_PRECISION_HINT"] == "f32"
    assert calls["openvino.opset13.constant"][0][0].shape == (2, 3, 2, 3, 3)
    assert calls["openvino.opset13.group_convolution"][0][2:] == ([2, 1], [1, 0], [2, 1], [1, 2])


def test_how_jax_is_called(monkeypatch):
    last = {"jax.jit().lower().compile()().block_until_ready": lambda y: np.moveaxis(y, 1, -1)}
    calls, arrays = recorded(monkeypatch, "jax", ["jax"], last)
    (function,), _ = calls["jax.jit"]
    function(arrays["x"])
    (_, _, stride, padding), options = calls["jax.lax.conv_general_dilated"]
    assert (stride, padding, options["rhs_dilation"]) == ([2, 1], [(1, 2), (0, 1)], [1, 2])
    assert options["dimension_numbers"] == ("NHWC", "HWIO", "NHWC")
    assert options["feature_group_count"] == 2
    assert "processors" in measure.RIVALS["jax"].candidates(STRIDED, arrays, 0)


@pytest.mark.parametrize("name", ["onednn", "onnxruntime", "openvino", "jax"])
@pytest.mark.parametrize(
    "text", ["input_grad:n1c2w9_o3k3", "max_pool:n1c2h9w9_k3", "n1c2h9w9_o3k3p1_wrap", "conv:n1c2h9w9_o3k3"]
)
def test_prepared_rivals_say_what_they_cannot_do(name, text):
    problem = parse_problem(text, dtype="float64")
    assert isinstance(measure.RIVALS[name].candidates(problem, measure.make_arrays(problem), 99), str)


def test_a_prepared_rival_counts_against_a_plan_only():
    row = row_of(parse_problem("n1c8h8w8_o8k1"), {"auto": (4.0,), "plan": (2.0,)}, {"packed": (3.0,)})
    packed = [dataclasses.replace(entry, prepared=True) for entry in row.rivals["torch"]]
    plain = Entry("torch", "plain", 0.0, Timing((8.0,)))
    row = dataclasses.replace(row, rivals={"torch": [*packed, plain], "onednn": packed})
    assert row.ratio("plan", "torch") == row.ratio("plan", "onednn") == 1.5
    assert row.ratio("auto", "torch") == 2.0
    assert row.ratio("auto", "onednn") is None
    assert set(measure.summary([row])["auto"]) == {"torch"}


# Timing and ratios


def test_interleave_takes_turns():
    order, slow = [], timing.SETTLE / 2  # two calls of warming

    def call(name):
        time.sleep(slow)
        order.append(name)

    times = measure.interleave({name: partial(call, name) for name in "ab"}, seconds=0.0, rounds=2)
    assert re.fullmatch("aba{4,5}b{4,5}", "".join(order))
    order.clear()
    measure.interleave({"alone": partial(call, "a")}, seconds=0.0, rounds=1)
    assert "".join(order) == "a" + "aaaa"
    assert {name: len(timing.samples) for name, timing in times.items()} == {"a": 3, "b": 3}


def test_interleave_measures_time():
    times = measure.interleave({"slow": lambda: time.sleep(0.002), "fast": lambda: None}, seconds=0.02)
    assert times["slow"].minimum >= 0.002
    assert times["fast"].median < 0.001


def test_figures_of_a_timing():
    timing = Timing((5.0, 1.0, 3.0, 2.0, 4.0))
    assert (timing.minimum, timing.median, timing.spread) == (1.0, 3.0, 1 / 3)
    assert timing.as_dict()["repeats"] == 5
    assert Timing((1.0,)).spread == 0.0


def row_of(problem, ours, theirs):
    """A row with given samples: ours by method, theirs by variant."""
    entries = {method: Entry("fastconv", method, 0.0, Timing(samples)) for method, samples in ours.items()}
    rivals = [Entry("torch", variant, 0.0, Timing(samples)) for variant, samples in theirs.items()]
    return Row(problem, "direct", 1.0, entries, {"torch": rivals}, None, measure.Peaks("float32", 1, 100.0, 10.0))


def test_ratios_take_the_rivals_best_layout():
    row = row_of(
        parse_problem("n1c8h8w8_o8k1"),
        {"direct": (2.0, 4.0, 9.0)},
        {"channels first": (3.0, 8.0, 8.0), "channels last": (4.0, 6.0, 6.0)},
    )
    assert row.best("torch").variant == "channels first"
    assert row.ratio("direct", "torch") == 1.5
    assert row.ratio("direct", "torch", "median") == 1.5
    assert row.ratio("auto", "torch") is None
    assert row.ratio("direct", "scipy") is None


def test_speed_and_fraction_of_the_peak():
    layer = parse_problem("n1c8h8w8_o8k1")
    row = row_of(layer, {"direct": (layer.flops / 50e9,)}, {})
    assert row.speed(row.ours["direct"]) == (pytest.approx(50.0), "GFLOP/s")
    assert row.fraction(row.ours["direct"]) == pytest.approx(0.5)
    pooling = parse_problem("max_pool:n1c8h8w8_k2")
    row = row_of(pooling, {"auto": (pooling.bytes / 2e9,)}, {})
    assert row.speed(row.ours["auto"]) == (pytest.approx(2.0), "GB/s")
    assert row.fraction(row.ours["auto"]) == pytest.approx(0.2)


def test_summary_is_the_geometric_mean():
    layer = parse_problem("n1c8h8w8_o8k1")
    rows = [row_of(layer, {"auto": (1.0,)}, {"a": (ratio,)}) for ratio in (0.5, 2.0, 8.0)]
    figures = measure.summary(rows)["auto"]["torch"]
    assert figures["rows"] == 3
    assert figures["least"] == 0.5
    assert figures["minimum"] == pytest.approx(2.0)


@pytest.mark.parametrize("text", ["conv:n1c8h8w8_o8k1s1p0", "avg_pool:n1c8w8_k2s2p0"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_command_names_the_same_problem(text, dtype, layout):
    problem = parse_problem(text, layout=layout, dtype=dtype)
    words = row_of(problem, {"auto": (1.0,)}, {}).command(["torch"]).split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    again = parse_problem(given["--problem"], layout=given.get("--layout"), dtype=given.get("--dtype", "float32"))
    assert again == problem
    assert given["--against"] == "torch"


# Load


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are counted on Linux only")


def gone(number, patience=10.0):
    """Whether a process ends within some seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            with open(f"/proc/{number}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":  # ended, and nobody has asked yet
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@needs_proc
def test_a_load_is_busy_and_no_disturbance():
    with Load(1) as busy:
        (number,) = busy.numbers
        with Disturbance() as wanted:
            time.sleep(0.4)
        used = load.busy_seconds()
        load._running.clear()  # as if somebody else had started it
        with Disturbance() as other:
            time.sleep(0.4)
    assert used > 0.1
    assert other.fraction > 0.1 / os.cpu_count()
    assert wanted.fraction < other.fraction
    assert gone(number) and busy.numbers == () and busy.lost == 0


@needs_proc
def test_a_load_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), Load(2) as busy:
        numbers = busy.numbers
        os.kill(numbers[0], signal.SIGKILL)
        busy._processes[0].wait(10)
        raise ZeroDivisionError
    assert len(numbers) == 2 and all(map(gone, numbers))
    assert busy.lost == 1


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_load_ends_with_the_process_that_wanted_it(number):
    script = (
        "import signal, time; from fastconv.measure.load import Load\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "with Load(2) as busy: print(*busy.numbers, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        numbers = parent.stdout.readline().split()
        parent.send_signal(number)
    assert len(numbers) == 2 and all(map(gone, numbers))


@pytest.mark.parametrize("count", [-1, 1.5, "two", load.MOST + 1])
def test_no_such_load(count):
    with pytest.raises(InvalidArgument, match="load"):
        Load(count)


def test_a_load_that_cannot_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(FastconvError, match="/no/such/python"), Load(1):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(load, "_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(FastconvError, match="status 3"), Load(1):
        pass


# The machine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_peaks(dtype):
    peaks = measure.measure_peaks(dtype, seconds=0.02)
    assert peaks.dtype == dtype
    assert 1 < peaks.gflops < 1e6
    assert 0.1 < peaks.copy_gbytes < 1e5


def test_environment_is_json():
    facts = json.loads(json.dumps(measure.environment()))
    assert facts["threads"] >= 1
    assert {"numpy", "numba", "python"} <= set(facts["versions"])
    assert facts["machine"]["float32_lanes"] == 2 * facts["machine"]["float64_lanes"]


def test_problems_are_values():
    assert Problem("conv", parse_problem("n1c2w9_o3k3").spec) == parse_problem("n1c2w9_o3k3")


def test_interleave_waits_for_threads_that_spin_after_their_call():
    """As those of OpenMP and of ONNX Runtime do: whoever is timed next would share the processors with them."""
    spinning, shared = [], []

    def spin():
        until = time.perf_counter() + 0.05
        while time.perf_counter() < until:
            pass
        spinning.pop()

    def leave_a_thread():
        spinning.append(threading.Thread(target=spin))
        spinning[-1].start()

    calls = {"spins": leave_a_thread, "next": lambda: shared.append(bool(spinning))}
    measure.interleave(calls, seconds=0.3, rounds=2, settle=0.0)
    assert shared[0]  # the first call of all is not timed
    assert len(shared) > 1 + 2 * timing.IN_A_ROW
    assert not any(shared[1:])


def test_interleave_times_a_long_call_once(monkeypatch):
    monkeypatch.setattr(timing, "LONG", 0.01)
    called = []
    times = measure.interleave({"long": lambda: called.append(time.sleep(0.02)), "short": lambda: None}, seconds=0.005)
    assert len(times["long"].samples) == len(called) == 1
    assert len(times["short"].samples) > 1
    assert len(measure.interleave({"long": lambda: time.sleep(0.02)}, seconds=0.005)["long"].samples) == 1
