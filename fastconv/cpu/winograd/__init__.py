"""Winograd convolution with 3x3 filters and both gradients: a quarter (or less than half) of the multiplications.

    y = A^T [ sum over c of (G w G^T) * (B^T x B) ] A      for each tile of m x m outputs

F(4x4, 3x3) takes 36 multiplications where direct convolution takes 144, F(2x2, 3x3) 16 for 36; which one serves a
problem follows from how many tiles its outputs need. The sums over channels are small matrix products, one for each
frequency, made by the same micro-kernel as everything else; see `points` for the transforms,
`tiling` for the blocks, and `forward` and `weight_grad` for what is done with them.

Cost: 2*N*O*C/groups*tiles*(m + 2)^2 operations of the micro-kernel, and transforms of about 5 operations for each
element of the planes. Extra memory: per thread the planes of a block of tiles and either transformed filters (up to 3
MiB) or the inputs of a block that meets one panel of filters after another (up to about 4 MiB); prepared, the filters
take up to four times their size. The weight gradient has the planes of at most half ``FASTCONV_SCRATCH_BYTES`` at once.
Error: for data of one magnitude that of direct convolution for F(2x2), up to about twice that for F(4x4); of weight
gradients up to six times. But it is relative to the largest element of a tile of (m + 2)^2 inputs, not to those of a
window: each output is off by less than

    growth * C/groups * (C/groups + 30) * eps/2 * max |x| * max |w|      growth: 64 for F(2x2), 752 for F(4x4)

and each weight's gradient by less than growth * (tiles + 30) * eps/2 * sum over tiles of max |x| * max |dy|, growth 36
and 1096; typically by the square root of that. So small numbers lose digits beside large ones in their tile, which
may see several images of a batch (`sheets`), and an Inf, a NaN or a number within the growth of the dtype's largest
reaches all outputs of the tiles that see it.
Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, sections 4 and 4.2; the
points are those of `points`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...problem import ConvProblem


def supports(problem: ConvProblem) -> str | None:
    """Why the method cannot serve a problem, or None."""
    if problem.kernel == (1, 3, 3) and problem.stride[1:] == (1, 1):
        return None
    first = 3 - max(problem.rank, 2)
    window, step = ("x".join(map(str, sizes[first:])) for sizes in (problem.kernel, problem.stride))
    return f"winograd serves 3x3 filters of stride 1; this one is {window}, stride {step}"


def __getattr__(name: str) -> Any:  # most problems ask for `supports` alone, which needs no kernels
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.operators"), name)
