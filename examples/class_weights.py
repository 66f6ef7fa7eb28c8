"""Classes of unequal size: with class weights the rare one is found, at the price of false alarms.

python examples/class_weights.py
"""

import numpy as np

from fastconv import nn as keras


def scans(count, rng, share=0.08):
    """Images of noise; a few hold a faint spot, which is to be found."""
    y = (rng.random(count) < share).astype("float32")
    x = rng.normal(0, 1, (count, 12, 12, 1))
    for image in x[y == 1]:
        i, j = rng.integers(0, 9, 2)
        image[i : i + 3, j : j + 3] += 2.5
    return x.astype("float32"), y


def train(class_weight):
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.layers.Input((12, 12, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.02),
        loss="binary_crossentropy",
        metrics=["accuracy", keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
    )
    model.fit(*scans(800, rng), epochs=10, batch_size=40, class_weight=class_weight, verbose=0)
    return model.evaluate(*scans(800, rng), verbose=0, return_dict=True)


for name, class_weight in {"equal weights": None, "by frequency": {0: 0.54, 1: 6.25}}.items():
    scores = train(class_weight)
    print(f"{name}: " + ", ".join(f"{key} {scores[key]:.3f}" for key in ("accuracy", "precision", "recall")))
