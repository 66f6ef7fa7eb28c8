"""
What a filter sees
==================

A filter is a small picture that is laid over every place of a large one, multiplied and summed. Where the image
resembles the filter, the sum is large.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastconv as fc

# %%
# A drawn garment serves as the image. The filters are those of every first lecture: edges, a blur, a sharpener.

(images, labels), _ = fc.nn.datasets.fashion_sketch.load_data(n_train=200, n_test=1)
image = images[np.flatnonzero(labels == 7)[0]].astype(np.float32) / 255  # a sneaker

FILTERS = {
    "Sobel, across": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "Sobel, down": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "Laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "blur": np.ones((3, 3)) / 9,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}

# %%
# In `fastconv.conv2d` images are (N, C, H, W) and filters (O, C, KH, KW): one image of one channel, five filters, and
# so five channels come out.

x = image[None, None]
w = np.array(list(FILTERS.values()), dtype=np.float32)[:, None]
y = fc.conv2d(x, w, padding=1)
print(x.shape, w.shape, y.shape)

figure, axes = plt.subplots(2, 3, figsize=(8, 5.5), layout="constrained")
pictures = {"the image": image, **dict(zip(FILTERS, y[0], strict=True))}
for axis, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set_title(name)
    axis.set_axis_off()

# %%
# The definition is a sum over the window. At one place, by hand:

i, j = 14, 10
by_hand = (image[i - 1 : i + 2, j - 1 : j + 2] * FILTERS["Sobel, across"]).sum()
print(by_hand, y[0, 0, i, j])
