"""Where the files of a data set are: the folder given, $FASTCONV_DATA, the cache, then the mirrors.

A folder counts only if it holds every file of the set; what a user put there need not have the published checksums
(it may be packed anew), the readers check its format instead. Downloads must match their checksum, and a file gets its
name only once it is complete, so a second call fetches just the files that are missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ... import config
from ...errors import DataUnavailable, quoted
from .. import arguments
from .download import Mirrors
from .sources import Source

WAYS_OUT = (
    "Put the files in a folder and name it with --data-dir (data_dir= in Python) or the variable FASTCONV_DATA, "
    "or use the data set fashion-sketch, which needs no download."
)


def find(source: Source, data_dir: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """Find the files of a data set, downloading them if no folder holds them.

    Parameters
    ----------
    source : Source
        The data set.
    data_dir : path, optional
        The only folder to look in. Without it: $FASTCONV_DATA, the cache folder, the mirrors, in this order.

    Returns
    -------
    dict
        The path of each file of one of `source.forms`, by the name it has there.

    Raises
    ------
    DataUnavailable
        The set is not complete anywhere; the message lists each place and mirror with the reason.
    """
    if data_dir is not None:
        folder = arguments.path("load_data", "data_dir", data_dir)
        with suppress(RuntimeError):  # ~somebody, whom this machine does not know: a folder of that name
            folder = folder.expanduser()
        files, reason = _search(source, folder)
        if files is None:
            raise DataUnavailable(
                f"{source.title}: data_dir {quoted(folder)} {reason}; expected {_wanted(source)} in it or in its "
                f"folder {source.folder}; correct data_dir, or leave it out to search $FASTCONV_DATA, the cache and "
                "mirrors"
            )
        return files
    tried = []
    for label, place in _places():
        files, reason = _search(source, place) if place is not None else (None, "is not set")
        if files is not None:
            return files
        tried.append(f"{label} {reason}")
    cache = config.cache_dir() / "datasets"
    mirrors = Mirrors(source.mirrors)
    for name, checksum in source.downloads.items():
        if _variant(cache / source.folder, name) is None and not mirrors.fetch(name, checksum, cache / source.folder):
            break
    files, _ = _search(source, cache)
    if files is None:
        lines = "".join(f"\n  {line}" for line in tried + mirrors.report())
        raise DataUnavailable(f"{source.title} was found nowhere. Looked for {_wanted(source)}:{lines}\n{WAYS_OUT}")
    return files


def _places() -> Iterator[tuple[str, Path | None]]:
    given = config.data_dir()
    yield (f"$FASTCONV_DATA {given}" if given else "$FASTCONV_DATA"), given
    cache = config.cache_dir() / "datasets"
    yield f"cache folder {cache}", cache


def _search(source: Source, place: Path) -> tuple[dict[str, Path] | None, str]:
    """The files of the first complete form in `place` and an empty text, or None and what is wrong with `place`."""
    if not os.path.exists(place):  # unlike Path's tests, os.path's never raise where nothing may be read
        return None, "does not exist"
    if not os.path.isdir(place):
        return None, "is not a folder"
    most, missing = 0, "holds none of its files"
    for form in source.forms:
        for folder in (place / source.folder, place, *(place / more for more in source.more_folders)):
            found = {name: path for name in form if (path := _variant(folder, name)) is not None}
            if len(found) == len(form):
                return found, ""
            if len(found) > most:
                most, missing = len(found), f"lacks {', '.join(name for name in form if name not in found)}"
    return None, missing


def _variant(folder: Path, name: str) -> Path | None:
    """`name` in `folder` under one of its names: packed or unpacked, with a dot in it, or in a folder of its own."""
    if not os.path.isdir(folder):
        return None
    plain = name.removesuffix(".gz")
    names = [name, plain if name != plain else name + ".gz"]
    head, dash, tail = plain.rpartition("-idx")
    if dash:  # as it is called in many copies of MNIST
        dotted = f"{head}.idx{tail}"
        names += [dotted, dotted + ".gz"]
    for candidate in (*names, *(os.path.join(own, inner) for own in names for inner in names)):
        path = folder / candidate
        if os.path.isfile(path):
            return path
    return None


def _wanted(source: Source) -> str:
    forms = [" + ".join(form) if len(form) < 5 else f"{form[0]} ... {form[-1]}" for form in source.forms]
    return ", or ".join(forms) + " (packed or unpacked)"
