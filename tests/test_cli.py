"""The commands: what they print, write and return, and how they fail."""

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from fastconv.cli import COMMANDS, main

TINY = "conv:n1c3h12w12_o4k3s1p1"
SMALL_RUN = ["--epochs", "2", "--limit", "200", "--batch-size", "50"]


@pytest.fixture
def run(monkeypatch):
    """Run ``fastconv WORDS`` in this process, off a terminal."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words, **options):
        return CliRunner().invoke(main, [str(word) for word in words], **options)

    return run


def fails(result, *texts, code=2):
    """The command failed with an error line on standard error that holds `texts`, and without a traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    for text in texts:
        assert text in result.stderr
    return True


# The group


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(run, command, flag):
    result = run(*command, flag)
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    if command:
        assert "Options:" in result.stdout
    else:
        for name in COMMANDS:
            assert name in result.stdout


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("fastconv ")


def test_unknown_command(run):
    fails(run("brew"), "brew")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian", "mnist"], "train"),
        (["train", "mnits"], "mnist"),
        (["train", "Fashion_Sketch"], "fashion-sketch"),
        (["train", "mnist", "--epoch", "3"], "--epochs"),
        (["train", "mnist", "--device", "cdua"], "cuda"),
        (["bench", "--suite", "layer"], "layers"),
        (["bench", "--problem", TINY, "--method", "auto,wingrad"], "winograd"),
        (["explain", TINY, "--layout", "nwhc"], "NHWC"),
        (["warmup", "--dtype", "float23"], "float32"),
    ],
)
def test_mistyped_words(run, words, meant):
    result = run(*words)
    assert result.exit_code == 2
    assert re.search(rf"[Dd]id you mean '?{meant}'?\?", result.stderr)


def test_long_words_are_not_repeated(run):
    for words in (["x" * 5000], ["train", "x" * 5000], ["bench", "--method", "x" * 5000]):
        fails(run(*words))
        assert len(run(*words).stderr) < 600


def test_memory_that_is_not_there_is_one_line(run, monkeypatch):
    from fastconv import measure

    def compare(*_, **__):
        np.empty(1 << 60, np.uint8)

    monkeypatch.setattr(measure, "compare", compare)
    result = run("bench", "--problem", TINY, "--against", "none")
    assert result.exit_code == 2
    assert "Error: there is not enough memory for this: " in result.stderr


def test_a_special_file_is_written_to_and_stays(run):
    assert run("info", "--json", os.devnull).exit_code == 0
    assert not os.path.isfile(os.devnull)


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "fastconv", "info", "--json", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["threads"] >= 1


