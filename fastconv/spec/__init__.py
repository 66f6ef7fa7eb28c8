"""Arguments become a problem (`fastconv.problem`): parsed and checked once, before anything is allocated."""

from .arguments import (
    COMPUTED,
    CONVOLVED,
    LAYOUTS,
    PADDING_MODES,
    is_plain,
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
    without_lists,
)
from .conv import conv_problem, known_problem, transposed_problem
from .pool import adaptive_problem, pool_problem
from .shapes import AXES, lift

__all__ = [
    "AXES",
    "COMPUTED",
    "CONVOLVED",
    "LAYOUTS",
    "PADDING_MODES",
    "adaptive_problem",
    "conv_problem",
    "is_plain",
    "known_problem",
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
    "pool_problem",
    "transposed_problem",
    "without_lists",
]
