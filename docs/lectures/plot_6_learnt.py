"""
What a network has learnt: filters and feature maps
===================================================

The first layer's weights are pictures, and what each layer makes of an image can be looked at.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastconv import nn as keras

(x, y), _ = keras.datasets.fashion_sketch.load_data(n_train=2_000, n_test=1)
x = x[..., None].astype(np.float32) / 255

keras.utils.set_random_seed(1)
model = keras.models.Sequential(
    [
        keras.layers.Conv2D(8, 5, padding="same", activation="relu", input_shape=(28, 28, 1), name="first"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(8, 5, padding="same", activation="relu", name="second"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=4, batch_size=64, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.3f}")

# %%
# Eight filters of 5 x 5 taps: red adds, blue takes away.

weights = model.layers[0].get_weights()[0]  # (5, 5, 1, 8)
figure, axes = plt.subplots(1, 8, figsize=(10, 1.8), layout="constrained")
for axis, filter in zip(axes, np.moveaxis(weights[:, :, 0], -1, 0), strict=True):
    axis.imshow(filter, cmap="coolwarm", vmin=-abs(weights).max(), vmax=abs(weights).max())
    axis.set_axis_off()

# %%
# What they see of a boot, and what the second layer makes of that:

image = x[np.flatnonzero(y == 9)[:1]]
maps = model.feature_maps(image)
figure, axes = plt.subplots(2, 9, figsize=(11, 2.9), layout="constrained")
for row, name in zip(axes, ("first", "second"), strict=True):
    row[0].imshow(image[0, ..., 0], cmap="gray")
    row[0].set_title(name, fontsize=10)
    for axis, picture in zip(row[1:], np.moveaxis(maps[name][0], -1, 0), strict=True):
        axis.imshow(picture, cmap="gray")
for axis in axes.flat:
    axis.set_axis_off()
