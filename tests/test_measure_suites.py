"""The suites that are no problems: emitted functions by themselves, and models that are trained."""

import dataclasses
import itertools
import json
import math
import sys

import numpy as np
import pytest

from fastconv import measure
from fastconv.cpu import repeated
from fastconv.errors import InvalidArgument
from fastconv.measure import Rival, kernels, training
from fastconv.measure.training import models, rivals
from fastconv.simd.host import TILE_VECTORS, host, tile_rows

# Kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("group", kernels.GROUPS)
def test_every_function_is_right(group, dtype):
    subjects = list(kernels.GROUPS[group](dtype))
    names = [(s.name, s.place) for s in subjects]
    assert len(set(names)) == len(names)
    for subject in subjects:
        assert subject.error() <= kernels.TOLERANCES[dtype], subject.name
        assert subject.work > 0


def test_every_tile_is_measured():
    names = {(s.name, s.place) for s in kernels.GROUPS["tile"]("float32")}
    shapes = itertools.product(range(1, tile_rows() + 1), range(1, TILE_VECTORS + 1))
    assert names == {(f"{rows}x{vectors}", place) for rows, vectors in shapes for place in ("L1", "L2")}


@pytest.mark.parametrize("group", ["depth sweep", "winograd"])
def test_speed_and_fraction(group):
    rows = kernels.measure_kernels(group, "float32", 0.005)
    assert rows
    for row in rows:
        assert row.speed == row.work / row.timing.minimum / 1e9
        assert 0 < row.fraction < 3
        assert row.unit == ("GB/s" if group == "winograd" else "GFLOP/s")
        json.dumps(row.as_dict(), allow_nan=False)


def test_work_is_that_of_the_sum():
    (tile,) = (s for s in kernels.GROUPS["tile"]("float64") if (s.name, s.place) == ("3x2", "L1"))
    assert tile.work == 2 * 3 * 2 * host().lanes(8) * 64 * 2  # operations, rows, vectors, lanes, depth, tiles
    (eight,) = (s for s in kernels.GROUPS["fft"]("float32") if s.name.endswith("of 8"))
    assert eight.work == 5 * 8 * 3 * host().lanes(4) * 16  # points, their logarithm, lanes, transforms


def test_a_wrong_function_is_not_timed(monkeypatch):
    calls = []
    monkeypatch.setattr(repeated, "repeat_depth", lambda *arguments: calls.append(arguments))
    rows = kernels.measure_kernels("depth sweep", "float32", 0.005)
    assert [row.timing for row in rows] == [None] * len(rows) == [None] * len(calls)
    assert all(row.error == math.inf for row in rows)
    assert "wrong" in rows[0].as_dict()["note"]


def test_unknown_group():
    with pytest.raises(InvalidArgument, match="tile"):
        kernels.measure_kernels("tiles", "float32", 1)


# Training


@pytest.fixture
def tiny(monkeypatch):
    """A model that trains in a millisecond, in the place of the suite's."""
    model = dataclasses.replace(models.MODELS["lenet"], name="tiny", shape=(16, 16, 1), classes=3)
    monkeypatch.setattr(training, "MODELS", {"tiny": model})
    return model


def rival_that(monkeypatch, name, change):
    """A rival that is fastconv itself, its losses changed."""

    def make(model, batches, threads):
        ours = models.our_contender(model, batches)
        return [dataclasses.replace(ours, variant=name, train=lambda i: change(ours.train(i)))]

    monkeypatch.setitem(training.TRAINERS, name, make)
    return Rival(name, "numpy", "pip install numpy", lambda *_: "no problems")


def test_training_and_predicting_are_timed(monkeypatch, tiny):
    rows = training.measure_training("tiny", [rival_that(monkeypatch, "twin", float)], seconds=0.01, batch=4)
    assert [(row.work, row.batch) for row in rows] == [("train", 4), ("predict", 4)]
    for row in rows:
        entry = row.ours[row.work]
        assert row.speed(entry) == 4 / entry.timing.minimum
        assert row.best("twin").error < training.TOLERANCE
        assert 0.2 < row.ratio(row.work, "twin") < 5
        json.dumps(row.as_dict(), allow_nan=False)
    assert set(measure.summary(rows)) == {"train", "predict"}


@pytest.mark.parametrize("change", [lambda loss: loss * 1.002, lambda loss: math.nan])
def test_a_rival_with_other_losses_is_not_timed(monkeypatch, tiny, change):
    rows = training.measure_training("tiny", [rival_that(monkeypatch, "other", change)], seconds=0.01, batch=4)
    for row in rows:
        (entry,) = row.rivals["other"]
        assert entry.timing is None and "other losses" in entry.note
        assert row.ratio(row.work, "other") is None


@pytest.mark.parametrize("name", models.MODELS)
def test_losses_fall_when_they_are_compared(name):
    """A gradient that is not applied would be noticed; the batch is small for the test."""
    model = models.MODELS[name]
    losses = training._losses(models.our_contender(model.built(gentle=True), model.batches(8)))
    assert losses[0] - losses[-1] > 3 * training.TOLERANCE * losses[0]


def test_a_rival_without_models_takes_no_part(tiny):
    scipy = Rival("scipy", "scipy", "pip install scipy", lambda *_: "no problems")
    assert all(not row.rivals for row in training.measure_training("tiny", [scipy], seconds=0.01, batch=4))


@pytest.mark.filterwarnings("ignore")  # of Keras, about NumPy
@pytest.mark.parametrize("name", training.TRAINERS)
@pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)
def test_losses_of_the_rivals(name, model):
    pytest.importorskip(name, exc_type=ImportError)
    batches = model.batches()  # smaller ones make batch normalisation too sensitive
    expected = training._losses(models.our_contender(model.built(gentle=True), batches))
    for contender in training.TRAINERS[name](model.built(gentle=True), batches, 1):
        assert not training._judge(name, contender, expected).note
        predicted = np.asarray(contender.predict(0))
        np.testing.assert_allclose(predicted.sum(axis=1), 1, rtol=1e-4)


def test_keras_without_its_backend(monkeypatch, tiny):
    monkeypatch.setitem(sys.modules, "keras", None)
    assert "KERAS_BACKEND" in rivals.keras_contenders(tiny.built(), tiny.batches(2), 1)


def test_an_unknown_layer_is_refused(tiny):
    model = tiny.built()
    model.pop()
    with pytest.raises(InvalidArgument, match="softmax"):
        rivals._torch_layers(None, model)


def test_unknown_model():
    with pytest.raises(InvalidArgument, match="lecture"):
        training.measure_training("lectures")


def test_templates_are_matched_beside_who_does_that(monkeypatch):
    from fastconv.measure.replaced import Call, image_calls, measure_call
    from fastconv.measure.rivals import RIVALS

    call, slow = Call("image.match_template", ((12, 14), (3, 4))), []

    def skimage(x, template):
        slow.append(x.dtype)
        return image_calls.expected(x.astype(float), template.astype(float))

    monkeypatch.setattr(image_calls, "rivals", lambda dtype: {"skimage": skimage})
    (row,) = measure_call(call, "float32", [RIVALS["skimage"], RIVALS["torch"]], seconds=0.01)
    assert not row.wrong
    assert row.ours["auto"].error < 1e-5
    assert list(row.rivals) == ["skimage"]
    assert slow[0] == "float32"
    x, template = call.arrays(float)
    window = x[2:5, 3:7]
    score = np.corrcoef(window.ravel(), template.ravel())[0, 1]
    np.testing.assert_allclose(image_calls.expected(x, template)[2, 3], score)
