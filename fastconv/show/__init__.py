"""The lectures' pictures: ``show.draw("receptive-field")`` is a matplotlib figure, ``fastconv show`` a file.

Every picture is a function in a module of its own, such as ``fastconv.show.edges.draw_edges(image)``, and a row of
`PICTURES` with its title and caption. matplotlib (``pip install 'fastconv[plots]'``) is imported when one is drawn.
"""

from .examples import Labelled
from .figures import available, save_figure
from .receptive import ReceptiveField, receptive_fields
from .registry import PICTURES, Picture, draw, picture
from .subject import Subject

__all__ = [
    "PICTURES",
    "Labelled",
    "Picture",
    "ReceptiveField",
    "Subject",
    "available",
    "draw",
    "picture",
    "receptive_fields",
    "save_figure",
]
