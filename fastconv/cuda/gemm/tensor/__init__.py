"""Convolution and its gradients as implicit GEMMs on tensor cores: which problems, and the steps of a call.

TF32 serves float32 where `fastconv.allow_tf32` allows it, float16 and bfloat16 arrays are multiplied as they are; all
sums are float32. Image and weights are first brought to words (``staging``), unless a channels-last image of 16-bit
numbers lies like that already: 32 channels in a group, or a multiple, in a weight gradient 8. Extra memory: both
operands once more, the image's channels filled up to 64 (16) bytes.
Error: below (2**-10 + 2**-22 + terms*2**-22)*(|x|*|w|) in TF32, terms*2**-22*(|x|*|w|) for 16-bit operands, and the
rounding of a 16-bit result.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ....problem import ConvProblem, Triple
from ... import backend
from ...filters import Filters, count_parts, sum_parts
from ...halves import Half, elements
from ...indexing import strides_of
from ...launch import blocks_for, flat, launch, needs_wide, table
from ...ptx import CHUNK
from .. import lowering, parts, tiles
from ..lowering import Plan, entries_of, phases_of
from ..tiles import STEP, TensorTile
from ..weights import Pixels
from .gathered import NARROW, NUMBERS, Weights, make_gemm_tensor
from .staging import SIDE, Image, make_pack, make_pack_turned, make_stage, make_stage_planes
from .weights import Grad, geometry, make_gemm_weights_tensor

SINCE = 8, 0  # compute capability
LEAST_OUTPUTS = 16


def choose_numbers(
    dtype: str, tf32: bool, capability: tuple[int, int], channels: int | None, outputs: int, zeros: bool
) -> str | None:
    """What tensor cores multiply, "tf32", "bf16" or "f16"; None where float32 is computed without them.

    Parameters
    ----------
    dtype : str
        Name of the arrays' dtype.
    tf32 : bool
        TF32 is allowed for float32.
    capability : (int, int)
        The GPU's compute capability; asynchronous copies and TF32 came with 8.0.
    channels, outputs : int
        Of a group: what is summed, and what is computed. Tiles that they would fill by less than half are not worth it.
        None for a weight gradient, which sums pixels.
    zeros : bool
        The border is zeros; other borders are made, and summed up again, in float32.
    """
    numbers = {"float32": "tf32" if tf32 else None, "float16": "f16", "bfloat16": "bf16"}.get(dtype)
    if numbers is None or capability < SINCE or not (zeros or numbers == "tf32"):
        return None
    enough = channels is None or 2 * channels >= STEP * NUMBERS[numbers]
    return numbers if enough and outputs >= LEAST_OUTPUTS else None


def multiply(
    p: ConvProblem, filters: Filters, x: Any, w: Any, b: Any, y: Any, activation: Any, numbers: str,
    channels_last: bool | None = None,
) -> None:  # fmt: skip
    """y = activation(b + A w), A gathered from x as in ``cores.multiply``; x, w, y are all float32 or all `Half`.

    `channels_last` says how x lies, if not as y does.
    """
    words = -(-filters.channels // (STEP * NUMBERS[numbers])) * STEP
    plan = lowering.staged(p, words, STEP)
    capability, rows = backend.executor().capability(), y.size // (filters.outputs * p.groups)
    tile = tiles.tensor_tile(capability, rows, filters.outputs, p.groups)
    size, last = (p.out, p.O) if p.op == "conv_input_grad" else (p.size, p.C)
    image, columns = p.N * math.prod(size) * words * p.groups, len(plan.columns)
    weights = Weights(filters.outputs, columns, filters.outputs * columns)
    wide = needs_wide(x.size, w.size, y.size, image, columns * filters.outputs * p.groups * 2)
    order = p.channels_last if channels_last is None else channels_last
    staged = _staged(elements(x), p, last, size, words, numbers, wide, order)
    if filters.taps == p.groups == 1:  # output channels lie as pixels do
        rows_of_w = Image(0, filters.o, filters.c, filters.channels, words, 1, filters.outputs)
        packed = _as_words(elements(w), rows_of_w, 1, numbers, wide, filters.c == 1, "packed words")
    else:
        packed = _packed(plan, elements(w), filters, p.groups, numbers, wide)

    def run(plan: Plan, b: Any, y: Any, activation: Any) -> None:
        _start(plan, tile, numbers, p, staged, packed, b, y, weights, activation, wide or needs_wide(y.size))

    result, total = elements(y), filters.outputs * p.groups
    count = parts.parts_of(plan, filters.outputs, p.groups, y.size, 4)
    shorten = NARROW[numbers] if isinstance(y, Half) else None
    pixels = 1 if p.channels_last else y.size // (p.N * total)
    parts.through_parts(run, plan, b, result, count, total, pixels, activation, shorten)


def _start(
    plan: Plan, tile: TensorTile, numbers: str, p: ConvProblem, staged: Any, packed: Any, b: Any, y: Any,
    weights: Weights, activation: Any, wide: bool,
) -> None:  # fmt: skip
    grid = blocks_for(weights.outputs, tile.BN), blocks_for(int(plan.phases[:, 3].max()), tile.BM), len(plan.phases)
    tables = table(entries_of, (plan,), wide), table(phases_of, (plan,), wide)
    y = flat(y)
    launch(
        make_gemm_tensor,
        (tile, numbers, lowering.is_deep(p), b is not None, activation, y.dtype == np.uint16),
        math.prod(grid) * p.groups,
        (staged, packed, y if b is None else flat(b), y, *tables, plan.gather, plan.target, weights, grid),
        dtype=np.float32,
        wide=wide,
        threads=tile.threads,
        resident=tiles.resident(tile.threads, wide),
        shared=tile.shared,
    )


def weight_grad(p: ConvProblem, filters: Filters, x: Any, dy: Any, dw: Any, numbers: str) -> None:
    """dw = A' dy, A gathered from x; x, dy, dw are all float32 or all `Half`. Tiles and parts are the problem's."""
    per, pixels = NUMBERS[numbers], dy.size // p.O
    words, outputs = (-(-channels // (CHUNK * per)) * CHUNK for channels in (filters.channels, filters.outputs))
    rows = filters.taps * words * per
    tile = tiles.weights_tile(backend.executor().capability(), rows, filters.outputs)
    plan = lowering.forward(replace(p, C=words * p.groups, channels_last=True), tile.BM // per, False)
    grid = blocks_for(filters.outputs, tile.BN), blocks_for(rows, tile.BM), p.groups
    size = rows * filters.outputs * p.groups
    count, part = count_parts(pixels, 1, math.prod(grid), size * 4)
    totals = p.N * math.prod(p.size) * words * p.groups, pixels * outputs * p.groups
    wide = needs_wide(x.size, dy.size, *totals, count * size)
    image = _staged(elements(x), p, p.C, p.size, words, numbers, wide, p.channels_last)
    grad = _staged(elements(dy), p, p.O, p.out, outputs, numbers, wide, p.channels_last, "staged dy")
    partial = backend.scratch("parts", count * size, np.float32)
    steps = lowering.digits(geometry(tile, numbers)[3], p.out)
    launch(
        make_gemm_weights_tensor,
        (tile, numbers, lowering.is_deep(p)),
        math.prod(grid) * count,
        (
            image, grad, partial, table(_chunks, (plan,), wide), plan.gather, Pixels(*p.out, pixels, part, *steps),
            Grad(outputs * p.groups, outputs, rows, filters.outputs), grid,
        ),
        dtype=np.float32,
        wide=wide,
        threads=tile.threads,
        resident=tiles.resident(tile.threads, wide),
        shared=tile.shared,
    )  # fmt: skip
    shorten = NARROW[numbers] if isinstance(dw, Half) else None
    sum_parts(partial, dw.bits if isinstance(dw, Half) else dw, filters, count, words * per, shorten)


def _staged(
    x: Any, p: ConvProblem, channels: int, size: Triple, words: int, numbers: str, wide: bool,
    channels_last: bool, slot: str = "staged",
) -> Any:  # fmt: skip
    """The image as words, good until the next one in `slot`."""
    strides = strides_of(channels, size, channels_last)
    image = Image(strides.n, strides.w, strides.c, channels // p.groups, words, p.groups, math.prod(size))
    return _as_words(x, image, p.N, numbers, wide, channels_last, slot)


def _as_words(x: Any, image: Image, images: int, numbers: str, wide: bool, channels_last: bool, slot: str) -> Any:
    """Words of whole images, channels side by side; x itself if it consists of such words."""
    group = NUMBERS[numbers] * image.words
    lies_so = (image.c, image.channels, image.pixel) == (1, group, group * image.groups)
    if lies_so and x.dtype == np.uint16 and backend.is_aligned(x):
        return backend.executor().words(x)
    total = images * image.pixels * image.groups * image.words
    staged = backend.scratch(slot, total, np.uint32)
    if channels_last:
        launch(make_stage, (numbers,), blocks_for(total // 4), (x, staged, image, total // 4), dtype=x.dtype, wide=wide)
    else:
        grid = blocks_for(image.pixels, SIDE), blocks_for(image.words, SIDE)
        blocks = math.prod(grid) * image.groups * images
        launch(make_stage_planes, (numbers,), blocks, (x, staged, image, grid), dtype=x.dtype, wide=wide)
    return staged


def _packed(plan: Plan, w: Any, filters: Filters, groups: int, numbers: str, wide: bool) -> Any:
    """The weights as (group, output channel, column of A)."""
    columns = len(plan.columns)
    size = groups * filters.outputs * columns
    packed = backend.scratch("packed words", size, np.uint32)
    args = w, packed, table(_offsets, (plan, filters, NUMBERS[numbers]), wide), columns, filters.outputs, filters.group
    if filters.o < filters.c:
        grid = blocks_for(columns, SIDE), blocks_for(filters.outputs, SIDE)
        blocks = math.prod(grid) * groups
        launch(make_pack_turned, (numbers,), blocks, (*args, filters.o, grid), dtype=w.dtype, wide=wide)
    else:
        launch(make_pack, (numbers,), blocks_for(size), (*args, filters.o, size), dtype=w.dtype, wide=wide)
    return packed


def _chunks(plan: Plan) -> np.ndarray:
    """The entries of every chunk's first column."""
    return plan.entries[::CHUNK].reshape(-1)


def _offsets(plan: Plan, filters: Filters, per: int) -> np.ndarray:
    """Where in w each number of each column is; -1 for those that only fill up."""
    tap, word = (v[:, None] for v in plan.columns.T)
    c = word * per + np.arange(per)
    return np.where((tap < 0) | (c >= filters.channels), -1, tap * filters.tap + c * filters.c).reshape(-1)
