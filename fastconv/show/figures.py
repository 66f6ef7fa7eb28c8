"""Figures by matplotlib, without a display and whatever the user's settings are; files whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ..errors import InvalidArgument, MissingExtra, shown
from ..files import check_writable, write_file
from .style import DOTS, SETTINGS

P = ParamSpec("P")
R = TypeVar("R")

FORMATS = (".png", ".svg")
MISSING = "pictures need matplotlib: pip install 'fastconv[plots]'"
MARGIN = 0.15  # inches around a picture


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def require() -> None:
    """MissingExtra, unless matplotlib is installed."""
    if not available():
        raise MissingExtra(MISSING)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in fastconv's style; MissingExtra without matplotlib."""

    @wraps(draw)
    def drawn(*given: P.args, **keywords: P.kwargs) -> R:
        require()
        with _settings():
            return draw(*given, **keywords)

    return drawn


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **ratios: Sequence[float]) -> Any:
    """A figure of a size in inches and its panels, row by row.

    Parameters
    ----------
    size : (float, float)
    rows, columns : int
    **ratios
        `width_ratios`, `height_ratios` of the panels.

    Returns
    -------
    Figure, list of Axes
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with _settings():
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.06, hspace=0.06))
        FigureCanvasAgg(figure)  # no window, whatever backend the user's settings name
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=dict(ratios))
        return figure, list(axes.flat)


def add_title(figure: Any, title: str) -> None:
    """The title of a whole figure, above its left edge."""
    figure.suptitle(title, x=0.012, ha="left", fontsize=12)


def checked_path(path: Any, name: str = "out") -> Path:
    """A path whose suffix names a format, in a place that can be written."""
    if not isinstance(path, (str, Path)) or Path(path).suffix.lower() not in FORMATS:
        raise InvalidArgument(f"{name} is {shown(str(path))}; end the name with {' or '.join(FORMATS)}")
    check_writable(path)
    return Path(path)


def image_bytes(figure: Any, form: str = "png", dpi: int = DOTS) -> bytes:
    """A figure as the contents of a PNG or SVG file; the same figure gives the same bytes."""
    file = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None
    with _settings():
        figure.savefig(file, format=form, dpi=dpi, bbox_inches="tight", pad_inches=MARGIN, metadata=metadata)
    return file.getvalue()


def save_figure(figure: Any, path: Any) -> None:
    """Write a figure to a PNG or SVG file, whole or not at all.

    Raises
    ------
    InvalidArgument
        The name ends in something else.
    DataUnavailable
        The file cannot be written.
    """
    path = checked_path(path)
    data = image_bytes(figure, path.suffix.lower().removeprefix("."))
    write_file(path, lambda file: file.write(data))


@contextmanager
def _settings() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield
