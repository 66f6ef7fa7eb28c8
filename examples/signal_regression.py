"""Regression on signals: a one-dimensional network reads the frequency of a noisy tone.

python examples/signal_regression.py
"""

import numpy as np

from fastconv import nn as keras

LENGTH = 64


def tones(count, rng):
    """Sines of 2 to 10 periods with any phase, in noise, and their frequencies."""
    frequency = rng.uniform(2, 10, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    time = np.arange(LENGTH) / LENGTH
    x = np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None]) + rng.normal(0, 0.2, (count, LENGTH))
    return x[..., None].astype("float32"), frequency[:, None].astype("float32")


rng = np.random.default_rng(0)
keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((LENGTH, 1)),
        keras.layers.Conv1D(16, 9, activation="relu"),
        keras.layers.MaxPooling1D(2),
        keras.layers.Conv1D(32, 5, activation="relu"),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(1),
    ]
)
steps = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=12 * 20)
model.compile(optimizer=keras.optimizers.Adam(steps), loss="mse", metrics=["mae"])
model.fit(*tones(400, rng), epochs=12, batch_size=20, verbose=2)
loss, error = model.evaluate(*tones(100, rng), verbose=0)
print(f"mean absolute error {error:.3f} periods, of 2 to 10")
