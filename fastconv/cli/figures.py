"""How fastconv's pictures look: drawn by matplotlib without a display, written whole or not at all."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..files import write_file

TRAINING, TEST, GREY = "#1f6fb4", "#d1662b", "#5f6368"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "grid.color": "#e4e6e8",
}


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def new_figure(size: tuple[float, float], panels: int) -> tuple[Any, list[Any]]:
    """A figure of a size in inches, and its panels side by side."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.06))
        FigureCanvasAgg(figure)  # no window, whatever backend the user's settings name
        return figure, [figure.add_subplot(1, panels, i + 1) for i in range(panels)]


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure to a PNG file."""
    options = {"dpi": 150, "format": "png", "bbox_inches": "tight", "pad_inches": 0.15}
    write_file(path, lambda file: figure.savefig(file, **options))
