"""Images: template matching, banks of filters, sharpening and comparing, by the names scikit-image has for them."""

from .matching import match_template

__all__ = ["match_template"]
