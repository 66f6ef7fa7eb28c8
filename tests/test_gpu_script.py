"""bench/gpu.py where there is no GPU: what it says, how it copes with what fails, and its parts in the simulator."""

import ast
import graphlib
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import cuda_problems as problems
import cuda_rows
import cudasim
import gpu
import gpu_checks
import gpu_memory
import gpu_times
import gpu_training
import gpu_turns
import numpy as np
import pytest
from gpu import Line, Part

from fastconv.cuda import backend, launch
from fastconv.cuda.gemm import tiles
from fastconv.errors import DeviceMissing
from fastconv.nn import applications, layers
from fastconv.nn.models import Sequential

PATH = Path(gpu.__file__)
EXECUTOR = cudasim.Executor()


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tiles.Tile(8, 8, 4, 2, 2),))
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tiles.TensorTile(32, 16, 1, 1),))
    monkeypatch.setattr(gpu_turns, "ROUNDS", 1)
    monkeypatch.setattr(gpu_turns, "TURN", 0)
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def states(lines):
    return [line.state for line in lines]


# --- the run


def test_without_a_gpu_it_says_so_and_exits_2(tmp_path):
    try:
        backend.require()
    except DeviceMissing:
        pass
    else:
        pytest.skip("there is a GPU")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(PATH), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "no GPU" in done.stderr and "pip install" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_writes_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "machine", lambda name: ["- card"])
    monkeypatch.setattr(gpu.shutil, "which", lambda name: "sanitizer")
    ran = []

    def run(part, report, section):
        ran.append(part.name)
        if part.name == "memory":
            assert "- smoke: fine" in report.path.read_text()  # before the end
            report.add(section, Line("| a row |", "row"))
            report.add(section, Line("too slow", "missed"))
        report.add(section, Line(f"{part.name}: fine"))

    assert gpu.full_run("A card", tmp_path, run)
    names = gpu_checks.row_names()
    assert len(ran) == len(set(ran)) == len(names) + 7 and set(names) <= set(ran)
    assert ran[0] == "smoke" and ran[-3:] == ["memory", "times", "training"]
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    assert path.name.endswith("-a-card.md") and text.startswith("# A card, 2")
    assert "## What memory bounds\n\n| a row |\n\n- too slow **MISSED**\n- memory: fine\n" in text
    assert "nothing is wrong" in text

    def fails(part, report, section):
        report.add(section, Line("bad", "wrong" if part.name == "racecheck" else "right"))

    assert not gpu.full_run("A card", tmp_path, fails)
    assert "- bad **WRONG**" in path.read_text() and "something is wrong" in path.read_text()


@pytest.mark.parametrize(
    "code, limit, expected",
    [
        ("print('@@' + '[\"one\", \"right\"]', flush=True)", 60, [("one", "right")]),
        ("print('@@[\"one\", \"row\"]', flush=True); raise SystemExit('a reason')", 60, ["one", "a reason"]),
        ('print(\'@@["one", "row"]\', flush=True); import time; time.sleep(60)', 3, ["one", "stopped after 3 s"]),
        ("import os; print('noise', flush=True); os.kill(os.getpid(), 11)", 60, ["exit status -11: noise"]),
    ],
    ids=["fine", "an error", "too late", "killed"],
)
def test_a_part_is_a_process_with_a_limit(tmp_path, monkeypatch, code, limit, expected):
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.setattr(gpu, "__file__", str(script))
    report = gpu.Report(tmp_path / "report.md", [])
    gpu.run_part(Part("a part", ("smoke",), limit), report, "Section")
    lines = report.sections["Section"]
    assert len(lines) == len(expected)
    for line, words in zip(lines, expected, strict=True):
        assert line == words if isinstance(words, tuple) else words in line.text
    assert report.right == (len(expected) == 1 and isinstance(expected[0], tuple))


def test_what_a_part_says_is_read_again(capsys):
    gpu.say(iter([Line('a "text"', "row"), Line("b")]))
    said = capsys.readouterr().out.splitlines()
    assert [Line(*json.loads(text.removeprefix(gpu.MARK))) for text in said] == [Line('a "text"', "row"), Line("b")]


