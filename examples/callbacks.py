"""What happens round training: stopping early, keeping the best, smaller steps, a log, and a callback of one's own.

python examples/callbacks.py
"""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastconv import nn as keras


class Stopwatch(keras.callbacks.Callback):
    """Counts batches and remembers how the loss fell."""

    def on_train_begin(self, logs=None):
        self.batches, self.losses = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])


def parity(count, rng):
    """Whether a spot lies on a dark or a bright ground: a task that is learnt quickly and then overfitted."""
    y = rng.integers(0, 2, count)
    x = rng.normal(0, 1, (count, 8, 8, 1)) + 0.4 * y[:, None, None, None]
    return x.astype("float32"), y


rng = np.random.default_rng(0)
keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((8, 8, 1)),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
stopwatch = Stopwatch()
held_out = parity(200, rng)
with TemporaryDirectory() as folder:
    best, log = Path(folder) / "best.weights.h5", Path(folder) / "log.csv"
    history = model.fit(
        *parity(200, rng),
        validation_data=held_out,
        epochs=40,
        batch_size=20,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True, verbose=1),
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, verbose=1),
            keras.callbacks.ModelCheckpoint(str(best), monitor="val_loss", save_best_only=True, save_weights_only=True),
            keras.callbacks.CSVLogger(str(log)),
            keras.callbacks.LambdaCallback(on_train_end=lambda logs: print("done")),
            stopwatch,
        ],
    )
    stopped = model.evaluate(*held_out, verbose=0)
    model.load_weights(str(best))
    assert np.allclose(stopped, model.evaluate(*held_out, verbose=0)), "the best weights, restored and from the file"
    with open(log) as file:
        rows = list(csv.DictReader(file))

epochs = len(history.history["loss"])
assert epochs < 40 and len(rows) == epochs and stopwatch.batches == 10 * epochs
assert np.allclose([float(row["loss"]) for row in rows], stopwatch.losses)
print(f"stopped after {epochs} epochs, validation loss {min(history.history['val_loss']):.3f}")
