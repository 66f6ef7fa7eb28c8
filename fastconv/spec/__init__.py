"""What a problem is: frozen specifications that are parsed and checked once, before anything is allocated.

Glossary (the same names everywhere in fastconv)
------------------------------------------------
``N``            images in the batch
``C`` ``O``      input and output channels; with ``groups`` = g each group maps C/g to O/g of them
``D H W``        input size, ``KD KH KW`` window or filter size, ``OD OH OW`` output size
``x w b y``      input, weights, bias, output; ``dx dw db dy`` their gradients
``n o i j``      loop over the output; ``c u v`` loop over what is summed

Kernels see every problem with three spatial axes (D, H, W): a 1-D problem has D = H = 1, a 2-D problem D = 1.
Tuples in a specification have those three entries; ``rank`` tells how many of them, from the right, the caller gave.
"""

from .arguments import (
    LAYOUTS,
    PADDING_MODES,
    parse_axes,
    parse_count,
    parse_dtype,
    parse_flag,
    parse_groups,
    parse_layout,
    parse_padding,
    parse_padding_mode,
    parse_real,
    parse_shape,
    parse_word,
)
from .conv import ConvSpec, conv_spec, known_spec, transposed_spec
from .pool import PoolSpec, adaptive_spec, pool_spec
from .shapes import AXES, Pairs, Triple, lift

__all__ = [
    "AXES",
    "LAYOUTS",
    "PADDING_MODES",
    "ConvSpec",
    "Pairs",
    "PoolSpec",
    "Triple",
    "adaptive_spec",
    "conv_spec",
    "known_spec",
    "lift",
    "parse_axes",
    "parse_count",
    "parse_dtype",
    "parse_flag",
    "parse_groups",
    "parse_layout",
    "parse_padding",
    "parse_padding_mode",
    "parse_real",
    "parse_shape",
    "parse_word",
    "pool_spec",
    "transposed_spec",
]
