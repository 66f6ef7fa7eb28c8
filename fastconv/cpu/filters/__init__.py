"""Filters of N-D arrays as `fastconv.ndimage` has them: sums, extrema and ranks of the window around every element.

What `cpu.planar` and `cpu.pool` do not have: any dtype that SciPy's filters take, sums in float64 whose terms are added
in SciPy's order (so that the results are SciPy's to the last bit, and integers, which are truncated, too), and windows
that overlap by all but one element. See docs/decisions/0030-filters-in-scipys-order.md.

`blocks` cuts an array, and copies a block with its border into a thread's scratch; `sums`, `extrema` and `ranks` reduce
it. `rows` knows how each dtype becomes float64 and comes back.
"""

from .chains import filter_chain, filter_rank, filter_sum, filter_window

__all__ = ["filter_chain", "filter_rank", "filter_sum", "filter_window"]
