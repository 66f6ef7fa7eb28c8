"""``fastconv train``: what it does by itself, what it is told, own images, and which epoch it keeps."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from small_training import made_small, own_images

from fastconv import nn
from fastconv.cli import augmentation, images, inputs, main, recipes, stopping
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


GIVEN = dict.fromkeys(("model", "epochs", "batch_size", "optimizer", "lr", "momentum", "schedule", "augment", "folder"))


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
    assert "adam: learning rate 0.001, falling to 0 along a cosine; 1 epoch in batches of 20; seed 3" in before
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
        (["fashion-sketch", "--augment", "shift,rotatoin"], "did you mean 'rotation'"),
        (["--augment", "fashion-sketch"], "'fashion-sketch' is not one of flip, "),
        (["fashion-sketch", "--augment", "flip=0.5"], "flip has no strength"),
        (["fashion-sketch", "--augment", "shift=1.5"], "above 0, at most 1, such as shift=0.1"),
        (["fashion-sketch", "--augment", "noise=nan"], "the strength of noise is 'nan'"),
        (["fashion-sketch", "--augment", "flip, shift, flip"], "flip is named 2 times"),
        (["fashion-sketch", "--augment", ""], "'' is not one of flip, "),
        (["cylinder-bell-funnel", "--augment", "shift"], "--augment shift is for images, but these are series"),
        (["motion-sketch", "--augment", "noise,flip"], "--augment flip is for images, but these are videos"),
        (["fashion-sketch", "--folder", "."], "two sources of images"),
        (["--folder", "/absent"], "does not exist"),
        (["--resume", "{}/nothing"], "there is no run in"),
        (["fashion-sketch", "--out", "{}/a", "--resume", "{}/b"], "leave one of them out"),
        ([], "Missing argument 'DATASET'"),
    ],
)
def test_refused(words, text, tmp_path):
    words = [word.format(tmp_path) for word in words]
    done = train(*words, *([] if "--out" in words or "--resume" in words else ["--out", tmp_path / "runs" / "out"]))
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
    ["--augment", "--best"],
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


# Images changed at random


def test_what_suits_a_data_set():
    """Each is in the one spelling that run.json holds, and known to the kinds of samples that the data set has."""
    ranks = {name: zoo.by_name(network).rank for name, network in recipes.NETWORKS.items()}
    assert set(augmentation.SUITED) == set(ranks)
    for name, text in augmentation.SUITED.items():
        assert augmentation.Augmentations().convert(text, None, None) == text
        augmentation.check(text, inputs.KINDS[ranks[name]])
        assert augmentation.suited("usual", name) == text and augmentation.suited("zoom", name) == "zoom"
    assert "flip" not in augmentation.SUITED["mnist"] and "flip" in augmentation.SUITED["car-truck"]
    assert augmentation.Augmentations().convert("shift, rotation=5.0,flip", None, None) == "shift=0.1,rotation=5,flip"


def test_kinds_are_what_their_words_say():
    x = np.zeros((400, 20, 20, 1), np.float32)
    x[:, 8, 5] = 1.0  # one bright spot on an even ground

    def changed(text):
        made = x
        for layer in augmentation.layers(text, x):
            made = layer(made, training=True).numpy()
            assert np.array_equal(layer(x).numpy(), x)
        return made

    def spots(text):
        """Rows and columns of the middle of what is bright."""
        made = changed(text)[..., 0]
        return [(made.sum(axis=axis) * np.arange(20)).sum(axis=1) / made.sum(axis=(1, 2)) for axis in (2, 1)]

    rows, columns = spots("flip")
    assert set(rows) == {8} and set(columns) == {5, 14}
    rows, columns = spots("vertical-flip")
    assert set(rows) == {8, 11} and set(columns) == {5}
    rows, columns = spots("shift=0.2")
    for places, middle in ((rows, 8), (columns, 5)):
        assert 3.5 < np.abs(places - middle).max() <= 4.01  # a fifth of 20
    rows, columns = spots("rotation=90")
    turned = np.degrees(np.arctan2(rows - 9.5, columns - 9.5) - np.arctan2(8 - 9.5, 5 - 9.5))
    turned = (turned + 180) % 360 - 180
    assert 80 < turned.max() <= 93 and -93 <= turned.min() < -80
    assert abs(changed("noise=0.05")[:, 0].std() - 0.05) < 0.002
    assert 0.15 < changed("brightness=0.2")[:, 0].max() <= 0.2
    assert all(getattr(nn.layers, kind.make(kind.usual, {})[0]) for kind in augmentation.KINDS.values())


def test_what_moves_in_is_the_background():
    rng = np.random.default_rng(0)
    drawn, photographs = np.zeros((50, 8, 8, 1), np.float32), rng.random((50, 8, 8, 3), np.float32)
    drawn[:, 2:6, 2:6] = 1.0
    assert images.ground(drawn) == 0.0 and images.ground(1 - drawn) == 1.0 and images.ground(photographs) is None
    (layer,) = augmentation.layers("shift", 1 - drawn)
    assert (layer.fill_mode, layer.fill_value) == ("constant", 1.0)
    assert augmentation.layers("shift", photographs)[0].fill_mode == "reflect"


def test_the_test_and_the_saved_network_know_nothing_of_augmentation(tmp_path):
    words = ["fashion-sketch", *RUN, "--epochs", 2, "--best"]
    assert train(*words, "--out", tmp_path / "plain").exit_code == 0
    done = train(*words, "--augment", "flip,rotation", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "changed at random: mirrored left to right, turned by up to 10 degrees" in done.stderr
    record, history = read(tmp_path / "out"), read(tmp_path / "out", "history.json")
    assert record["arguments"]["augment"] == "flip,rotation=10"
    assert read(tmp_path / "plain")["arguments"]["augment"] is None
    assert history["loss"] != read(tmp_path / "plain", "history.json")["loss"]
    assert (tmp_path / "out" / "model.json").read_bytes() == (tmp_path / "plain" / "model.json").read_bytes()
    with np.load(tmp_path / "out" / "weights.npz") as mine, np.load(tmp_path / "plain" / "weights.npz") as other:
        assert mine.files == other.files
    counts = np.array(record["test"]["confusion_matrix"])
    assert counts.trace() / counts.sum() == pytest.approx(history["val_accuracy"][-1], abs=1e-6)
    assert "flip,rotation=10" in (tmp_path / "out" / "report.html").read_text()
    for words, text in (
        (["--augment", "flip"], "augment flip,rotation=10, not flip"),
        (["--augment"], "not flip,shift"),
    ):
        refused = train("--resume", tmp_path / "out", *words)
        assert refused.exit_code == 2 and text in refused.stderr


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
    words = [
        "--folder",
        own_images(tmp_path, dark=(0, 100), light=(100, 200)),
        "--image-size",
        16,
        "--model",
        "lecture-cnn",
        *RUN,
    ]
    done = train(*words, "--epochs", 3, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "own: 32 training and 8 test images" in done.stderr
    record = read(tmp_path / "out")
    assert record["network"]["classes"] == ["dark", "light"] and record["network"]["input_shape"] == [16, 16, 3]
    assert "is finished" in train("--resume", tmp_path / "out").stdout
    (tmp_path / "own" / "dark" / "0.png").write_text("no image")
    done = train(*words, "--out", tmp_path / "b")
    assert done.exit_code == 2 and "dark/0.png (its content is no image)" in done.stderr
