"""A run's report: one page that says what was trained, how well it does, and how to do it again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..files import display
from ..show import PICTURES, Subject, pages
from ..show.confusion import CLASS_COLUMNS, class_row, class_table
from ..show.learning_curve import RUNNING_MEAN

#: Arguments of the run that the page names.
SETTINGS = (
    *("dataset", "folder", "model", "epochs", "batch_size", "optimizer", "lr", "momentum", "schedule", "limit"),
    *("augment", "early_stop", "best", "seed"),
)


def report_page(
    title: str, record: Mapping[str, Any], subject: Subject, is_tested: bool, pictures: Mapping[str, bytes]
) -> str:
    """The page, in HTML.

    Parameters
    ----------
    title : str
    record : mapping
        What run.json says.
    subject : Subject
        The network, its test images, the figures of each epoch.
    is_tested : bool
    pictures : mapping
        PNG files by their names, which are those of ``fastconv show`` and ``.png``.
    """
    parts = [
        pages.paragraph(_in_short(record), "note"),
        pages.figures(_figures(record, subject, is_tested)),
        pages.heading("Settings"),
        pages.table([(name, display(f"{value}")) for name, value in _settings(record)], "facts"),
    ]
    for name, data in pictures.items():
        shown = PICTURES[name.removesuffix(".png")]
        parts += [pages.heading(shown.title), pages.picture(pages.embedded(data), shown.title, shown.caption)]
    if not pictures:
        parts.append(pages.paragraph("Pictures need matplotlib: pip install 'fastconv[plots]'", "note"))
    if is_tested:
        rows = [class_row(row) for row in class_table(subject.counts, subject.names)]
        parts += [pages.heading("Classes"), pages.table([CLASS_COLUMNS, *rows])]
    parts += [pages.heading("Epochs"), pages.paragraph(RUNNING_MEAN, "note"), pages.table(list(_epochs(subject)))]
    parts += [pages.heading("Network"), pages.listing(_summary(subject.model))]
    parts += [pages.heading("Made by"), pages.listing(str(record.get("command", ""))), *_environment(record)]
    return pages.page(f"Training: {display(title)}", *parts)


def _in_short(record: Mapping[str, Any]) -> str:
    images, device = record["images"], record["device"]
    return (
        f"{record['status']}; {images['training']:,} training and {images['test']:,} test images; on {device['name']}, "
        f"{record['environment']['date']}"
    )


def _figures(record: Mapping[str, Any], subject: Subject, is_tested: bool) -> Iterator[tuple[str, str]]:
    history = subject.history
    if is_tested:
        right, total = int(subject.counts.trace()), int(subject.counts.sum())
        yield f"{right / max(1, total):.2%}", f"test accuracy ({right:,} of {total:,})"
    for name, words in (("val_loss", "test loss"), ("loss", "training loss")):
        if history.get(name):
            yield f"{history[name][-1]:.4f}", f"{words} of the last epoch"
    yield f"{record['parameters']:,}", "parameters"
    yield f"{record['seconds']:,.0f} s", f"{len(record['epochs'])} epochs"
    speeds = [epoch["images_per_second"] for epoch in record["epochs"]]
    if speeds:
        yield f"{max(speeds):,.0f}", "training images a second, best epoch"


def _settings(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    arguments = record["arguments"]
    for name in SETTINGS:
        if arguments.get(name) is not None:
            yield name.replace("_", " "), arguments[name]
    yield "processes", record["processes"]
    yield "threads", record["environment"]["threads"]


def _epochs(subject: Subject) -> Iterator[tuple[str, ...]]:
    columns = {name: values for name, values in subject.history.items() if values}
    yield ("epoch", *(name.replace("val_", "test ") for name in columns))
    for epoch, row in enumerate(zip(*columns.values(), strict=False), 1):
        yield (str(epoch), *(f"{value:.4f}" if math.isfinite(value) else str(value) for value in row))


def _summary(model: Any) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def _environment(record: Mapping[str, Any]) -> Iterator[str]:
    versions = record["environment"]["versions"]
    machine = record["environment"]["machine"]
    rows = [("processor", str(machine["processor"])), ("system", str(machine["system"]))]
    yield pages.table([*rows, *((name, str(version)) for name, version in versions.items() if version)], "facts")
