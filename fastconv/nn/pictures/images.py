"""Image files and arrays, with Keras's names; Pillow, an extra, reads and writes them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import DataUnavailable, InvalidArgument, MissingExtra, quoted
from ...files import brief, writing
from .. import arguments

MODES = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
ORIENTATION = 0x0112
#: What makes an image upright, by EXIF's numbers for how the camera was held.
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
FORMATS = ("channels_last", "channels_first")
#: Keras's names for the ways to resize, and Pillow's.
FILTERS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
    "lanczos3": "LANCZOS",
    "lanczos5": "LANCZOS",
    "box": "BOX",
    "area": "BOX",
    "hamming": "HAMMING",
}


def pillow() -> ModuleType:
    """The module ``PIL.Image``.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    """
    try:
        import PIL.Image
    except ImportError:
        raise MissingExtra("image files are read by Pillow: pip install 'fastconv[images]'") from None
    return PIL.Image


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Read an image file.

    Parameters
    ----------
    path : path
    color_mode : {"rgb", "grayscale", "rgba"}
    target_size : (height, width), optional
        The image is resized to it.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
        How; all but "nearest" average over every pixel where an image becomes smaller.
    keep_aspect_ratio : bool
        Whether the middle of the image, as large as can be, is taken before resizing, so that nothing is distorted.

    Returns
    -------
    PIL.Image.Image
        Of 8 bits; grey images of 16 are brought to 8. It is turned as the camera was held, and what is transparent lets
        white through, but in "rgba".

    Raises
    ------
    DataUnavailable
        The file is not there, is no image, or is damaged.
    MissingExtra
        Pillow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "grey.png"
    ...     save_img(path, np.zeros((4, 6, 1)))
    ...     load_img(path, target_size=(2, 3)).size
    (3, 2)
    """
    path = arguments.path("load_img", "path", path)
    mode, _ = MODES[arguments.choice("load_img", "color_mode", color_mode, tuple(MODES))]
    size = None if target_size is None else arguments.per_axis("load_img", "target_size", target_size, 2)
    filtering = arguments.choice("load_img", "interpolation", interpolation, tuple(FILTERS))
    keep = arguments.flag("load_img", "keep_aspect_ratio", keep_aspect_ratio)
    return read_image(path, mode, size, filtering, keep)


def read_image(
    path: Path, mode: str, size: tuple[int, ...] | None = None, interpolation: str = "nearest", crop: bool = False
) -> Any:
    """A Pillow image from a file, of checked arguments."""
    Image = pillow()
    try:
        with Image.open(path) as file:
            image = _in_mode(Image, file, mode)
    except MemoryError:
        raise
    except Exception as fault:  # Pillow lets through those of every decoder
        raise DataUnavailable(f"{brief(path)} cannot be read as an image: {_reason(fault)}") from fault
    if size is None or image.size == (size[1], size[0]):
        return image
    box = _middle(image.size, size) if crop else None
    return image.resize((size[1], size[0]), getattr(Image.Resampling, FILTERS[interpolation]), box)


def check_image(path: Path) -> str | None:
    """Why a file cannot be an image, or None; nothing of it is decoded."""
    Image = pillow()
    try:
        with Image.open(path):
            return None
    except MemoryError:
        raise
    except Exception as fault:
        return _reason(fault)


def _reason(fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return "its content is no image" if "cannot identify image" in str(fault) else quoted(fault) or "it is damaged"


def _in_mode(Image: ModuleType, image: Any, mode: str) -> Any:
    """An image of 8 bits, upright, on white paper where it is transparent and the mode has no transparency."""
    image = _upright(Image, image)
    if image.mode.startswith("I"):  # 16 bits: converting would cut them off at 255
        numbers = np.asarray(image)
        image = Image.fromarray((numbers >> 8).clip(0, 255).astype(np.uint8))
    if mode != "RGBA" and ("A" in image.getbands() or "transparency" in image.info):
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)


def _upright(Image: ModuleType, image: Any) -> Any:
    """The image turned as the camera was held; as it lies where what the file says of the camera is damaged."""
    image.load()  # so that what is raised below is not about the pixels
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # struct's, Pillow's SyntaxError, ...
        turn = None
    return image if turn is None else image.transpose(getattr(Image.Transpose, turn))


