"""The programs in examples/ run as they are, and reach what they, or the guide, say."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "guide" / "cnn-by-hand.md").read_text(encoding="utf-8")
PROGRAM = (EXAMPLES / "cnn_by_hand.py").read_text(encoding="utf-8")
KERAS = "from fastconv import nn as keras\n"

#: What a program in Keras's words prints at its end, with the least and the most that its last figure may be.
REACHED = {
    "autoencoder": (r"error [\d.]+ before, ([\d.]+) after", 0, 0.15),
    "callbacks": (r"stopped after \d+ epochs, validation loss ([\d.]+)", 0, 0.5),
    "class_weights": (r"by frequency: .* recall ([\d.]+)", 0.5, 1),
    "custom_layer": (r"test accuracy ([\d.]+)", 0.95, 1),
    "custom_training_loop": (r"epoch 6: .* test accuracy ([\d.]+)", 0.95, 1),
    "image_classifier": (r"validation accuracy ([\d.]+)", 0.8, 1),
    "segmentation_unet": (r"intersection over union ([\d.]+)", 0.7, 1),
    "signal_regression": (r"mean absolute error ([\d.]+) periods", 0, 0.4),
    "skip_connections": (r"test accuracy ([\d.]+)", 0.8, 1),
    "transfer_learning": (r"test accuracy ([\d.]+) from 40 images", 0.95, 1),
}

LONGER = {"autoencoder", "class_weights", "segmentation_unet", "skip_connections"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONGER)) for name in REACHED])
def test_programs_in_keras_words(name, capsys):
    """In this process: what they compile is there already."""
    pattern, least, most = REACHED[name]
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    found = re.findall(pattern, capsys.readouterr().out)
    assert found and least <= float(found[-1]) <= most


def test_programs_in_keras_words_are_all_run():
    """Each says Keras's name in its one line of fastconv, so that it runs with ``import keras`` too."""
    programs = {path.stem for path in EXAMPLES.glob("*.py") if KERAS in path.read_text(encoding="utf-8")}
    assert programs - {"onnx_roundtrip", "train_over_mpi"} == set(REACHED)


def test_a_network_by_hand():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "cnn_by_hand.py")],
        capture_output=True, text=True, check=False, timeout=280, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracies = [float(a) for a in re.findall(r"test accuracy ([\d.]+)", done.stdout)]
    stated = float(re.search(r"test accuracy ([\d.]+) after five epochs", PAGE)[1])
    assert len(accuracies) == 5
    assert abs(accuracies[-1] - stated) < 0.02, "training is the same everywhere but for the last bits of its kernels"
    assert "<Graph of 10 operations, 6 leaves and 1 constants" in done.stdout


@pytest.mark.parametrize("listing", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_listings_of_the_page_are_the_programs(listing):
    assert listing in PROGRAM