def test_help_needs_none_of_the_heavy_packages():
    code = (
        "import sys; from click.testing import CliRunner; from fastconv.cli import main;"
        "assert CliRunner().invoke(main, ['train', '--help']).exit_code == 0;"
        "print([n for n in ('numba', 'matplotlib', 'torch', 'scipy', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# info and warmup


def test_info(run):
    result = run("info", "--threads", "1")
    assert result.exit_code == 0
    for word in ("processor", "vector unit", "threads", "kernel cache", "CUDA", "numpy"):
        assert word in result.stdout
    assert "\x1b" not in result.stdout


def test_info_as_json(run, tmp_path):
    result = run("info", "--measure", "--json", tmp_path / "info.json")
    assert result.exit_code == 0
    assert "measured peak" in result.stdout
    facts = json.loads((tmp_path / "info.json").read_text())
    assert facts["peaks"]["float32_gflops"] > 0
    assert {"device", "reason", "target"} == set(facts["cuda"])
    assert json.loads(run("info", "--json", "-").stdout)["cache"]["kernels"]


def test_info_on_a_terminal(run, monkeypatch):
    monkeypatch.setattr("fastconv.cli.console.on_terminal", lambda stream=None: True)
    result = run("info")
    assert result.exit_code == 0
    assert "processor" in result.stdout
    assert "\x1b" not in result.stdout  # NO_COLOR is set


def test_warmup(run):
    result = run("warmup", "--dtype", "float32")
    assert result.exit_code == 0
    assert "conv direct" in result.stdout
    again = run("warmup", "--dtype", "float32")
    assert "nothing was left to compile" in again.stderr
    assert "next process" not in again.stderr


def test_kernels_that_cannot_be_kept_are_told_of(run, monkeypatch, tmp_path):
    from fastconv import config, warming

    (tmp_path / "file").write_text("")
    blocked = dataclasses.replace(config.settings, cache_dir=tmp_path / "file" / "cache")
    monkeypatch.setattr(config, "settings", blocked)
    monkeypatch.setattr(warming, "STEPS", {})
    reason = f"{tmp_path / 'file'} is not a folder"
    assert f"The next process will compile them again: {reason}; " in run("warmup").stderr
    assert f"kernels are compiled anew by each process: {reason}" in " ".join(run("info").stdout.split())


# bench


def test_bench_tiny(run, tmp_path):
    words = ["--problem", TINY, "--problem", "max_pool:n1c3h12w12_k2", "--seconds", "0.02", "--against", "torch,scipy"]
    result = run("bench", *words, "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    assert TINY in result.stdout
    assert "measured peak" in result.stdout
    assert "[2/2] max_pool" in result.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert [row["problem"] for row in report["rows"]] == [TINY, "max_pool:n1c3h12w12_k2s2p0"]
    ours = report["rows"][0]["fastconv"]["auto"]
    assert 0 < ours["min_s"] <= ours["median_s"]
    assert ours["max_error"] <= report["rows"][0]["tolerance"]
    assert report["environment"]["threads"] >= 1
    assert report["rows"][0]["command"].startswith(f"fastconv bench --problem {TINY}")


def test_bench_beside_a_load(run, tmp_path):
    words = ["--problem", TINY, "--seconds", "0.01", "--against", "none", "--load", "1"]
    result = run("bench", *words, "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    assert "beside 1 busy process (--load 1)" in result.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["load"] == report["rows"][0]["load"] == 1
    assert report["rows"][0]["command"].endswith(" --load 1")


def test_bench_small_calls_in_microseconds(run, monkeypatch):
    from fastconv import measure

    problems = measure.suite("small")[:2]
    monkeypatch.setattr(measure, "suite", lambda name: problems)
    words = ["--suite", "small", "--suite", "quick", "--problem", TINY]
    result = run("bench", *words, "--seconds", "0.02", "--against", "none")
    assert result.exit_code == 0, result.output
    assert "min µs" in result.stdout
    titles = [line for line in result.stdout.splitlines() if line in ("suite small", "suite quick", "--problem")]
    assert titles == ["suite small", "--problem"]  # what was measured already is not measured again


def test_bench_kernels_and_models(run, monkeypatch, tmp_path):
    from fastconv.measure import kernels, training

    monkeypatch.setattr(kernels, "GROUPS", {name: kernels.GROUPS[name] for name in ("depth sweep", "winograd")})
    monkeypatch.setattr(training, "MODELS", {"lenet": training.MODELS["lenet"]})
    words = ["--suite", "kernel", "--suite", "train", "--seconds", "0.01", "--against", "none"]
    result = run("bench", *words, "--load", "1", "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    for text in ("suite kernel", "depth sweep", "GB/s", "peak of one thread, float64", "suite train", "images/s"):
        assert text in result.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert {row["dtype"] for row in report["kernels"]} == {"float32", "float64"}
    assert [row["work"] for row in report["training"]] == ["train", "predict"]
    assert {row["load"] for row in [*report["kernels"], *report["training"]]} == {1}
    one = run("bench", "--suite", "kernel", "--dtype", "float64", "--seconds", "0.01", "--json", "-")
    assert {row["dtype"] for row in json.loads(one.stdout)["kernels"]} == {"float64"}


@pytest.fixture
def few_calls(monkeypatch):
    """Two of those that the suite scipy measures."""
    from fastconv.measure import replaced
    from fastconv.measure.replaced import Call

    calls = [Call("signal.convolve", ((50,), (3,))), Call("signal.convolve2d", ((9, 9), (2, 2)), {"boundary": "symm"})]
    monkeypatch.setattr(replaced, "AREAS", {"signal": lambda dtype: iter(calls)})


def test_bench_calls_of_scipy(run, few_calls, tmp_path):
    words = ["--suite", "scipy", "--seconds", "0.01", "--against", "scipy", "--json", tmp_path / "bench.json"]
    result = run("bench", *words)
    assert result.exit_code == 0, result.output
    for text in ("signal.convolve2d", "9×9 * 2×2 boundary=symm", "× scipy", "geometric mean over 4"):
        assert text in result.stdout
    rows = json.loads((tmp_path / "bench.json").read_text())["scipy"]
    assert [(row["function"], row["dtype"]) for row in rows] == [
        (f"signal.{name}", dtype) for dtype in ("float32", "float64") for name in ("convolve", "convolve2d")
    ]
    assert all(row["ratios"]["scipy"]["minimum"] > 0 and row["fastconv"]["max_error"] < 1e-5 for row in rows)


def test_bench_tells_of_a_wrong_call(run, few_calls, monkeypatch):
    from fastconv import signal

    monkeypatch.setattr(signal, "convolve", lambda x, w: np.convolve(x, w) * 1.001)
    result = run("bench", "--suite", "scipy", "--seconds", "0.01", "--against", "none", "--dtype", "float64")
    assert result.exit_code == 1
    assert "signal.convolve 50 * 3, float64: fastconv: wrong result" in result.stderr and "n/a" in result.stdout


def test_bench_tells_of_a_wrong_function(run, monkeypatch):
    from fastconv.cpu import repeated
    from fastconv.measure import kernels

    monkeypatch.setattr(kernels, "GROUPS", {"depth sweep": kernels.GROUPS["depth sweep"]})
    monkeypatch.setattr(repeated, "repeat_depth", lambda *_: None)
    result = run("bench", "--suite", "kernel", "--seconds", "0.01", "--against", "none")
    assert result.exit_code == 1
    assert "depth sweep 3x3/1" in result.stderr and "wrong result" in result.stderr
    assert "n/a" in result.stdout


@pytest.fixture
def tiny_suites(monkeypatch, few_calls):
    """Every suite with a row or two."""
    from fastconv import measure
    from fastconv.measure import kernels, training

    few = measure.suites.suite("filters", tiny=True)[:1]
    monkeypatch.setattr(measure, "suite", lambda name: few if name == "filters" else [])
    monkeypatch.setattr(kernels, "GROUPS", {"tile": kernels.GROUPS["depth sweep"]})
    monkeypatch.setattr(kernels, "HALVES", ())
    monkeypatch.setattr(training, "MODELS", {"lenet": training.MODELS["lenet"]})
    return ["bench", "--all", "--seconds", "0.01", "--against", "scipy"]


def test_bench_saves_all_suites(run, tiny_suites, tmp_path):
    from fastconv.measure import environment, record

    result = run(*tiny_suites, "--save", tmp_path / "new")
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == f"{record.slug(environment())}.md"
    assert f"Saved: {path}" in result.stderr
    text = path.read_text()
    for part in (
        "## Means",
        "| filters | auto |",
        "## kernel",
        "## train",
        "| lenet | 64 | predict |",
        "| signal.convolve | 50 * 3 |",
    ):
        assert part in text
    assert record.machines_table(tmp_path / "new").startswith("| machine | date | filters |")


def test_bench_saves_though_nobody_reads(run, tiny_suites, monkeypatch, tmp_path):
    from fastconv.cli import bench_tables
    from fastconv.cli.console import OutputLost

    def lost(text):
        raise OutputLost(BrokenPipeError(32, "Broken pipe"))

    monkeypatch.setattr(bench_tables, "tell", lost)
    assert run(*tiny_suites, "--save", tmp_path).exit_code == 141
    assert len(list(tmp_path.iterdir())) == 1


def test_bench_saves_into_the_checkout(run, tiny_suites, monkeypatch, tmp_path):
    from fastconv.measure import record

    for name in ("pyproject.toml", "README.md"):
        (tmp_path / name).write_text(f"# fastconv\n{record.BEGIN}\n{record.END}\n")
    monkeypatch.setattr(record, "CHECKOUT", tmp_path)
    monkeypatch.setattr(record, "README", tmp_path / "README.md")
    monkeypatch.setattr(record, "FOLDER", tmp_path / "docs" / "measured")
    result = run(*tiny_suites, "--save")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "docs" / "measured").iterdir())) == 1
    assert "| filters |" in (tmp_path / "README.md").read_text()


def test_bench_saves_nothing_that_is_not_whole(run, tiny_suites, monkeypatch, tmp_path):
    from fastconv.cpu import repeated
    from fastconv.measure import training

    monkeypatch.setattr(repeated, "repeat_depth", lambda *_: None)
    result = run(*tiny_suites, "--save", tmp_path)
    assert result.exit_code == 1
    assert "Nothing is saved: a result was wrong." in result.stderr

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "measure_training", interrupted)
    result = run(*tiny_suites, "--save", tmp_path)
    assert result.exit_code == 130
    assert "Nothing is saved: not all was measured." in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--save", "x"], "--all"),
        (["--suite", "small", "--save"], "--all"),
        (["--all", "--save", "x", "--load", "1"], "--load would give others"),
        (["--all", "--save", "x", "--quick"], "--quick"),
        (["--all", "--save", "pyproject.toml/x"], "cannot be written"),
    ],
)
def test_bench_save_refuses(run, words, text):
    fails(run("bench", *words), text)
    assert not os.path.exists("x")


