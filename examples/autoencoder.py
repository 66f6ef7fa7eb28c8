"""A convolutional autoencoder that takes noise away: strided convolutions down, transposed ones up.

The network, written out, is `keras.applications.autoencoder((16, 16, 1))` of fastconv's zoo.

python examples/autoencoder.py
"""

import numpy as np

from fastconv import nn as keras

SIZE = 16


def rings(count, rng):
    """Smooth images of rings, 0 to 1."""
    i, j = np.mgrid[:SIZE, :SIZE]
    centre = rng.uniform(4, SIZE - 4, (2, count, 1, 1))
    distance = np.hypot(i - centre[0], j - centre[1])
    radius = rng.uniform(2, 6, (count, 1, 1))
    return np.exp(-((distance - radius) ** 2) / 2)[..., None].astype("float32")


rng = np.random.default_rng(0)
keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((SIZE, SIZE, 1)),
        keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse")

clean, held_out = rings(200, rng), rings(50, rng)
noisy, noisy_held_out = (x + rng.normal(0, 0.3, x.shape).astype("float32") for x in (clean, held_out))
model.fit(noisy, clean, epochs=10, batch_size=20, verbose=2)

cleaned = model.predict(noisy_held_out, verbose=0)
before, after = (float(np.sqrt(np.mean((x - held_out) ** 2))) for x in (noisy_held_out, cleaned))
print(f"error {before:.3f} before, {after:.3f} after")
