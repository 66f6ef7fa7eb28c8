"""
Sizes, stride, padding, dilation
================================

Where a filter is laid on an axis decides how many numbers come out: with n pixels, p of padding on both sides together,
k taps that lie d apart, and a stride s there are floor((n + p - d (k - 1) - 1) / s) + 1 places.
"""

import numpy as np

import fastconv as fc
from fastconv import show


def places(n, k, stride=1, padding=0, dilation=1):
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


# %%
# A stride leaves places out, and so does a filter that is spread by dilation:

figure = show.draw("stride")

# %%

figure = show.draw("dilation")

# %%
# fastconv agrees with the formula, for any options and for some layers that everybody has met.

x, w = np.zeros((1, 1, 8)), np.zeros((1, 1, 3))
for options in ({}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2}):
    assert fc.conv1d(x, w, **options).shape[-1] == places(8, 3, **options)

layers = {
    "LeNet-5, first layer": (32, 5, {}),
    "AlexNet, first layer": (227, 11, {"stride": 4}),
    "VGG, every layer": (224, 3, {"padding": 1}),
    "ResNet, first layer": (224, 7, {"stride": 2, "padding": 3}),
}
for title, (size, taps, options) in layers.items():
    y = fc.conv2d(np.zeros((1, 1, size, size)), np.zeros((1, 1, taps, taps)), **options)
    print(f"{title:22} {size} -> {y.shape[-1]}")
