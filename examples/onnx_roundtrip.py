"""Train a small network, export it to ONNX, read it back, and compare all that can run it.

    pip install 'fastconv[onnx]' onnxruntime
    python examples/onnx_roundtrip.py [FILE]

The file is model.onnx unless it is named. onnxruntime takes part where it is installed.
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastconv as fc
from fastconv import nn as keras

BOUND = 1e-5  # most that probabilities may differ by: rounding of float32


def trained() -> tuple[keras.Sequential, np.ndarray]:
    """A network that has learnt the embedded sketches of clothes, and images it has not seen."""
    (x, y), (x_test, _) = keras.datasets.fashion_sketch.load_data()
    model = keras.models.Sequential(seed=1)
    model.add(keras.layers.Conv2D(16, (3, 3), padding="same", activation="relu", input_shape=(28, 28, 1)))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.MaxPooling2D((2, 2)))
    model.add(keras.layers.Conv2D(32, (3, 3), strides=2, padding="same", activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x[:2000, ..., None] / 255, y[:2000], batch_size=50, epochs=2, verbose=0).history
    print(f"trained: accuracy {history['accuracy'][-1]:.3f}")
    return model, np.asarray(x_test[:100, ..., None] / 255, np.float32)


def main(path: str = "model.onnx") -> None:
    model, x = trained()
    model.export(path)
    expected = model.predict(x)

    network = fc.onnx.load(path)
    network.summary()
    results = {"fastconv.onnx": network.predict(x)}
    if find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        results["onnxruntime"] = session.run(None, {"input": x})[0]
    for name, y in results.items():
        error = np.abs(y - expected).max()
        print(f"{name} and model.predict: {len(y)} images, largest difference {error:.1e}")
        if not error < BOUND:
            sys.exit(f"{name} differs by more than {BOUND}")


if __name__ == "__main__":
    main(*sys.argv[1:])
