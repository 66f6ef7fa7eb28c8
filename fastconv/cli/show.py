"""``fastconv show``: one of the lectures' pictures, into a file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument
from ..files import brief, display
from . import use_threads
from .console import Column, say, show_table, tell

if TYPE_CHECKING:
    from ..show import Picture, Subject


class Numbers(click.ParamType):
    """One whole number, or several with commas between them."""

    name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail("expected a whole number, or several with commas between them", param, ctx)
        if min(numbers) < 1:
            self.fail("expected numbers of at least 1", param, ctx)
        return numbers


@click.command()
@click.argument("what", required=False)
@click.option("--out", type=click.Path(path_type=Path), help="PNG or SVG file.  [default: WHAT.png, numbered]")
@click.option("--force", is_flag=True, help="Replace the file in --out.")
@click.option("--run", type=click.Path(path_type=Path), help="Folder of a training, whose network and images to show.")
@click.option("--image", type=click.Path(path_type=Path), help="Image file to show (edges, curve, feature-maps).")
@click.option("--index", type=click.IntRange(0), help="Number of the test image to show (feature-maps).")
@click.option("--layer", help="Name of the layer to show (filters, feature-maps, embeddings).")
@click.option("--most", type=click.IntRange(1), help="How many to show at most (filters, feature-maps, misclassified).")
@click.option("--method", help="pca, or tsne with scikit-learn (embeddings).")
@click.option("--size", type=click.IntRange(1), help="Rows and columns of the image (padding, stride, dilation, ...).")
@click.option("--kernel", type=click.IntRange(1), help="Rows and columns of the kernel.")
@click.option("--padding", help="valid, same, full, or a number (stride, dilation).")
@click.option("--stride", type=Numbers(), help="One or, for the picture stride, several.")
@click.option("--dilation", type=Numbers(), help="One or, for the picture dilation, several.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the data files of --run.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
def show(what: str | None, **options: Any) -> None:
    """Draw the picture WHAT of the lectures; without WHAT, list them.

    Pictures of networks show the lectures' small one, trained on drawn garments for some seconds, unless --run names
    a training of your own. `fastconv lectures` draws all of them.
    """
    from ..show import PICTURES, picture, save_figure
    from ..show.figures import checked_path

    use_threads(options.pop("threads"))
    if what is None:
        show_table([Column("", True), Column("", True)], [[name, each.title] for name, each in PICTURES.items()])
        return
    chosen = picture(what)
    out = _target(what, options.pop("out"), options.pop("force"))
    checked_path(out)
    subject = _subject(chosen, options)
    for rows in chosen.rows(subject):
        show_table([Column(name, text=i < 2) for i, name in enumerate(rows[0])], rows[1:])
    if options_given := {name: value for name, value in options.items() if value is not None}:
        options_given = _matched(chosen, options_given)
    if subject.given_model is None and set(chosen.needs) & {"model", "counts", "history", "shares"}:
        say("The lectures' network is trained on drawn garments; --run shows a training of your own")
    save_figure(chosen.draw(subject, **options_given), out)
    say(chosen.caption)
    tell(f"saved in {display(out)}")


def _target(what: str, out: Path | None, force: bool) -> Path:
    """The file to write: that of --out unless it is there, else a name that is free."""
    if out is None:
        numbered = (Path(f"{what}-{n}.png") for n in itertools.count(2))
        return next(path for path in itertools.chain([Path(f"{what}.png")], numbered) if not path.exists())
    if out.exists() and not force:
        raise InvalidArgument(f"--out {brief(out)} is there already; choose another name, or replace it by --force")
    return out


def _subject(chosen: Picture, options: dict[str, Any]) -> Subject:
    """What is shown, by --run, --image and --index."""
    from ..show import Subject
    from .images import fit_image, grey, read_pixels
    from .saved import SavedRun

    run, image, index, data_dir = (options.pop(name) for name in ("run", "image", "index", "data_dir"))
    saved = None if run is None else SavedRun(run, data_dir)
    subject = Subject() if saved is None else saved.subject()
    if image is not None:
        if "photograph" in chosen.needs:
            subject.given_photograph = _small(grey(read_pixels(image)))
        elif "image" in chosen.needs:
            shape = tuple(subject.model.input_shape[1:])
            usual = 0.0 if saved is None else saved.background
            subject.given_image, _ = fit_image(read_pixels(image), shape, usual)  # type: ignore[arg-type]
        else:
            raise InvalidArgument(f"the picture {chosen.name} shows no image of your own; leave --image out")
    if index is not None:
        if image is not None or "image" not in chosen.needs:
            raise InvalidArgument("--index names a test image for feature-maps, and cannot go with --image")
        if index >= len(subject.images):
            raise InvalidArgument(f"--index is {index} but there are {len(subject.images):,} test images, from 0 on")
        subject.given_image = subject.images[index]
    return subject


def _small(image: Any, most: int = 512) -> Any:
    """An image of at most so many rows and columns, each pixel the mean of those it stands for."""
    step = -(-max(image.shape) // most)
    rows, columns = (n // step for n in image.shape)
    return image[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))


def _matched(chosen: Picture, given: dict[str, Any]) -> dict[str, Any]:
    """Options under the names of the picture's parameters: --stride is its strides where it takes several."""
    matched: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, tuple):
            if f"{name}s" in chosen.options:
                matched[f"{name}s"] = value
                continue
            if len(value) > 1:
                raise InvalidArgument(f"--{name} is {','.join(map(str, value))}; the picture {chosen.name} takes one")
            value = value[0]
        if name == "layer" and "layers" in chosen.options:
            name, value = "layers", [value]
        if name == "padding" and value.isdecimal():
            value = int(value)
        matched[name] = value
    return matched
