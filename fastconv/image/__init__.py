"""Images: template matching, banks of filters, sharpening and comparing, by the names scikit-image has for them."""

from .filters import FilterBank, filter_bank
from .gabor import gabor, gabor_bank, gabor_kernel
from .matching import match_template
from .steerable import steerable, steerable_basis, steerable_orientation

__all__ = [
    "FilterBank",
    "filter_bank",
    "gabor",
    "gabor_bank",
    "gabor_kernel",
    "match_template",
    "steerable",
    "steerable_basis",
    "steerable_orientation",
]
