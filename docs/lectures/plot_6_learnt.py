"""
What a network has learnt: filters and feature maps
===================================================

The first layer's weights are pictures, and what each layer makes of an image can be looked at.
"""

import numpy as np

from fastconv import nn as keras
from fastconv import show

(x, y), (x_test, y_test) = keras.datasets.fashion_sketch.load_data(n_train=2_000, n_test=500)
x, x_test = (a[..., None].astype(np.float32) / 255 for a in (x, x_test))

keras.utils.set_random_seed(1)
model = keras.models.Sequential(
    [
        keras.layers.Conv2D(8, 5, padding="same", activation="relu", input_shape=(28, 28, 1), name="first"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="second"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=4, batch_size=64, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.3f}")

# %%
# Pictures show what they are given: a model, images with labels.

names = keras.datasets.fashion_sketch.CLASS_NAMES
boot = x_test[np.flatnonzero(y_test == 9)[0]]
subject = show.Subject(model, show.Labelled(x_test, y_test.astype(int), names), given_image=boot)
figure = show.draw("filters", subject)

# %%
# What these filters see of a boot, and what the second layer makes of that:

figure = show.draw("feature-maps", subject)

# %%
# And the mistakes of which it is surest:

figure = show.draw("misclassified", subject)
