"""``fastconv predict``: what a saved network says of image files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument
from ..files import brief, display
from . import use_threads
from .choices import Choice
from .console import JSON_HELP, check_target, tell, write_json

if TYPE_CHECKING:
    from .saved import SavedRun

WIDTH = 30  # letters of a whole bar
INVERT = {"auto": None, "yes": True, "no": False}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes to show.")
@click.option(
    "--invert",
    type=Choice(list(INVERT)),
    default="auto",
    show_default=True,
    help="Turn bright into dark; auto: where the background is not as in training, such as a digit on white paper.",
)
@click.option("--preview", is_flag=True, help="Also show what the network sees, in letters.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
def predict(
    run: Path,
    images: tuple[Path, ...],
    top: int,
    invert: str,
    preview: bool,
    threads: int | None,
    json_file: str | None,
) -> None:
    """Classify image files by the network in the folder RUN.

    An image is brought to the network's size, with a border of its background's colour where the proportions differ,
    and to its channels. One drawn dark on bright for a network trained on bright on dark is inverted; then what is
    drawn is cut out and put into the middle.
    """
    import numpy as np

    from .images import fit_image, read_pixels
    from .saved import SavedRun

    check_target(json_file)
    use_threads(threads)
    saved = SavedRun(run)
    shape = _image_shape(saved)
    fitted = [fit_image(read_pixels(path), shape, saved.background, INVERT[invert]) for path in images]
    shares = saved.model.predict(np.stack([image for image, _ in fitted]), verbose=0)
    found = [
        {"image": path, "inverted": inverted, "classes": _best(row, saved.names, top)}
        for path, (_, inverted), row in zip(images, fitted, shares, strict=True)
    ]
    if json_file:
        write_json(found, json_file)
    if json_file != "-":
        for result, (image, _) in zip(found, fitted, strict=True):
            tell("\n".join([*_lines(result), *(_preview(image) if preview else [])]))


def _image_shape(saved: SavedRun) -> tuple[int, int, int]:
    if len(saved.shape) != 3 or saved.shape[2] not in (1, 3):
        raise InvalidArgument(
            f"the network of {brief(saved.path)} takes {saved.shape}; image files have one or three channels"
        )
    return saved.shape  # type: ignore[return-value]


def _best(shares: Any, names: Sequence[str], top: int) -> list[dict[str, Any]]:
    order = sorted(range(len(names)), key=lambda k: -shares[k])[:top]
    return [{"class": names[k], "probability": float(shares[k])} for k in order]


def _lines(result: dict[str, Any]) -> list[str]:
    """An image's name, and a bar for each of its classes."""
    head = display(result["image"]) + ("  (inverted)" if result["inverted"] else "")
    width = max(len(row["class"]) for row in result["classes"])
    full = "█" if _can_encode("█") else "#"
    bars = [
        f"  {row['class'].ljust(width)}  {full * round(WIDTH * row['probability']):{WIDTH}}  {row['probability']:6.1%}"
        for row in result["classes"]
    ]
    return [head, *bars]


def _preview(image: Any) -> list[str]:
    """The image in letters, the denser the brighter; a letter is twice as high as wide."""
    letters = " .:-=+*#%@"
    brightness = image.mean(axis=-1)[::2]
    return ["    " + "".join(letters[min(9, int(10 * value))] for value in row).rstrip() for row in brightness]


def _can_encode(letter: str) -> bool:
    try:
        letter.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
