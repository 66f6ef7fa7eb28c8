"""
Sizes, stride, padding, dilation
================================

Where a filter is laid on an axis decides how many numbers come out: with n pixels, p of padding on both sides together,
k taps that lie d apart, and a stride s there are floor((n + p - d (k - 1) - 1) / s) + 1 places.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastconv as fc


def places(n, k, stride=1, padding=0, dilation=1):
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


# %%
# Each row of a picture is one place of a filter of three taps on an axis of eight pixels; the border is pale.

CASES = {
    "stride 1": {},
    "padding 1": {"padding": 1},
    "stride 2, padding 1": {"stride": 2, "padding": 1},
    "dilation 2": {"dilation": 2},
}
n, k = 8, 3
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained", sharey=True)
for axis, (title, options) in zip(axes, CASES.items(), strict=True):
    padding, stride = options.get("padding", 0), options.get("stride", 1)
    count = places(n, k, **options)
    picture = np.full((8, n + 2), 0.0)
    picture[:count, 1 - padding : n + 1 + padding] = 0.15
    picture[:count, 1 : n + 1] = 0.35
    for place in range(count):
        for tap in range(k):
            picture[place, 1 - padding + place * stride + tap * options.get("dilation", 1)] = 1.0
    axis.imshow(picture, cmap="Blues", vmin=0, vmax=1.3)
    axis.set(title=f"{title}: {count} places", xticks=[], yticks=[])

# %%
# fastconv agrees with the formula, for these and for some layers that everybody has met.

x = np.zeros((1, 1, n), dtype=np.float32)
w = np.zeros((1, 1, k), dtype=np.float32)
for options in CASES.values():
    assert fc.conv1d(x, w, **options).shape[-1] == places(n, k, **options)

layers = {
    "LeNet-5, first layer": (32, 5, {}),
    "AlexNet, first layer": (227, 11, {"stride": 4}),
    "VGG, every layer": (224, 3, {"padding": 1}),
    "ResNet, first layer": (224, 7, {"stride": 2, "padding": 3}),
}
for title, (size, taps, options) in layers.items():
    y = fc.conv2d(np.zeros((1, 1, size, size)), np.zeros((1, 1, taps, taps)), **options)
    print(f"{title:22} {size} -> {y.shape[-1]}")
