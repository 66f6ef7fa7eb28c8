"""``fastconv train``: what it does by itself, what it is told, own images, and which epoch it keeps."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from small_training import made_small

from fastconv.cli import main, recipes, stopping
from fastconv.nn import zoo


@pytest.fixture(autouse=True, scope="module")
def small():
    with made_small():
        yield


RUN = ["--batch-size", "20", "--seed", "3"]


def train(*words):
    return CliRunner().invoke(main, ["train", *map(str, words)])


def read(folder, name="run.json"):
    return json.loads((folder / name).read_text())


GIVEN = dict.fromkeys(("model", "epochs", "batch_size", "optimizer", "lr", "momentum", "schedule", "folder"))


@pytest.mark.parametrize(
    ("dataset", "given", "expected"),
    [
        ("fashion-mnist", {}, ("fashion-cnn", "sgd", 0.05, 0.9, "linear", 5, 64)),
        ("mnist", {}, ("mnist-cnn", "rmsprop", 0.001, None, "constant", 5, 64)),
        ("car-truck", {}, ("car-truck-cnn", "rmsprop", 0.001, None, "constant", 30, 64)),
        ("fashion-sketch", {}, ("lecture-cnn", "sgd", 0.05, 0.9, "linear", 5, 64)),
        ("motion-sketch", {}, ("video-cnn", "adam", 0.001, None, "linear", 10, 32)),
        ("mnist", {"model": "lenet-5"}, ("lenet-5", "sgd", 0.02, 0.9, "linear", 5, 64)),
        ("mnist", {"optimizer": "sgd"}, ("mnist-cnn", "sgd", 0.05, 0.9, "constant", 5, 64)),
        ("mnist", {"optimizer": "adam", "lr": 0.1}, ("mnist-cnn", "adam", 0.1, None, "constant", 5, 64)),
        ("fashion-mnist", {"momentum": 0.5, "epochs": 25}, ("fashion-cnn", "sgd", 0.05, 0.5, "linear", 25, 64)),
    ],
)
def test_what_is_not_said_is_the_networks_own(dataset, given, expected):
    done = recipes.complete({**GIVEN, "dataset": dataset, **given})
    names = ("model", "optimizer", "lr", "momentum", "schedule", "epochs", "batch_size")
    assert tuple(done[name] for name in names) == expected


def test_schedules_are_their_formulas():
    steps = 40
    formulas = {
        "linear": lambda t: 1 - t / steps,
        "cosine": lambda t: (1 + math.cos(math.pi * t / steps)) / 2,
        "steps": lambda t: 1.0 if t < 20 else 0.1 if t < 30 else 0.01,
    }
    assert set(formulas) == set(recipes.SCHEDULES)
    for name, formula in formulas.items():
        rate = recipes.schedule(name, 0.3, steps)
        assert [rate(t) for t in range(steps + 1)] == pytest.approx([0.3 * formula(t) for t in range(steps + 1)])
    assert recipes.schedule("constant", 0.3, steps) == 0.3


def test_it_shows_what_it_will_train(tmp_path):
    words = ["--optimizer", "adam", "--schedule", "cosine", "--epochs", 1, "--baseline", "--out", tmp_path / "out"]
    done = train("fashion-sketch", *RUN, *words)
    assert done.exit_code == 0, done.output
    before = done.stderr.partition("epoch 1/1")[0]
    assert "fashion-sketch: 120 training and 40 test images; " in before and "conv2d" in before
    assert "adam: learning rate 0.001, falling to 0 along a cosine; 1 epochs in batches of 20; seed 3" in before
    assert "least squares: accuracy 1.0000 in training, 0." in before
    record = read(tmp_path / "out")
    assert record["network"]["name"] == "lecture-cnn" and record["network"]["input_shape"] == [28, 28, 1]
    assert record["baseline"]["training"] == 1.0 and 0 < record["baseline"]["test"] < 1
    assert record["arguments"]["optimizer"] == "adam" and record["arguments"]["epochs"] == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["fashon-mnist"], "did you mean 'fashion-mnist'"),
        (["fashion-sketch", "--model", "lenet5"], "did you mean 'lenet-5'"),
        (["fashion-sketch", "--optimizer", "adamm"], "did you mean 'adam'"),
        (["fashion-sketch", "--schedule", "cosin"], "did you mean 'cosine'"),
        (["fashion-sketch", "--momentum", "0.9", "--optimizer", "adam"], "--momentum is for sgd"),
        (["fashion-sketch", "--model", "video-cnn"], "--model video-cnn takes videos, but fashion-sketch holds images"),
        (["cylinder-bell-funnel", "--model", "lenet-5"], "takes images, but cylinder-bell-funnel holds series"),
        (["fashion-sketch", "--early-stop", "0"], "--early-stop"),
        (["fashion-sketch", "--folder", "."], "two sources of images"),
        (["--folder", "/absent"], "does not exist"),
        (["--resume", "{}/nothing"], "there is no run in"),
        (["fashion-sketch", "--out", "{}/a", "--resume", "{}/b"], "leave one of them out"),
        ([], "Missing argument 'DATASET'"),
    ],
)
def test_refused(words, text, tmp_path):
    words = [word.format(tmp_path) for word in words]
    done = train(*words, *([] if "--out" in words or "--resume" in words else ["--out", tmp_path / "out"]))
    assert done.exit_code == 2 and text in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_best_and_last(tmp_path):
    done = train("fashion-sketch", *RUN, "--lr", 0.1, "--epochs", 6, "--best", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    history = read(tmp_path / "out", "history.json")
    best = int(np.argmax(history["val_accuracy"]))
    assert f"best after epoch {best + 1}: test accuracy {history['val_accuracy'][best]:.4f}" in done.stdout
    model = zoo.by_name("lecture-cnn").make((28, 28, 1), 10)
    from fastconv.nn.datasets import fashion_sketch

    _, (x, y) = fashion_sketch.load_data()
    for name, epoch in (("best.npz", best), ("weights.npz", 5)):
        model.load_weights(tmp_path / "out" / name)
        predicted = model.predict(x[..., None] / np.float32(255)).argmax(axis=1)
        assert np.mean(predicted == y) == pytest.approx(history["val_accuracy"][epoch], abs=1e-6)


def test_best_is_missed_where_it_was_lost(tmp_path, monkeypatch):
    stop_after(1, monkeypatch)
    assert train("fashion-sketch", *RUN, "--epochs", 3, "--best", "--out", tmp_path / "out").exit_code == 143
    monkeypatch.undo()
    kept = (tmp_path / "out" / "best.npz").read_bytes()
    (tmp_path / "out" / "best.npz").unlink()
    lost = train("--resume", tmp_path / "out")
    assert lost.exit_code == 2 and "best.npz is damaged: it is not there" in lost.stderr
    (tmp_path / "out" / "best.npz").write_bytes(kept)
    assert train("--resume", tmp_path / "out").exit_code == 0


def stop_after(epochs, monkeypatch):
    """SIGTERM at the end of an epoch."""
    from fastconv.cli.interruption import Interruption

    original = Interruption.on_epoch_end

    def stop(self, epoch, logs=None):
        self.number = 15 if epoch + 1 == epochs else None
        original(self, epoch, logs)

    monkeypatch.setattr(Interruption, "on_epoch_end", stop)


OPTIONS = [
    pytest.param(["--optimizer", "adam", "--schedule", "cosine"], marks=pytest.mark.slow),
    ["--optimizer", "rmsprop", "--schedule", "steps", "--best"],
    ["--early-stop", "2", "--best", "--schedule", "constant"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_resume_by_the_folder_alone(options, tmp_path, monkeypatch):
    words = ["fashion-sketch", *RUN, "--epochs", 5, *options]
    assert train(*words, "--out", tmp_path / "whole").exit_code == 0
    stop_after(2, monkeypatch)
    assert train(*words, "--out", tmp_path / "out").exit_code == 143
    monkeypatch.undo()
    done = train("--resume", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Going on after epoch 2 of 5" in done.stderr
    for name in ("weights.npz", "history.json", "history.csv", *(["best.npz"] if "--best" in options else [])):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert read(tmp_path / "out")["test"] == read(tmp_path / "whole")["test"]


def test_early_stop(tmp_path, monkeypatch):
    losses = iter([1.0, 0.9, 0.95, 0.92, 0.5, 0.4])
    original = stopping.EarlyStop.on_epoch_end

    def scripted(self, epoch, logs=None):
        original(self, epoch, {"val_loss": next(losses)})

    monkeypatch.setattr(stopping.EarlyStop, "on_epoch_end", scripted)
    done = train("fashion-sketch", *RUN, "--epochs", 6, "--early-stop", 2, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert len(read(tmp_path / "out", "history.json")["loss"]) == 4  # two epochs after the lowest
    record = read(tmp_path / "out")
    assert record["status"] == "finished" and record["arguments"]["early_stop"] == 2
    assert train("fashion-sketch", "--epochs", 1, "--early-stop", "--out", tmp_path / "b").exit_code == 0
    assert read(tmp_path / "b")["arguments"]["early_stop"] == 5


def test_when_it_is_time_to_stop():
    for patience, losses, due in (
        (1, [1.0, 1.0], True),
        (2, [1.0, 0.5, 0.6], False),
        (2, [1.0, 0.5, 0.6, 0.5], True),
        (2, [math.nan, math.nan], False),
        (None, [1.0] * 50, False),
        (1, [], False),
    ):
        assert stopping.EarlyStop(patience).is_due({"val_loss": losses}) == due


def test_own_images(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(20):
            x = rng.integers(100 * label, 100 * label + 100, (20, 24, 3))
            Image.fromarray(x.astype(np.uint8)).save(tmp_path / "own" / name / f"{i}.png")
    words = ["--folder", tmp_path / "own", "--image-size", 16, "--model", "lecture-cnn", *RUN]
    done = train(*words, "--epochs", 3, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "own: 32 training and 8 test images" in done.stderr
    record = read(tmp_path / "out")
    assert record["network"]["classes"] == ["dark", "light"] and record["network"]["input_shape"] == [16, 16, 3]
    assert "is finished" in train("--resume", tmp_path / "out").stdout
    (tmp_path / "own" / "dark" / "0.png").write_text("no image")
    done = train(*words, "--out", tmp_path / "b")
    assert done.exit_code == 2 and "dark/0.png (its content is no image)" in done.stderr