def _middle(have: tuple[int, int], want: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The largest box in the middle of an image (width, height) with the proportions of `want` (height, width)."""
    width, height = have
    wide, high = min(width, height * want[1] / want[0]), min(height, width * want[0] / want[1])
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, left + wide, top + high


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """An image as an array of numbers from 0 to 255.

    Parameters
    ----------
    img : PIL.Image.Image, or array (H, W) or (H, W, C)
    data_format : {"channels_last", "channels_first"}, optional
    dtype : dtype, optional
        float32 by default.

    Returns
    -------
    ndarray (H, W, C), or (C, H, W)

    Examples
    --------
    >>> img_to_array(array_to_img(np.eye(2)[..., None])).shape
    (2, 2, 1)
    """
    data_format = _data_format("img_to_array", data_format)
    dtype = np.dtype(np.float32) if dtype is None else arguments.dtype("img_to_array", "dtype", dtype)
    x = np.asarray(img) if hasattr(img, "getbands") else arguments.host_array("img_to_array", "img", img)
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3:
        raise arguments.wrong("img_to_array", "img", img, "an image, (H, W) or (H, W, C)")
    x = x.astype(dtype)
    return np.ascontiguousarray(x.transpose(2, 0, 1)) if data_format == "channels_first" else x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array as an image.

    Parameters
    ----------
    x : array (H, W, C), or (C, H, W), with one, three or four channels
    data_format : {"channels_last", "channels_first"}, optional
    scale : bool
        Whether the numbers are brought to 0..255, the smallest to 0 and the largest to 255; else they must be there.
    dtype : dtype, optional
        That x is converted to first: float32 by default.

    Returns
    -------
    PIL.Image.Image

    Examples
    --------
    >>> array_to_img(np.zeros((4, 6, 3))).size
    (6, 4)
    """
    data_format = _data_format("array_to_img", data_format)
    scale = arguments.flag("array_to_img", "scale", scale)
    dtype = np.dtype(np.float32) if dtype is None else arguments.dtype("array_to_img", "dtype", dtype)
    given = arguments.host_array("array_to_img", "x", x)
    channels = given.shape[-1 if data_format == "channels_last" else 0] if given.ndim == 3 else 0
    if channels not in (1, 3, 4) or not given.size:
        raise arguments.wrong("array_to_img", "x", x, f"an image with one, three or four channels, {data_format}")
    numbers = given.astype(dtype)
    numbers = numbers.transpose(1, 2, 0) if data_format == "channels_first" else numbers
    if not np.isfinite(numbers).all():
        raise InvalidArgument("x has values that are no finite numbers; an image cannot show them")
    if scale:
        least = numbers.min()
        spread = float(numbers.max() - least)
        numbers = (numbers - least) * (255.0 / spread) if spread else numbers - least
    elif numbers.min() < 0 or numbers.max() >= 256:
        raise InvalidArgument(f"x has values from {numbers.min()} to {numbers.max()}; expected 0 to 255, or scale=True")
    return pillow().fromarray(numbers.astype(np.uint8)[..., 0] if channels == 1 else numbers.astype(np.uint8))


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Write an array as an image file.

    Parameters
    ----------
    path : path
        Its suffix says the format, unless `file_format` does.
    x, data_format, scale
        As for `array_to_img`.
    file_format : str, optional
        A format of Pillow's, such as "png".
    **kwargs
        For ``PIL.Image.Image.save``, such as ``quality=90``.

    Raises
    ------
    DataUnavailable
        The file cannot be written.
    InvalidArgument
        There is no such format.

    Examples
    --------
    >>> save_img("edges.png", np.zeros((4, 4, 1)))  # doctest: +SKIP
    """
    path = arguments.path("save_img", "path", path)
    file_format = None if file_format is None else arguments.text("save_img", "file_format", file_format)
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and (file_format or path.suffix[1:]).lower() in ("jpg", "jpeg"):
        image = image.convert("RGB")  # JPEG has no transparency
    try:
        with writing(path):
            image.save(path, file_format, **kwargs)
    except (ValueError, KeyError, TypeError) as fault:  # a format that Pillow does not know, an argument of its writer
        raise InvalidArgument(f"{brief(path)} cannot be written as an image: {quoted(fault)}") from fault


def _data_format(owner: str, given: Any) -> str:
    return FORMATS[0] if given is None else arguments.choice(owner, "data_format", given, FORMATS)
