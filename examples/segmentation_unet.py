"""A small U-Net (Ronneberger et al. 2015, arXiv:1505.04597) marks the discs of an image, pixel by pixel.

The network, written out, is `keras.applications.unet((24, 24, 1), filters=8, depth=2)` of fastconv's zoo.

python examples/segmentation_unet.py
"""

import numpy as np

from fastconv import nn as keras

SIZE = 24


def scenes(count, rng):
    """Images with two bright discs and two bright bars in noise, and masks of the discs."""
    i, j = np.mgrid[:SIZE, :SIZE]
    x = rng.normal(0, 0.3, (count, SIZE, SIZE, 1)).astype("float32")
    masks = np.zeros((count, SIZE, SIZE, 1), dtype="float32")
    for image, mask in zip(x, masks, strict=True):
        for _ in range(2):
            row, col = rng.integers(4, SIZE - 4, 2)
            mask[np.hypot(i - row, j - col) <= 3.5] = 1
            row, col = rng.integers(0, SIZE - 10, 2)
            image[row : row + 2, col : col + 10] = 1
        image[mask > 0] = 1
        image += rng.normal(0, 0.1, image.shape)
    return x, masks


def pair(x, filters):
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


keras.utils.set_random_seed(1)
inputs = keras.Input((SIZE, SIZE, 1))
fine = pair(inputs, 8)
middle = pair(keras.layers.MaxPooling2D()(fine), 16)
coarse = pair(keras.layers.MaxPooling2D()(middle), 32)
x = keras.layers.Conv2DTranspose(16, 2, strides=2)(coarse)
x = pair(keras.layers.Concatenate()([x, middle]), 16)
x = keras.layers.Conv2DTranspose(8, 2, strides=2)(x)
x = pair(keras.layers.Concatenate()([x, fine]), 8)
outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)

rng = np.random.default_rng(0)
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(*scenes(200, rng), epochs=8, batch_size=10, verbose=2)

x_test, masks = scenes(60, rng)
marked = model.predict(x_test, verbose=0) > 0.5
overlap = np.sum(marked & (masks > 0.5)) / np.sum(marked | (masks > 0.5))
print(f"intersection over union {overlap:.3f}")
