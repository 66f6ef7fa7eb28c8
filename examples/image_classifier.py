"""An image classifier trained on folders of images, one a class, with augmentation in the model.

    python examples/image_classifier.py

It draws its own folders of PNG files first: discs, squares and crosses of any size, place and shade.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastconv import nn as keras

SIZE, CLASSES = 24, ("cross", "disc", "square")


def draw(shape, rng):
    """An image of one shape, (24, 24, 3), 0 to 255."""
    i, j = np.ogrid[:SIZE, :SIZE]
    radius = rng.integers(4, 8)
    y, x = abs(i - rng.integers(radius, SIZE - radius)), abs(j - rng.integers(radius, SIZE - radius))
    inside = {
        "disc": y**2 + x**2 <= radius**2,
        "square": np.maximum(y, x) <= 0.8 * radius,
        "cross": (np.minimum(y, x) <= 1) & (np.maximum(y, x) <= radius),
    }[shape]
    ground, colour = rng.uniform(0, 90, 3), rng.uniform(140, 255, 3)
    return np.where(inside[..., None], colour, ground) + rng.normal(0, 8, (SIZE, SIZE, 3))


def write_folders(folder, count):
    rng = np.random.default_rng(0)
    for shape in CLASSES:
        (folder / shape).mkdir()
        for number in range(count):
            keras.utils.save_img(folder / shape / f"{number:03d}.png", draw(shape, rng).clip(0, 255), scale=False)


keras.utils.set_random_seed(1)
with TemporaryDirectory() as name:
    write_folders(Path(name), count=80)
    train, validation = keras.utils.image_dataset_from_directory(
        name, image_size=(SIZE, SIZE), batch_size=20, validation_split=0.25, subset="both", seed=1
    )
    model = keras.Sequential(
        [
            keras.layers.Input((SIZE, SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomTranslation(0.1, 0.1),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=8, verbose=2)
print(f"validation accuracy {history.history['val_accuracy'][-1]:.3f}")
