"""im2col: each task unfolds its block of the input into a matrix, a row per output pixel, and multiplies by w.

Twin: ``fastconv/cuda/im2col.py``. It is `direct` with one step more: the whole matrix never exists, a block takes about
``FASTCONV_TILE_BYTES`` a thread. Where rows are short the blocks' tiles are fuller than direct's, since they run across
rows of pixels.

Cost, error and other memory: as direct, plus taps*C/groups elements written and read per output pixel.
Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing" (2006).
"""

from __future__ import annotations

from functools import partial

from . import direct
from .counts import ENGINE, RATES, panels_work

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "prepare", "work"]

conv = partial(direct.conv, unfold=True)
prepare = partial(direct.prepare, unfold=True)
conv_input_grad = partial(direct.conv_input_grad, unfold=True)
conv_weight_grad = partial(direct.conv_weight_grad, unfold=True)
work = partial(panels_work, unfold=True)
