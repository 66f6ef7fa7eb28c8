"""
im2col: convolution is a matrix product
=======================================

Write the window at each place as a column. The filters are the rows of another matrix, and all sums of a convolution
are one product. This is how convolution was computed for years, and the reason why a fast matrix product makes it fast.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastconv as fc

# %%
# An image that one can check by hand: 4 x 4 pixels, numbered.

x = np.arange(16.0).reshape(1, 1, 4, 4)
columns = fc.unfold2d(x, 3)
print(x[0, 0])
print(columns[0].astype(int))

# %%
# Four places, so four columns; nine taps, so nine rows. Two filters, written as rows:

w = np.array([[[[0, 0, 0], [0, 1, 0], [0, 0, 0]]], [[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]], dtype=float)
product = w.reshape(2, 9) @ columns[0]
print(product.reshape(2, 2, 2))
assert np.array_equal(product.reshape(1, 2, 2, 2), fc.conv2d(x, w))

figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained", width_ratios=(9, 4, 4), height_ratios=(1,))
for axis, matrix, title in zip(
    axes, (w.reshape(2, 9), columns[0], product), ("filters (2, 9)", "columns (9, 4)", "product (2, 4)"), strict=True
):
    axis.imshow(matrix, cmap="coolwarm", vmin=-16, vmax=16)
    for (i, j), value in np.ndenumerate(matrix):
        axis.text(j, i, f"{value:g}", ha="center", va="center", fontsize=9)
    axis.set(title=title, xticks=[], yticks=[])

# %%
# The price is memory: each pixel is written once for every window that holds it. Of AlexNet's first layer that makes

columns = fc.unfold2d(np.zeros((1, 3, 227, 227), dtype=np.float32), 11, stride=4)
print(columns.shape, f"{columns.nbytes / 1e6:.1f} MB of 0.6 MB")

# %%
# The gradient to the image goes the way back: fold adds every column's numbers to the pixels that they came from. Of
# ones it counts the windows that hold each pixel.

print(fc.fold2d(np.ones((1, 9, 4)), (1, 1, 4, 4), 3)[0, 0].astype(int))