def test_part_names_are_known(simulator, monkeypatch):
    """The command line serves every part that a run starts."""
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    for module, name in ((gpu_checks, "smoke"), (gpu_checks, "small"), (gpu_memory, "memory"), (gpu_times, "times")):
        monkeypatch.setattr(module, name, lambda *words: iter([Line("ran")]))
    monkeypatch.setattr(gpu_training, "training", lambda: iter([Line("ran")]))
    monkeypatch.setattr(gpu_checks, "one_row", lambda row: iter([Line(row)]))
    for parts in gpu.sections(["conv-direct"], "sanitizer").values():
        for part in parts:
            assert gpu.main(["--part", *part.arguments]) == 0


def test_its_modules_do_not_import_each_other_in_a_circle():
    """Imports within functions are counted too."""
    graph = {}
    for path in PATH.parent.glob("gpu*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        graph[path.stem] = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        graph[path.stem] |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    graphlib.TopologicalSorter(graph).prepare()


def test_machine_names_versions():
    lines = gpu.machine("a card")
    assert lines[0] == "- card: a card" and any(line.startswith("- numpy 2") for line in lines)


# --- checks


def test_smoke(simulator, monkeypatch):
    lines = list(gpu_checks.smoke()) if has_dynamic_shared() else smoke_without_large_block(monkeypatch)
    assert set(states(lines)) == {"right"} and len(lines) >= 2


def has_dynamic_shared():
    return "shared" in inspect.signature(launch.launch).parameters


def smoke_without_large_block(monkeypatch):
    monkeypatch.setattr(gpu_checks, "large_block", lambda: iter(()))
    return list(gpu_checks.smoke())


@pytest.mark.parametrize("name", ["conv-direct", "conv_weight_grad-im2col", "max_pool-direct", "lp_pool_grad-direct"])
def test_every_row_is_checked(simulator, monkeypatch, name):
    monkeypatch.setattr(problems, "CONV_CASES", [c for c in problems.CONV_CASES if str(c) in ("odd tails", "wrap, empty batch")])  # fmt: skip # noqa: E501
    monkeypatch.setattr(problems, "POOL_CASES", problems.POOL_CASES[1:2])
    lines = list(gpu_checks.one_row(name))
    assert set(states(lines)) == {"right"}, lines
    row = next(row for row in cuda_rows.ROWS if cuda_rows.id_of(row) == name)
    assert len(lines) == len(cuda_rows.dtypes_of(row))


def test_a_wrong_row_is_told_of(simulator, monkeypatch):
    monkeypatch.setattr(problems, "POOL_CASES", problems.POOL_CASES[1:2])
    right = cuda_rows.run
    for fault in (np.nan, 1e-3):
        monkeypatch.setattr(cuda_rows, "run", lambda *a, fault=fault: right(*a) + np.float32(fault))
        lines = list(gpu_checks.one_row("avg_pool-direct"))
        assert lines[0].state == "wrong" and "0 of 2 right" in lines[0].text, lines


def test_small_problems(simulator):
    lines = list(gpu_checks.small())
    assert states(lines) == ["right"] and "nothing else found" in lines[0].text


# --- times

SYNC = staticmethod(lambda: None)


def tiny(name="3x3", **options):
    return gpu_times.conv_case(name, 1, 8, 3, 8, 3, **options)


@pytest.mark.parametrize(
    "op, dtype",
    [("conv", "float32"), ("conv", "bfloat16"), ("conv_input_grad", "tf32"), ("conv_weight_grad", "float32")],
)
def test_convolutions_are_checked_and_timed(simulator, op, dtype):
    problem = gpu_times.Problem(tiny(), (op,), (dtype,), True)
    lines = list(gpu_times.convolution(problem, op, dtype, None, SYNC))
    assert lines and set(states(lines)) == {"row"}
    assert any("fastconv im2col" in line.text for line in lines)


def test_a_wrong_result_is_not_timed_in_silence(simulator, monkeypatch):
    problem = gpu_times.Problem(tiny(), ("conv",), ("float32",), True)
    monkeypatch.setattr(gpu_times, "oracle", lambda *a: np.zeros((1, 8, 3, 3)))
    lines = list(gpu_times.convolution(problem, "conv", "float32", None, SYNC))
    assert "wrong" in states(lines)


def test_verdicts():
    target = gpu_turns.Target(0.6, "cuDNN")
    assert gpu_turns.verdict("a", 0.61, target).state == "right"
    line = gpu_turns.verdict("a", 0.59, target)
    assert line.state == "missed" and "0.59 x cuDNN (target 0.6)" in line.text


def test_against_pytorch(simulator, monkeypatch):
    """PyTorch on the CPU in cuDNN's place: its results are checked, ratios and verdicts are given."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    for op in problems.CONVOLUTIONS:
        problem = gpu_times.Problem(tiny(stride=2), (op,), ("float32",), True)
        lines = list(gpu_times.convolution(problem, op, "float32", torch, SYNC))
        assert sum("cuDNN N" in line.text for line in lines) == 2
        assert "wrong" not in states(lines) and ("target 0.6" in lines[-1].text) == (op == "conv")


def test_turns_alternate(monkeypatch):
    monkeypatch.setattr(gpu_turns, "TURN", 0)
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    assert set(gpu_turns.take_turns(calls, lambda: order.append(""), 3)) == {"a", "b"}
    assert "".join(order).endswith("ababab")


def test_memory_bound_kernels(simulator):
    case = problems.PoolCase("max 2x2", (2, 3, 4, 6), 2)
    lines = list(gpu_memory.pools(None, SYNC, 1e12, [case]))
    assert states(lines) == ["row", "row", "missed", "missed"]
    lines = list(gpu_memory.depthwise(None, SYNC, 1e12, tiny("depthwise", groups=8)))
    assert states(lines) == ["missed"] and "right: True" in lines[0].text


def test_filters_are_timed(simulator):
    case = gpu_times.conv_case("filter", 1, 1, 6, 1, 3)
    assert states(gpu_times.filtering(SYNC, case)) == ["right"]


def test_the_shapes_are_what_the_issue_asks_for():
    counted = [problem for problem in gpu_times.PROBLEMS if problem.counts]
    for problem in counted:
        N, C = problem.case.x_shape[:2]
        assert C == problem.case.w_shape[0] >= 128 and N >= 64 and problem.case.kernel == (3, 3)
        assert {"float32", "tf32", "bfloat16", "float16"} == set(problem.dtypes)
        assert set(problem.ops) == set(problems.CONVOLUTIONS)
    assert len(counted) >= 2


# --- training


def test_training(monkeypatch):
    """What the script asks of a model, on the CPU, with a model and data that are tiny."""
    moved = []
    monkeypatch.setattr(Sequential, "to", lambda self, device: moved.append(device), raising=False)
    monkeypatch.setattr(gpu_training, "data_set", lambda: types.SimpleNamespace(__name__="few", load_data=few))

    def model(shape, seed):
        return Sequential([layers.Flatten(input_shape=shape), layers.Dense(2), layers.Activation("softmax")], seed=seed)

    monkeypatch.setattr(applications, "lecture_cnn", model)
    lines = list(gpu_training.training(16, batch=8))
    assert moved == ["cuda"] and len(lines) == 17
    assert "epoch 1 of 64 images" in lines[0].text and "of the test images right" in lines[-1].text
    assert set(states(lines)) == {"right"}


def few():
    """Dark pictures and bright ones."""
    labels = np.arange(64) % 2
    images = np.broadcast_to((250 * labels)[:, None, None], (64, 12, 12)).astype(np.uint8)
    return (images, labels), (images, labels)


def test_data_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTCONV_DATA", raising=False)
    monkeypatch.setattr(gpu_training, "ROOT", tmp_path / "a")
    assert gpu_training.data_set().__name__.endswith("fashion_sketch")
    (tmp_path / "shared" / "datasets").mkdir(parents=True)
    assert gpu_training.data_set().__name__.endswith("fashion_mnist")
    assert os.environ.pop("FASTCONV_DATA") == str(tmp_path / "shared" / "datasets")
