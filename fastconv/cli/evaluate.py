"""``fastconv evaluate``: how well a saved network does on a data set, class by class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidArgument, nearest, shown
from ..nn.datasets import BY_NAME
from . import use_threads
from .console import JSON_HELP, Column, check_target, show_table, tell, write_json

if TYPE_CHECKING:
    from ..show import Labelled
    from ..show.confusion import ClassFigures
    from .saved import SavedRun


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder of the data files.  [default: $FASTCONV_DATA, the cache, download]",
)
@click.option("--threads", type=click.IntRange(1), help="Threads to use.  [default: all]")
@click.option("--json", "json_file", metavar="FILE", help=JSON_HELP)
def evaluate(run: Path, data: str | None, data_dir: Path | None, threads: int | None, json_file: str | None) -> None:
    """Test the network in the folder RUN on DATA: a data set's test images, by default those of its own.

    DATA may also be a folder that holds image files in folders named after the network's classes.

    Prints loss and accuracy and, for each class: precision (which share of what was taken for it is of it), recall
    (which share of it was found), F1 (their harmonic mean) and its number of images.
    """
    from ..nn.utils import to_categorical
    from ..show import Subject
    from ..show.confusion import CLASS_COLUMNS, class_row, class_table
    from .saved import SavedRun

    check_target(json_file)
    use_threads(threads)
    saved = SavedRun(run, data_dir)
    tested = saved.test if data is None else _named(saved, data)
    subject = Subject(saved.model, tested)
    labels = to_categorical(tested.labels, len(tested.names))
    loss, accuracy = saved.model.evaluate(tested.images, labels, verbose=0)
    table = class_table(subject.counts, tested.names)
    if json_file:
        write_json(_as_json(data, loss, accuracy, table, subject.counts), json_file)
    if json_file != "-":
        right = int(subject.counts.trace())
        tell(f"loss {loss:.4f}  accuracy {accuracy:.4f} ({right:,} of {len(tested.labels):,} images right)")
        columns = [Column(name, text=i == 0) for i, name in enumerate(CLASS_COLUMNS)]
        show_table(columns, [class_row(row) for row in table])


def _named(saved: SavedRun, data: str) -> Labelled:
    """Test images of a data set, or those of a folder."""
    if data in BY_NAME:
        return saved.labelled(data)
    if Path(data).is_dir():
        return saved.folder(Path(data))
    known = ", ".join(BY_NAME)
    raise InvalidArgument(f"DATA is {shown(data)}, neither a folder nor one of {known}{nearest(data, BY_NAME)}")


def _as_json(data: str | None, loss: float, accuracy: float, table: list[ClassFigures], counts: Any) -> dict[str, Any]:
    return {
        "data": data,
        "loss": loss,
        "accuracy": accuracy,
        "classes": [row._asdict() for row in table],
        "confusion_matrix": counts.tolist(),
    }
