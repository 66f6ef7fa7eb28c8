"""bench/gpu.py where there is no GPU: what it says, and its parts in the simulator."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cudasim
import numpy as np
import pytest

from fastconv.cuda import backend, gemm, tune
from fastconv.errors import DeviceMissing

PATH = Path(__file__).parent.parent / "bench" / "gpu.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("gpu_script", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_gpu_it_says_so_and_exits_2():
    try:
        backend.require()
    except DeviceMissing:
        pass
    else:
        pytest.skip("there is a GPU")
    environment = {**os.environ, "PYTHONPATH": str(PATH.parent.parent)}
    done = subprocess.run([sys.executable, str(PATH)], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "no GPU" in done.stderr and "pip install" in done.stderr


def test_what_is_wrong_is_reported(script, tmp_path, monkeypatch):
    def fails():
        raise ValueError("broken")
        yield

    monkeypatch.setattr(script, "machine", lambda name: [])
    for part in ("correctness", "sanitizer", "timings", "fashion_mnist"):
        monkeypatch.setattr(script, part, lambda: iter([("fine", True)]))
    assert script.report("A card", tmp_path)
    monkeypatch.setattr(script, "timings", lambda: iter([("| row |", False)]))
    assert not script.report("A card", tmp_path)
    monkeypatch.setattr(script, "timings", fails)
    assert not script.report("A card", tmp_path)
    (path,) = tmp_path.iterdir()
    assert "ValueError: broken" in path.read_text() and path.name.endswith("-a-card.md")


def test_correctness_counts_every_row(script, monkeypatch):
    problems = script.importlib.import_module("cuda_problems")
    monkeypatch.setattr(problems, "CONV_CASES", problems.CONV_CASES[:1])
    monkeypatch.setattr(problems, "POOL_CASES", problems.POOL_CASES[:1])
    monkeypatch.setattr(tune, "TILES", (gemm.Tile(8, 8, 4, 2, 2),))
    with backend.run_on(cudasim.Executor()):
        lines = list(script.correctness())
    assert all(good for _, good in lines), lines
    names = [text.split(":")[0] for text, _ in lines]
    assert "conv winograd" in names and "conv_weight_grad im2col" in names and "lp_pool_grad" in names


def test_training_learns(script, monkeypatch):
    """Bright left half or bright right half: told apart after a few steps."""
    monkeypatch.setattr(tune, "TILES", (gemm.Tile(8, 8, 4, 2, 2),))
    labels = np.arange(20) % 2
    images = np.zeros((20, 4, 4))
    images[labels == 0, :, :2] = images[labels == 1, :, 2:] = 1
    with backend.run_on(cudasim.Executor()):
        assert script.training(images, labels, epochs=3, batch=9) == 1