def test_bench_draws(run, tmp_path):
    words = ["--problem", TINY, "--problem", "n1c1h30w30_o1k9psame", "--against", "torch,scipy", "--seconds", "0.02"]
    result = run("bench", *words, "--method", "auto,plan", "--layout", "NCHW", "--plot", tmp_path / "pictures")
    assert result.exit_code == 0, result.output
    for name in ("roofline.png", "ratios.png"):
        assert (tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG")
    assert "plan" in result.stdout
    assert "NCHW" in result.stdout


def test_bench_without_matplotlib_says_so_before_it_works(run, monkeypatch, tmp_path):
    monkeypatch.setattr("fastconv.show.figures.available", lambda: False)
    result = run("bench", "--problem", TINY, "--plot", tmp_path)
    assert result.exit_code == 2
    assert "pip install 'fastconv[plots]'" in result.stderr


def test_bench_plot_into_a_file(run, tmp_path):
    (tmp_path / "taken").write_text("")
    result = run("bench", "--problem", TINY, "--plot", tmp_path / "taken")
    assert result.exit_code == 2
    assert "is no folder" in result.stderr


def test_bench_whole_suites_in_another_dtype(run, monkeypatch):
    from fastconv import measure

    monkeypatch.setattr(measure, "suite", lambda name: measure.suites.suite("quick", tiny=True)[:3])
    words = ["--suite", "quick", "--dtype", "float64", "--layout", "NCHW", "--seconds", "0.01", "--against", "none"]
    result = run("bench", *words, "--json", "-")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert {(row["dtype"], row["layout"]) for row in rows} == {("float64", "NCHW")}


def test_explain(run, tmp_path):
    result = run("explain", TINY, "--seconds", "0.05", "--json", tmp_path / "explain.json")
    assert result.exit_code == 0, result.output
    assert "auto takes" in result.stdout
    report = json.loads((tmp_path / "explain.json").read_text())
    assert report["chosen"] in {c["method"] for c in report["candidates"]}
    assert all(
        c["measured"] is None for c in json.loads(run("explain", TINY, "--predict", "--json", "-").stdout)["candidates"]
    )


def test_explain_bad_problem(run):
    result = run("explain", "n1c3h4w4_o4k9")
    assert result.exit_code == 2
    assert "the output would be empty" in result.stderr
    assert run("explain", "max_pool:n1c3h4w4_k5").exit_code == 2


def test_explain_a_pool(run):
    result = run("explain", "max_pool:n8c64h112w112_k2s2p0", "--predict", "--layout", "NCHW")
    assert result.exit_code == 0, result.output
    assert "reduce_pairs: windows of 2" in result.stdout


def test_warmup_tune(run, monkeypatch, tmp_path):
    from fastconv import dispatch, rates
    from fastconv.measure import problems, tuning

    tiny = [problems.conv(op, 1, 4, 8, 9, 3, padding=1) for op in ("conv", "weight_grad")]
    monkeypatch.setattr(rates, "cache_dir", lambda: tmp_path)
    for module in ("fastconv.measure.tuning", "fastconv.measure"):
        monkeypatch.setattr(f"{module}.calibration", lambda: tiny)
    monkeypatch.setattr(tuning, "SECONDS", 0.001)
    result = run("warmup", "--dtype", "float32", "--tune")
    rates.tuned.cache_clear()
    dispatch.forget()
    assert result.exit_code == 0, result.output
    assert "winograd" in result.stdout
    assert rates.tuned_file().is_file()


def test_bench_quick_runs_its_suite(run, monkeypatch):
    from fastconv import measure

    problems = measure.suite("quick", tiny=True)
    monkeypatch.setattr(measure, "suite", lambda name: {"quick": problems}[name])
    result = run("bench", "--quick", "--seconds", "0.01")
    assert result.exit_code == 0, result.output
    for problem in problems:
        assert str(problem) in result.stdout
    if "torch" not in result.stderr:
        assert "× torch" in result.stdout
        assert "geometric mean over" in result.stdout


def test_bench_json_alone_on_standard_output(run):
    result = run(
        "bench", "--problem", TINY, "--seconds", "0.01", "--against", "none", "--json", "-", "--method", "direct"
    )
    report = json.loads(result.stdout)
    assert list(report["rows"][0]["fastconv"]) == ["direct"]
    assert report["rows"][0]["rivals"] == {}


@pytest.mark.parametrize("width", [60, 200])
def test_bench_on_a_terminal(run, monkeypatch, width):
    monkeypatch.setattr("fastconv.cli.console.on_terminal", lambda stream=None: True)
    monkeypatch.setenv("COLUMNS", str(width))
    result = run("bench", "--problem", TINY, "--seconds", "0.01", "--against", "none")
    assert result.exit_code == 0, result.output
    table = result.stdout[result.stdout.index("layer") : result.stdout.rindex("──") + 200]
    assert all(len(line) <= width for line in table.splitlines() if "GFLOP" in line or "layer" in line)
    assert ("conv:n1c3" in table) == (width == 200)


def test_bench_tells_of_wrong_results(run, monkeypatch):
    from fastconv.measure import comparison

    zeros = lambda problem, *_, **__: lambda: np.zeros(problem.spec.y_shape, np.float32)  # noqa: E731
    monkeypatch.setattr(comparison, "our_call", zeros)
    result = run("bench", "--problem", TINY, "--seconds", "0.01", "--against", "none")
    assert result.exit_code == 1
    assert "wrong result" in result.stderr
    assert "n/a" in result.stdout


def test_bench_interrupted_shows_what_it_has(run, monkeypatch, tmp_path):
    from fastconv import measure

    compare, done = measure.compare, []

    def interrupted(problem, *rest, **options):
        if done:
            raise KeyboardInterrupt
        done.append(problem)
        return compare(problem, *rest, **options)

    monkeypatch.setattr(measure, "compare", interrupted)
    words = ["--problem", TINY, "--problem", "n1c2w9_o2k3", "--seconds", "0.01", "--against", "none"]
    result = run("bench", *words, "--json", tmp_path / "bench.json")
    assert result.exit_code == 130
    assert "Interrupted after 1 of 2" in result.stderr
    assert TINY in result.stdout
    assert len(json.loads((tmp_path / "bench.json").read_text())["rows"]) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--problem", "nonsense"], "nonsense"),
        (["--problem", "n1c2h9w9_o2k30"], "empty"),
        (["--suite", "everything"], "everything"),
        (["--against", "tensorflow"], "tensorflow"),
        (["--method", "magic"], "magic"),
        (["--method", ","], "--method"),
        (["--seconds", "0"], "--seconds"),
        (["--threads", "0"], "--threads"),
        (["--load", "-1"], "--load"),
        (["--load", "65"], "--load"),
        (["--load", "some"], "--load"),
        (["--dtype", "int8"], "--dtype"),
        (["--suite", "train", "--dtype", "float64"], "float32"),
        (["--json", "no/such/folder/x.json"], "cannot be written"),
        (["--json", "."], "folder"),
    ],
)
def test_bench_refuses(run, words, text):
    fails(run("bench", *words), text)


