"""Weights in files, and the callbacks."""

import csv
import json
import math
import re
import sys

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import DataUnavailable, InvalidArgument, MissingExtra

L, C = keras.layers, keras.callbacks
X = np.random.default_rng(3).random((32, 6)).astype(np.float32)
Y = (X.sum(axis=1) > 3).astype(int)


def tiny(seed=1, **options):
    model = keras.Sequential(
        [L.Dense(8, activation="relu", input_dim=6), L.BatchNormalization(), L.Dense(2, activation="softmax")],
        seed=seed,
    )
    model.compile(keras.optimizers.SGD(0.1, **options), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_weights_come_back(suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    model, other = tiny(), tiny(seed=2)
    model.fit(X, Y, verbose=0)
    path = tmp_path / f"weights{suffix}"
    model.save_weights(path)
    other.load_weights(str(path))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    assert np.array_equal(model.predict(X), other.predict(X))
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing is left behind"
    with pytest.raises(InvalidArgument, match="is there already"):
        model.save_weights(path, overwrite=False)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_files_are_refused_and_change_nothing(suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    model = tiny()
    path = tmp_path / f"weights{suffix}"
    tiny(seed=2).save_weights(path)
    whole, before = path.read_bytes(), model.get_weights()
    for broken in (whole[:-20], whole[: len(whole) // 2], b"", b"no weights at all"):
        path.write_bytes(broken)
        with pytest.raises(DataUnavailable, match="is damaged or not a"):
            model.load_weights(path)
    if suffix == ".npz":  # zip files carry checksums
        at = whole.index(b"NUMPY") + 200
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(DataUnavailable, match="damaged"):
            model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_files_of_another_model_are_refused_by_layer(tmp_path):
    path = tmp_path / "weights.npz"
    keras.Sequential([L.Dense(8, input_dim=5), L.BatchNormalization(), L.Dense(2)]).save_weights(path)
    with pytest.raises(
        InvalidArgument, match=r"weight 'kernel' of layer 'dense' has shape \(6, 8\) but .* holds \(5, 8\)"
    ):
        tiny().load_weights(path)
    keras.Sequential([L.Dense(8, input_dim=6)]).save_weights(path)
    with pytest.raises(InvalidArgument, match="'gamma' of layer 'batch_normalization' is missing in the file"):
        tiny().load_weights(path)
    keras.Sequential([L.Dense(8, input_dim=6), L.BatchNormalization(), L.Dense(2), L.Dense(2)]).save_weights(path)
    with pytest.raises(InvalidArgument, match="'kernel' of layer 'dense_2' is missing in the model"):
        tiny().load_weights(path)


def test_paths_that_do_not_work(tmp_path):
    model = tiny()
    with pytest.raises(DataUnavailable, match="does not exist"):
        model.load_weights(tmp_path / "none.npz")
    with pytest.raises(DataUnavailable, match=r"cannot be written: No such file .* folder"):
        model.save_weights(tmp_path / "none" / "weights.npz")
    with pytest.raises(InvalidArgument, match=r"end the name with \.npz or \.safetensors or \.weights\.h5"):
        model.save_weights(tmp_path / "weights.hdf")
    with pytest.raises(InvalidArgument, match="expected a path"):
        model.load_weights(3)
    with pytest.raises(InvalidArgument, match="no weights yet"):
        keras.Sequential([L.Dense(3)]).save_weights(tmp_path / "weights.npz")
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(DataUnavailable, match="single array"):
        model.load_weights(tmp_path / "array.npz")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    model, path = tiny(), tmp_path / "weights.npz"
    model.save_weights(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataUnavailable, match="No space left"):
        model.save_weights(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_missing_safetensors_names_the_package(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtra, match="pip install"):
        tiny().save_weights(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(MissingExtra, match="pip install"):
        tiny().load_weights(tmp_path / "weights.safetensors")


class Scripted(C.Callback):
    """Puts given numbers into the logs, before the callbacks that follow it see them."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update({key: value[epoch] for key, value in self.values.items()})


def fit(*callbacks, epochs=6, **options):
    model = tiny()
    return model, model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)


def test_events_come_in_order():
    events = []
    names = [f"on_{when}_{edge}" for when in ("train", "epoch", "batch") for edge in ("begin", "end")]
    record = {name: lambda *a, n=name: events.append((n, a[0] if isinstance(a[0], int) else None)) for name in names}
    fit(C.LambdaCallback(**record), epochs=1, batch_size=16)
    assert events == [
        ("on_train_begin", None),
        ("on_epoch_begin", 0),
        *((f"on_batch_{edge}", i) for i in (0, 1) for edge in ("begin", "end")),
        ("on_epoch_end", 0),
        ("on_train_end", None),
    ]
    with pytest.raises(InvalidArgument, match="unknown event 'on_epoch'"):
        C.LambdaCallback(on_epoch=print)


def test_batch_logs_are_running_means():
    seen = []
    _, history = fit(C.LambdaCallback(on_batch_end=lambda batch, logs: seen.append(logs)), epochs=1, batch_size=10)
    assert len(seen) == 4
    assert seen[-1] == {key: values[0] for key, values in history.history.items()}
    assert set(seen[0]) == {"loss", "accuracy"}


def test_early_stopping_restores_the_best():
    weights = []
    record = C.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(record.model.get_weights()))
    stop = C.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
    model, history = fit(Scripted(val_loss=[3, 1, 2, 2, 2, 2]), record, stop)
    assert history.epoch == [0, 1, 2, 3]
    assert stop.stopped_epoch == 3
    assert stop.best_epoch == 1
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights[1], strict=True))


def test_early_stopping_modes_and_delta(capsys):
    assert len(fit(Scripted(val_accuracy=[1, 2, 3, 2, 1, 0]), C.EarlyStopping("val_accuracy"))[1].epoch) == 4
    assert len(fit(Scripted(q=[1, 2, 3, 3, 3, 3]), C.EarlyStopping("q", mode="max", patience=2))[1].epoch) == 5
    assert (
        len(fit(Scripted(q=[9, 8.9, 8.8, 8.7, 8.6, 8.5]), C.EarlyStopping("q", min_delta=0.5, patience=2))[1].epoch)
        == 3
    )
    assert len(fit(Scripted(q=[9] * 6), C.EarlyStopping("q", baseline=5, verbose=1, start_from_epoch=2))[1].epoch) == 3
    assert "early stopping" in capsys.readouterr().out
    with pytest.raises(
        InvalidArgument, match="monitors 'val_loss' but the logs hold loss, accuracy; pass validation_data"
    ):
        fit(C.EarlyStopping())
    with pytest.raises(InvalidArgument, match="unknown mode 'up'"):
        C.EarlyStopping(mode="up")


def test_checkpoints(tmp_path, capsys):
    fit(C.ModelCheckpoint(tmp_path / "w-{epoch:02d}-{loss:.0f}.npz"), epochs=2)
    assert sorted(p.name[:5] for p in tmp_path.iterdir()) == ["w-01-", "w-02-"]
    best = C.ModelCheckpoint(str(tmp_path / "best.npz"), monitor="q", save_best_only=True, verbose=1)
    model, _ = fit(Scripted(q=[3, 1, 2]), best, epochs=3)
    assert capsys.readouterr().out.count("saved") == 2
    assert best.best == 1
    model.load_weights(tmp_path / "best.npz")
    with pytest.raises(InvalidArgument, match="known are epoch, loss, accuracy"):
        fit(C.ModelCheckpoint(tmp_path / "{val_loss}.npz"))
    with pytest.raises(InvalidArgument, match="save_weights_only=False, but .* end the name with .keras"):
        C.ModelCheckpoint("w.npz", save_weights_only=False)
    with pytest.raises(InvalidArgument, match="save_weights_only=True, but .* end the name with .weights.h5"):
        C.ModelCheckpoint("w.keras", save_weights_only=True)
    with pytest.raises(InvalidArgument, match="end the name"):
        C.ModelCheckpoint("w.hdf")


def test_checkpoints_between_epochs(tmp_path):
    """Counted through the epochs, as Keras does: two of 5 batches each, a file after every third."""
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    kept = C.ModelCheckpoint(tmp_path / "{epoch}-{batch}.npz", save_freq=3)
    model.fit(np.ones((10, 2)), np.ones(10), batch_size=2, epochs=2, verbose=0, callbacks=kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-3.npz", "2-1.npz", "2-4.npz"]
    for wrong in ("batch", 0, 1.5):
        with pytest.raises(InvalidArgument, match="save_freq"):
            C.ModelCheckpoint("w.npz", save_freq=wrong)


def test_a_checkpoint_has_to_beat_the_threshold(tmp_path):
    for threshold, saved in ((2, 1), (0.5, 0)):
        best = C.ModelCheckpoint(
            tmp_path / f"{threshold}.npz", "q", save_best_only=True, initial_value_threshold=threshold
        )
        fit(Scripted(q=[3, 1, 2]), best, epochs=3)
        assert (tmp_path / f"{threshold}.npz").exists() == saved
        assert best.best == (1 if saved else threshold)
    with pytest.raises(InvalidArgument, match="initial_value_threshold"):
        C.ModelCheckpoint("w.npz", initial_value_threshold="low")


def test_losses_that_are_no_number_can_raise():
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    x = np.full((4, 1), np.nan)
    assert model.fit(x, np.ones(4), epochs=2, verbose=0, callbacks=C.TerminateOnNaN()).epoch == [0]
    with pytest.raises(RuntimeError, match="batch 0: the loss is not finite"):
        model.fit(x, np.ones(4), verbose=0, callbacks=C.TerminateOnNaN(raise_error=True))


def test_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    _, history = fit(C.CSVLogger(path), epochs=2)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    fit(C.CSVLogger(path, append=True), epochs=1)
    assert len(path.read_text().splitlines()) == 4
    fit(C.CSVLogger(path, separator=";"), epochs=1)
    assert path.read_text().splitlines()[0] == "epoch;loss;accuracy"
    with pytest.raises(DataUnavailable, match="cannot be written"):
        fit(C.CSVLogger(tmp_path / "none" / "log.csv"))


def test_learning_rate_callbacks(capsys):
    model, history = fit(C.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1), verbose=1), epochs=2)
    assert history.history["learning_rate"] == [0.1, 0.05]
    assert model.optimizer.lr == 0.05
    model, _ = fit(C.LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=3)
    assert math.isclose(model.optimizer.learning_rate, 0.1 / 8)
    reduce = C.ReduceLROnPlateau("q", factor=0.5, patience=1, cooldown=2, min_lr=0.03, verbose=1)
    model, history = fit(Scripted(q=[5, 5, 5, 5, 4, 4]), reduce)
    assert history.history["learning_rate"] == [0.1, 0.1, 0.05, 0.05, 0.03, 0.03]
    assert "reduced to 0.05" in capsys.readouterr().out
    with pytest.raises(InvalidArgument, match="factor is 2"):
        C.ReduceLROnPlateau(factor=2)
    with pytest.raises(InvalidArgument, match="schedule is 3"):
        C.LearningRateScheduler(3)
    model = tiny()
    model.optimizer.learning_rate = lambda step: 0.1
    with pytest.raises(InvalidArgument, match="learning_rate is a function"):
        model.fit(X, Y, verbose=0, callbacks=[C.ReduceLROnPlateau("loss")])


def test_terminate_on_nan(capsys):
    model = tiny()
    x = X.copy()
    x[0] = np.nan
    history = model.fit(x, Y, epochs=5, batch_size=8, verbose=0, shuffle=False, callbacks=C.TerminateOnNaN())
    assert history.epoch == [0]
    assert "Batch 0" in capsys.readouterr().out


def test_history_is_plain_data():
    _, history = fit(epochs=2)
    assert json.loads(json.dumps(history.history)) == history.history
    assert history.epoch == [0, 1]


def test_training_can_be_continued():
    model, history = fit(epochs=5, initial_epoch=3)
    assert history.epoch == [3, 4]
    assert model.history is history


def test_progress_lines(capsys, monkeypatch):
    tiny().fit(X, Y, epochs=1, verbose=2, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/1"
    assert lines[1].startswith("1/1 - 0s - ")
    assert [part.split(":")[0] for part in lines[1].split(" - ")[3:]] == [
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
    ]

    import sys

    from fastconv.nn.callbacks import progress

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "INTERVAL", -1)
    tiny().fit(X, Y, epochs=1, batch_size=8)
    assert capsys.readouterr().out.count("\r") == 4 + 1


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_training_continues_from_a_saved_state(suffix, tmp_path):
    """Weights, velocities, iterations, shuffling and both kinds of dropout: the same bits as without the break."""
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")

    def model_with(optimizer):
        model = keras.Sequential(
            [L.Dense(8, input_dim=6), L.Dropout(0.5), L.BatchNormalization(), L.Dropout(0.2, seed=4), L.Dense(2)],
            seed=1,
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss)
        return model

    path = tmp_path / f"run{suffix}"
    for make in (lambda: keras.optimizers.SGD(0.05, momentum=0.9, decay=0.1), lambda: keras.optimizers.Adam(0.01)):
        whole, first, second = (model_with(make()) for _ in range(3))
        expected = whole.fit(X, Y, epochs=4, batch_size=8, verbose=0).history["loss"]
        first.fit(X, Y, epochs=2, batch_size=8, verbose=0)
        first.save_state(path)
        second.load_state(path)
        got = second.fit(X, Y, epochs=4, initial_epoch=2, batch_size=8, verbose=0).history["loss"]
        assert got == expected[2:]
        assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), second.get_weights(), strict=True))


def test_states_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    model = tiny()
    model.save_weights(path)
    with pytest.raises(InvalidArgument, match="is no training state; for weights alone use load_weights"):
        model.load_state(path)
    model.save_state(path)
    other = tiny()
    other.layers.append(L.Dropout(0.5, seed=1))
    other.layers[-1].ensure_built((None, 2))
    with pytest.raises(InvalidArgument, match="holds 1 random generators but the model has 2"):
        other.load_state(path)
    with pytest.raises(InvalidArgument, match="not compiled"):
        keras.Sequential([L.Dense(3, input_dim=2)]).save_state(path)


def arrays_of(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


BAD_STATES = {
    "weight missing": (lambda a: a.pop("weights/dense/bias"), "'bias' of layer 'dense' is missing in the file"),
    "weight of another shape": (lambda a: a.update({"weights/dense/bias": np.zeros(7)}), r"but .* holds \(7,\)"),
    "state of another shape": (
        lambda a: a.update({"optimizer/dense/kernel/mean": np.zeros((8, 6), np.float32)}),
        "the saved state of weight 'dense/kernel' is damaged",
    ),
    "both of another shape": (
        lambda a: a.update({f"optimizer/dense/bias/{slot}": np.zeros(3, np.float32) for slot in ("mean", "square")}),
        r"arrays \(3,\) \(float32\) for a weight \(8,\)",
    ),
    "another dtype": (
        lambda a: a.update({f"optimizer/dense/bias/{slot}": np.zeros(8) for slot in ("mean", "square")}),
        r"arrays \(8,\) \(float64\) for a weight \(8,\) \(float32\)",
    ),
    "slot missing": (lambda a: a.pop("optimizer/dense/bias/mean"), "not one of Adam: 'mean' is missing"),
    "slot too many": (
        lambda a: a.update({"optimizer/dense/bias/velocity": np.zeros(8)}),
        "not one of Adam: it has 'velocity'",
    ),
    "state of no weight": (
        lambda a: a.update({f"optimizer/gone/w/{slot}": np.zeros(8, np.float32) for slot in ("mean", "square")}),
        "there is no weight 'gone/w'",
    ),
    "iterations": (lambda a: a.update({"optimizer/iterations": np.array(-1)}), "has iterations array"),
    "half an iteration": (lambda a: a.update({"optimizer/iterations": np.array(0.5)}), "iterations=0.5"),
    "rate": (lambda a: a.update({"optimizer/learning_rate": np.array(np.nan)}), "has learning_rate array"),
    "no iterations": (lambda a: a.pop("optimizer/iterations"), "'iterations' is missing"),
}
DAMAGED = {
    "no text": b"\xff",
    "no list": b"3",
    "no state": b"[3]",
    "another kind": b'[{"bit_generator": "MT19937", "state": {}}]',
    "half a state": b'[{"bit_generator": "PCG64"}]',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("case", [*BAD_STATES, *DAMAGED])
def test_a_state_that_cannot_be_loaded_changes_nothing(case, tmp_path):
    path = tmp_path / "run.npz"
    model = tiny()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=8, verbose=0)
    model.save_state(path)
    arrays = arrays_of(path)
    if case in DAMAGED:
        error, message = DataUnavailable, "is damaged"
        arrays["generators"] = np.frombuffer(DAMAGED[case], np.uint8)
    else:
        error, (change, message) = InvalidArgument, BAD_STATES[case]
        change(arrays)
    np.savez(path, **arrays)
    other = tiny(seed=2)
    other.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    other.train_on_batch(X, Y)
    before = other.get_weights(), other.optimizer.get_state(), other.generator().bit_generator.state
    with pytest.raises(error, match=message) as raised:
        other.load_state(path)
    assert len(str(raised.value)) < 600
    after = other.get_weights(), other.optimizer.get_state(), other.generator().bit_generator.state
    assert all(map(np.array_equal, before[0], after[0]))
    assert before[1].keys() == after[1].keys()
    assert all(np.array_equal(before[1][key], after[1][key]) for key in before[1])
    assert before[2] == after[2]


def test_a_state_goes_by_the_names_of_weights(tmp_path):
    """Whatever was frozen, or trained first, when it was saved."""
    path = tmp_path / "run.npz"
    whole, first, second = (tiny(momentum=0.9) for _ in range(3))
    for model in (whole, first):
        model.layers[0].trainable = False
        model.train_on_batch(X, Y)
        model.layers[0].trainable = True
        model.train_on_batch(X, Y)
        model.layers[2].trainable = False
    first.save_state(path)
    names = {name.removeprefix("optimizer/") for name in arrays_of(path) if name.endswith("/velocity")}
    assert names == {f"{name}/velocity" for name in ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias",
                     "batch_normalization/gamma", "batch_normalization/beta")}  # fmt: skip
    second.load_state(path)
    for model in (whole, second):
        model.layers[2].trainable = True
        model.train_on_batch(X, Y)
    assert all(map(np.array_equal, whole.get_weights(), second.get_weights()))


def test_states_by_position_of_older_files_are_read(tmp_path):
    path = tmp_path / "run.npz"
    whole, first, second = (tiny(momentum=0.9) for _ in range(3))
    for model in (whole, first):
        model.train_on_batch(X, Y)
    first.save_state(path)
    arrays = {key: a for key, a in arrays_of(path).items() if not key.endswith(("/velocity", "/steps"))}
    for i, state in enumerate(first.optimizer._states.all):
        arrays[f"optimizer/{i}/velocity"] = state.arrays[0]
    np.savez(path, **arrays)
    second.load_state(path)
    for model in (whole, second):
        model.train_on_batch(X, Y)
    assert all(map(np.array_equal, whole.get_weights(), second.get_weights()))
    second.layers[0].trainable = False
    with pytest.raises(InvalidArgument, match="holds the state of 6 weights, which are not, one by one"):
        second.load_state(path)


def test_tensorboard(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    fit(C.TensorBoard(tmp_path), epochs=2, validation_data=(X, Y))
    options = {"write_graph": True, "write_images": True, "update_freq": "batch", "write_steps_per_second": True}
    fit(C.TensorBoard(tmp_path, histogram_freq=1, **options), epochs=1)
    train, held_out = (
        b"".join(path.read_bytes() for path in (tmp_path / folder).iterdir()) for folder in ("train", "validation")
    )
    assert all(tag in train for tag in (b"epoch_loss", b"epoch_accuracy", b"batch_loss", b"dense/kernel"))
    assert all(tag in train for tag in (b"Total params", b"epoch_steps_per_second"))
    assert b"epoch_loss" in held_out and b"batch_loss" not in held_out
    with pytest.raises(InvalidArgument, match="profile_batch cannot be served"):
        C.TensorBoard(tmp_path, profile_batch=2)
    import sys

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra, match="pip install"):
        C.TensorBoard(tmp_path)


class Cell:
    """The output of a notebook's cell, and the module that puts things there."""

    def __init__(self):
        self.written, self.shown, self.updates = [], [], 0

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass

    def display(self, data, raw, display_id):
        assert raw and display_id
        self.shown.append(data["text/plain"])
        return self

    def update(self, data, raw):
        self.shown[-1], self.updates = data["text/plain"], self.updates + 1


def test_a_notebook_shows_one_line_an_epoch(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(Cell, "__module__", "ipykernel.iostream")
    monkeypatch.setitem(sys.modules, "IPython.display", cell)
    monkeypatch.setattr(sys, "stdout", cell)
    monkeypatch.setattr("fastconv.nn.callbacks.progress.INTERVAL", 0)
    tiny().fit(X, Y, epochs=2, verbose=1)
    monkeypatch.undo()
    assert "".join(cell.written) == "Epoch 1/2\nEpoch 2/2\n"
    assert len(cell.shown) == 2 and cell.updates >= 2, "each line takes the place of those before it"
    assert all(re.match(r"(\d+)/\1 .* - loss: \d", line) for line in cell.shown)
