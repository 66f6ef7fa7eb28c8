"""Transfer learning: the convolutions learnt on one task, frozen, serve another of which there is little data.

    python examples/transfer_learning.py

The first task tells four kinds of strokes apart, with 400 images; the second, two kinds of crossings, with 40.
"""

import numpy as np

from fastconv import nn as keras

SIZE = 16
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


def stroke(direction, rng):
    """A line of eight pixels in one of four directions, somewhere, on noise."""
    image = rng.normal(0, 0.3, (SIZE, SIZE))
    di, dj = direction
    i, j = rng.integers(0, SIZE - 8), rng.integers(8 if dj < 0 else 0, SIZE if dj < 0 else SIZE - 8)
    for step in range(8):
        image[i + di * step, j + dj * step] += 2
    return image


def first_task(count, rng):
    y = rng.integers(0, 4, count)
    return np.array([stroke(DIRECTIONS[k], rng) for k in y], dtype="float32")[..., None], y


def second_task(count, rng):
    """Two strokes each: upright ones (0) or oblique ones (1)."""
    y = rng.integers(0, 2, count)
    images = [np.maximum(stroke(DIRECTIONS[2 * k], rng), stroke(DIRECTIONS[2 * k + 1], rng)) for k in y]
    return np.array(images, dtype="float32")[..., None], y


rng = np.random.default_rng(0)
keras.utils.set_random_seed(1)

base = keras.Sequential(
    [
        keras.layers.Input((SIZE, SIZE, 1)),
        keras.layers.Conv2D(16, 5, padding="same", activation="relu"),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling2D(name="features"),
        keras.layers.Dense(4, activation="softmax"),
    ]
)
base.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
base.fit(*first_task(400, rng), epochs=6, batch_size=20, verbose=2)

features = keras.Model(base.inputs, base.get_layer("features").output)
features.trainable = False
before = features.get_weights()

model = keras.Sequential([features, keras.layers.Dense(1, activation="sigmoid")])
model.compile(optimizer=keras.optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(*second_task(40, rng), epochs=30, batch_size=10, verbose=0)

assert all(np.array_equal(a, b) for a, b in zip(before, features.get_weights(), strict=True)), "frozen is frozen"
loss, accuracy = model.evaluate(*second_task(400, rng), verbose=0)
print(f"test accuracy {accuracy:.3f} from 40 images")