# train


@pytest.fixture(scope="module", autouse=True)
def few_pictures():
    """fashion-sketch with fewer test pictures, for commands run in this process."""
    from fastconv.nn.datasets import fashion_sketch

    with pytest.MonkeyPatch.context() as patch:
        load = fashion_sketch.load_data
        patch.setattr(fashion_sketch, "load_data", lambda *args, **sizes: load(*args, **{"n_test": 300, **sizes}))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short training run: its result and its folder."""
    folder = tmp_path_factory.mktemp("run") / "out"
    result = CliRunner().invoke(
        main, ["train", "fashion-sketch", *SMALL_RUN, "--seed", "5", "--threads", "2", "--out", str(folder)]
    )
    assert result.exit_code == 0, result.output
    return result, folder


def test_train_writes_everything(trained):
    result, folder = trained
    names = {path.name for path in folder.iterdir()}
    assert {"weights.npz", "history.json", "history.csv", "run.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert "test accuracy" in result.stdout
    assert f"saved in {folder}" in result.stdout


def test_train_shows_progress(trained):
    result, _ = trained
    assert "epoch 1/2   50 %  loss" in result.stderr
    assert "images/s" in result.stderr
    assert "left" in result.stderr
    assert "epoch 2/2  loss" in result.stderr
    assert "test accuracy" in result.stderr


def test_history_files_agree(trained):
    history = json.loads((trained[1] / "history.json").read_text())
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(history)
    assert all(len(values) == 2 for values in history.values())
    with (trained[1] / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for name, values in history.items():
        assert [float(row[name]) for row in rows] == values


def test_run_record(trained):
    record = json.loads((trained[1] / "run.json").read_text())
    assert record["arguments"]["seed"] == 5
    assert record["images"] == {"training": 200, "test": 300}
    assert len(record["epochs"]) == 2
    assert record["interrupted"] is None
    assert np.sum(record["test"]["confusion_matrix"]) == 300
    assert record["environment"]["versions"]["numba"]


def test_pictures(trained):
    pytest.importorskip("matplotlib")
    for name in ("learning-curve.png", "confusion-matrix.png", "filters.png", "misclassified.png"):
        data = (trained[1] / name).read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(data) > 10_000


def test_weights_can_be_loaded(trained):
    assert accuracy_of(trained[1] / "weights.npz") == pytest.approx(
        json.loads((trained[1] / "history.json").read_text())["val_accuracy"][-1], abs=1e-6
    )


def accuracy_of(weights):
    """Accuracy on the test images of the lecture's network with weights from a file."""
    from fastconv.nn import applications
    from fastconv.nn.datasets import fashion_sketch

    _, (x, y) = fashion_sketch.load_data(n_train=0)
    model = applications.lecture_cnn((28, 28, 1), 10)
    model.load_weights(weights)
    predicted = model.predict(x[..., None].astype(np.float32) / np.float32(255), verbose=0).argmax(axis=1)
    return np.mean(predicted == y)


