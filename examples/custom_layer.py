"""Layers of one's own: one with weights, one made of other layers, in a model with Keras's.

    python examples/custom_layer.py

Squeeze-and-excitation (Hu et al. 2017, arXiv:1709.01507) weighs the channels of an image by what all of it shows.
"""

import numpy as np

from fastconv import nn as keras


class Affine(keras.layers.Layer):
    """x * gain + offset, with a gain and an offset for each channel."""

    def build(self, input_shape):
        channels = input_shape[-1]
        self.gain = self.add_weight(name="gain", shape=(channels,), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(channels,), initializer="zeros")

    def call(self, x):
        return x * self.gain + self.offset


class SqueezeExcite(keras.layers.Layer):
    """Each channel times a weight between 0 and 1, which two dense layers make of the means of all channels."""

    def __init__(self, channels, ratio=2, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.ratio = channels, ratio
        self.pool = keras.layers.GlobalAveragePooling2D(keepdims=True)
        self.squeeze = keras.layers.Dense(channels // ratio, activation="relu")
        self.excite = keras.layers.Dense(channels, activation="sigmoid")

    def call(self, x):
        return x * self.excite(self.squeeze(self.pool(x)))

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "ratio": self.ratio}


def textures(count, rng):
    """Horizontal (0) or vertical (1) stripes of two pixels, with noise."""
    y = rng.integers(0, 2, count)
    wave = np.where((np.arange(12) // 2) % 2, 1.0, -1.0)
    x = np.where(y[:, None, None], wave[None, None, :], wave[None, :, None]) * np.ones((1, 12, 12))
    return (x + rng.normal(0, 1, x.shape))[..., None].astype("float32"), y


keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((12, 12, 1)),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
        Affine(),
        SqueezeExcite(8),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.summary()
assert model.count_params() == (9 + 1) * 8 + 2 * 8 + (8 + 1) * 4 + (4 + 1) * 8 + 9

rng = np.random.default_rng(0)
model.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(*textures(300, rng), epochs=8, batch_size=20, verbose=2)
loss, accuracy = model.evaluate(*textures(200, rng), verbose=0)
print(f"test accuracy {accuracy:.3f}")
