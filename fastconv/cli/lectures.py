"""``fastconv lectures``: all pictures of the lectures in a folder, with an index page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..files import display, write_text
from . import use_threads
from .console import progress, tell
from .folders import Folder

if TYPE_CHECKING:
    from ..show import Picture

INDEX = "index.html"
REFUSAL = "pictures already ({}); choose another folder, or replace them by --force"


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the pictures.  [default: lectures, numbered if there]"
)
@click.option("--force", is_flag=True, help="Replace the pictures in --out.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
def lectures(out: Path | None, force: bool, threads: int | None) -> None:
    """Draw all pictures of the lectures into a folder; open its index.html to look at them.

    Needs no data and no network: a small network is trained on drawn garments for some seconds. A folder that holds
    pictures already is refused, unless --force says that they may be replaced.
    """
    from ..show import PICTURES, Subject, save_figure
    from ..show.figures import require

    require()
    use_threads(threads)
    files = [INDEX, *map(_file, PICTURES.values())]
    with Folder(out or Path("lectures"), files, REFUSAL, replace=force, numbered=out is None) as folder:
        subject = Subject()
        with progress(len(PICTURES), "pictures") as step:
            for name, picture in PICTURES.items():
                step(name)
                folder.save(_file(picture), partial(save_figure, picture.draw(subject)))
        page = index_page(list(PICTURES.values()), subject)
        folder.save(INDEX, lambda path: write_text(path, page))
        tell(f"{len(PICTURES)} pictures in {display(folder.path)}; open {display(folder.path / INDEX)}")


def _file(picture: Picture) -> str:
    return f"{picture.name}.png"


def index_page(pictures: list[Picture], subject: object) -> str:
    """The page that shows the pictures by chapter, with what is seen on each and how to draw it anew."""
    from .. import __version__
    from ..show import pages

    chapters = dict.fromkeys(picture.chapter for picture in pictures)
    parts = [
        pages.paragraph(
            "What convolution is, how layers count, what a small network learns of drawn garments, and how convolution "
            "is made fast. Every number is computed by fastconv as the picture is drawn.",
            "note",
        ),
        pages.links((f"#{picture.name}", f"{picture.chapter}: {picture.title}") for picture in pictures),
    ]
    for chapter in chapters:
        parts.append(pages.heading(chapter))
        for picture in pictures:
            if picture.chapter == chapter:
                parts += _section(picture, subject)
    parts.append(pages.paragraph(f"Drawn by fastconv {__version__}: fastconv lectures", "note"))
    return pages.page("Pictures of the lectures", *parts)


def _section(picture: Picture, subject: object) -> list[str]:
    from ..show import pages

    return [
        pages.heading(picture.title, 3, picture.name),
        pages.picture(_file(picture), picture.title, picture.caption),
        *map(pages.table, picture.rows(subject)),  # type: ignore[arg-type]
        pages.listing(f"fastconv show {picture.name}"),
    ]