def test_same_seed_same_history_whatever_the_threads(run, trained, tmp_path):
    result = run("train", "fashion-sketch", *SMALL_RUN, "--seed", 5, "--out", tmp_path, "--threads", 1)
    assert result.exit_code == 0
    for name in ("history.json", "history.csv"):
        assert (tmp_path / name).read_bytes() == (trained[1] / name).read_bytes()


def test_without_matplotlib(run, monkeypatch, tmp_path):
    monkeypatch.setattr("fastconv.show.figures.available", lambda: False)
    words = ["--epochs", 1, "--limit", 50, "--out", tmp_path / "out"]
    result = run("train", "fashion-sketch", *words)
    assert result.exit_code == 0
    assert "pip install 'fastconv[plots]'" in result.stderr
    assert not list((tmp_path / "out").glob("*.png"))


def test_missing_data(run, tmp_path):
    fails(run("train", "mnist", "--data-dir", tmp_path, "--out", tmp_path / "out"), "MNIST", "data_dir")
    assert not (tmp_path / "out").exists()


def test_damaged_data(run, tmp_path):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05abc")
    fails(run("train", "mnist", "--data-dir", tmp_path, "--out", tmp_path / "out"))


def test_out_is_a_file(run, tmp_path):
    (tmp_path / "out").write_text("")
    started = time.perf_counter()
    fails(run("train", "fashion-sketch", "--out", tmp_path / "out"), "out", "choose another")
    assert time.perf_counter() - started < 5  # before any training


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_out_cannot_be_written(run, tmp_path):
    tmp_path.chmod(0o500)
    fails(run("train", "fashion-sketch", "--out", tmp_path / "out"), "cannot be", "choose another")
    fails(run("train", "fashion-sketch", "--out", tmp_path), "cannot be", "choose another")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["imagenet"], "imagenet"),
        (["fashion-sketch", "--epochs", "0"], "--epochs"),
        (["fashion-sketch", "--batch-size", "-1"], "--batch-size"),
        (["fashion-sketch", "--lr", "0"], "--lr"),
        (["fashion-sketch", "--lr", "fast"], "--lr"),
        (["fashion-sketch", "--momentum", "1"], "--momentum"),
        (["fashion-sketch", "--seed", "-1"], "--seed"),
        (["fashion-sketch", "--limit", "0"], "--limit"),
        (["fashion-sketch", "--limit", "20000"], "--limit is 20000"),
        ([], "Missing argument"),
    ],
)
def test_train_refuses(run, words, text, tmp_path):
    fails(run("train", *words, "--out", tmp_path / "out"), text)
    assert not (tmp_path / "out").exists()


