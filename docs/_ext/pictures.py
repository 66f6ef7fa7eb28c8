"""A page of the gallery for each picture of `fastconv.show`: a program that draws it, written before it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

from sphinx_gallery.scrapers import figure_rst

from fastconv.show import PICTURES, Picture

SEEN: WeakSet = WeakSet()  # figures that are on a page
PAGE = '''"""
{title}
{rule}

{caption}

``fastconv show {name}`` draws it{of}.
"""

from fastconv import show

figure = show.draw("{name}")
'''
TABLES = """
# %%
# In numbers:

for rows in show.picture("{name}").rows():
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
"""


def write(lectures: Path) -> list[str]:
    """Write a folder a chapter below `lectures`, and return the folders' names in the chapters' order."""
    chapters = list(dict.fromkeys(picture.chapter for picture in PICTURES.values()))
    for folder in lectures.glob("chapter_*"):
        shutil.rmtree(folder)
    folders = {chapter: lectures / f"chapter_{number}" for number, chapter in enumerate(chapters, 1)}
    for chapter, folder in folders.items():
        folder.mkdir()
        (folder / "README.rst").write_text(f"{chapter}\n{'-' * len(chapter)}\n", encoding="utf-8")
    for number, picture in enumerate(PICTURES.values()):
        path = folders[picture.chapter] / f"plot_{number:02d}_{picture.name.replace('-', '_')}.py"
        path.write_text(page(picture), encoding="utf-8")
    return [folder.name for folder in folders.values()]


def page(picture: Picture) -> str:
    of = f" of your own: see ``fastconv show {picture.name} --help``" if picture.needs else ""
    text = PAGE.format(
        title=picture.title, rule="=" * len(picture.title), caption=picture.caption, name=picture.name, of=of
    )
    return text + (TABLES.format(name=picture.name) if picture.tables else "")


def scrape(block: tuple, variables: dict, configuration: dict) -> str:
    """The figure that a block of a program has made with `show.draw`, which pyplot does not know of."""
    figure = variables["example_globals"].get("figure")
    if figure is None or figure.canvas.manager is not None or figure in SEEN:
        return ""
    SEEN.add(figure)
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return figure_rst([path], configuration["src_dir"], "a figure")


def _get_sg_image_scraper() -> Callable:
    """Where sphinx-gallery looks for it, by the module's name."""
    return scrape
