"""A small residual network (He et al. 2015, arXiv:1512.03385): the functional API, with skip connections.

    python examples/skip_connections.py

It counts the dots of an image: one to four.
"""

import numpy as np

from fastconv import nn as keras

SIZE = 16


def dots(count, rng):
    """Images with one to four dots of 2 x 2 pixels, and their number less one."""
    x = rng.normal(0, 0.2, (count, SIZE, SIZE, 1)).astype("float32")
    y = rng.integers(0, 4, count)
    for image, number in zip(x, y, strict=True):
        for cell in rng.choice(16, number + 1, replace=False):  # one of 4 x 4 cells each, so that none touch
            i, j = 4 * (cell // 4) + rng.integers(0, 2), 4 * (cell % 4) + rng.integers(0, 2)
            image[i : i + 2, j : j + 2] += 1.5
    return x, y


def block(x, filters, stride=1):
    """Two convolutions, and round them the skip connection."""
    skip = x
    x = keras.layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    if stride > 1:
        skip = keras.layers.Conv2D(filters, 1, strides=stride, use_bias=False)(skip)
    x = keras.layers.Add()([x, skip])
    return keras.layers.ReLU()(x)


keras.utils.set_random_seed(1)
inputs = keras.Input((SIZE, SIZE, 1))
x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
x = block(x, 16)
x = block(x, 32, stride=2)
x = keras.layers.GlobalAveragePooling2D()(x)
outputs = keras.layers.Dense(4, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="residual")
model.summary()

rng = np.random.default_rng(0)
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(*dots(300, rng), epochs=6, batch_size=20, verbose=2)
loss, accuracy = model.evaluate(*dots(100, rng), verbose=0)
print(f"test accuracy {accuracy:.3f}")