def test_divergence_is_one_line(run, tmp_path):
    words = ["--lr", 1e30, "--limit", 200, "--batch-size", 20, "--out", tmp_path / "out"]
    fails(run("train", "fashion-sketch", *words), "the loss is", "--lr")
    assert not (tmp_path / "out").exists()


def start_training(folder):
    """Start a training run of many epochs; returns when its first batches are done."""
    words = ["train", "fashion-sketch", "--epochs", "50", "--limit", "200", "--batch-size", "20", "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastconv", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for line in process.stderr:
        if line.startswith(b"epoch 2/50"):
            return process
    pytest.fail(f"training ended with {process.wait()}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_saves(tmp_path):
    process = start_training(tmp_path / "out")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Stopping after this batch" in errors
    assert b"Traceback" not in errors
    assert b"saved in" in output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"weights.npz", "history.json", "history.csv", "run.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    finished = len(json.loads((tmp_path / "out" / "history.json").read_text())["loss"])
    assert finished == len(record["epochs"]) >= 1
    if record["interrupted"] is not None:
        assert record["interrupted"]["epoch"] == finished + 1
    assert 0 <= accuracy_of(tmp_path / "out" / "weights.npz") <= 1


# Names that are written twice so that --help stays quick


def test_choices_are_those_of_the_library():
    from fastconv import measure
    from fastconv.cli import recipes
    from fastconv.cli.bench_steps import ASKED_FOR, EVERY_SUITE, OTHER_SUITES, PROBLEM_SUITES
    from fastconv.cli.train import DATASETS, MODELS
    from fastconv.nn import datasets, zoo

    assert (*PROBLEM_SUITES, "all") == measure.SUITES
    assert {*EVERY_SUITE, *ASKED_FOR} == {*PROBLEM_SUITES, *OTHER_SUITES}
    assert measure.suites.ASKED_FOR == ASKED_FOR
    assert set(DATASETS) == set(datasets.BY_NAME)
    assert set(MODELS) == set(zoo.ARCHITECTURES)
    assert set(recipes.NETWORKS) == {*DATASETS, None} and set(recipes.NETWORKS.values()) <= set(MODELS)
    for architecture in zoo.ARCHITECTURES.values():
        assert architecture.recipe.optimizer in recipes.RATES
        assert architecture.recipe.schedule in {"constant", *recipes.SCHEDULES}
