"""Own image files as a network takes them: of its size and channels, its background as in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..nn.pictures.images import pillow, read_image

BRIGHT = 0.5  # grey above which a background is bright
PLAIN = 0.12  # least contrast of a drawing to its paper
SHADOW = 0.15  # of the contrast, by which paper is uneven
INK = 0.3  # of the contrast, from which it is the drawing
EVEN = 0.05  # largest difference of values of an even background
MOSTLY = 0.6  # share of the outermost pixels from which on they are background
MARGIN = 0.2  # of the content's longer side, left free around it on each side


def read_pixels(path: Path) -> np.ndarray:
    """An image file as (H, W, 3) in [0, 1], as `load_img` reads it: upright, and white where it is transparent."""
    return np.asarray(read_image(path, "RGB"), np.float32) / np.float32(255)


def grey(image: np.ndarray) -> np.ndarray:
    """The brightness of (H, W, 3), by Rec. 601's weights."""
    return (image @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)


def background(images: np.ndarray) -> float:
    """The median of the outermost pixels of images (N, H, W, C): how bright their background is."""
    return float(np.median(_border(images)))


def ground(images: np.ndarray) -> float | None:
    """The value of the background that images (N, H, W, C) lie on; None where they reach over their borders."""
    border = _border(images)
    value = float(np.median(border))
    return value if np.mean(np.abs(border - value) < EVEN) > MOSTLY else None


def _border(images: np.ndarray) -> np.ndarray:
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    return np.concatenate([edge.ravel() for edge in edges])


def fit_image(
    image: np.ndarray, shape: tuple[int, int, int], usual_background: float | None, invert: bool | None = None
) -> tuple[np.ndarray, bool]:
    """An image of any size as a network takes it, and whether it was inverted.

    Parameters
    ----------
    image : ndarray, (H, W, 3)
        In [0, 1].
    shape : (H, W, C)
        Of the network's input; C is 1 or 3.
    usual_background : float, optional
        How bright the background of the network's training images was.
    invert : bool, optional
        By default where the one background is bright and the other is dark.

    Returns
    -------
    ndarray of float32, shape
    bool

    Notes
    -----
    An inverted grey image is taken for a photograph of something drawn on paper: the paper's grey becomes 0 and the
    darkest ink 1, and what is drawn is put into the middle, a fifth of its size away from the border.
    """
    pixels = grey(image)[..., None] if shape[2] == 1 else image
    own = background(pixels[None])
    if invert is None:
        invert = usual_background is not None and (own > BRIGHT) != (usual_background > BRIGHT)
    if invert:
        pixels = 1 - pixels
        if shape[2] == 1 and usual_background is not None and usual_background < BRIGHT:
            pixels = _content(_stretched(pixels[..., 0], 1 - own))[..., None]
    return _resized(_square(pixels, shape), shape), invert


def _stretched(image: np.ndarray, paper: float) -> np.ndarray:
    """Contrast such that the paper becomes 0, its shadows and grain too, and the brightest 1."""
    top = float(np.percentile(image, 99.5))
    contrast = max(top - paper, PLAIN)
    return np.clip((image - paper - SHADOW * contrast) / ((1 - SHADOW) * contrast), 0, 1)  # type: ignore[no-any-return]


def _content(image: np.ndarray) -> np.ndarray:
    """What stands out of a background of 0, with a margin; the image itself where nothing does."""
    there = image > INK
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not len(rows):
        return image
    side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    half = max(1, round(side * (0.5 + MARGIN)))
    middle = (int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2)
    padded = np.pad(image, half)
    return padded[middle[0] : middle[0] + 2 * half, middle[1] : middle[1] + 2 * half]


def _square(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The image with as much of its border's colour around it as gives it the proportions of `shape`."""
    height, width = image.shape[:2]
    wanted = (max(height, -(-width * shape[0] // shape[1])), max(width, -(-height * shape[1] // shape[0])))
    if wanted == (height, width):
        return image
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    result = np.empty((*wanted, image.shape[2]), np.float32)
    result[:] = np.median(edge, axis=0)
    top, left = (wanted[0] - height) // 2, (wanted[1] - width) // 2
    result[top : top + height, left : left + width] = image
    return result


def _resized(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Each pixel the mean of those that it covers."""
    Image = pillow()
    channels: list[Any] = [
        Image.fromarray(np.ascontiguousarray(image[..., c], np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BOX if image.shape[0] > shape[0] else Image.Resampling.BILINEAR
        )
        for c in range(image.shape[2])
    ]
    return np.stack([np.asarray(channel, np.float32) for channel in channels], axis=-1)
