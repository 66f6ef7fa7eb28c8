"""Template matching over Dask arrays: the template is NumPy's, and goes to every worker."""

from __future__ import annotations

from .. import image
from ._over import over

match_template = over(image.match_template)

__all__ = [
    "match_template",
]
