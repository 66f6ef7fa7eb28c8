"""Depthwise filters of a few known sizes, lanes = channels: each sum of a tile, and each tap, has its own register.

    y[r, q, c] = bias[c] + sum over u, v of w[u, v, c] * x[r*S + u, q*S + v, c]

for a block of rows r and columns q and all channels c. The tile of `filter_tile` takes any filter, as a table; here the
filter is in the code (`SHAPES`), so that a tile has nothing to set up and LLVM keeps the taps of 3x3 in registers while
tiles follow each other along a row. Where rows, columns or channels are no whole number of tiles, the last tile begins
earlier and computes some outputs again: nothing is masked.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .host import host
from .jit import c_function
from .vector import I64, INTP, Emitter, keep_rolled, lanes_of


class Shape(NamedTuple):
    """A filter of `taps` x `taps` at a stride, and the rows and columns of its tile."""

    taps: int
    stride: int
    rows: int
    cols: int


SHAPES = (Shape(3, 1, 4, 3), Shape(3, 2, 3, 4)) if host().registers == 32 else (Shape(3, 1, 3, 2), Shape(3, 2, 3, 2))

_NAMES = ("x", "x_row", "x_pixel", "w", "w_tap", "y", "y_row", "y_pixel", "columns", "bias", "biased", "relu", "stream")


@intrinsic
def depth_sweep(
    typingctx, address, shape, stride, height, width, rows, columns, channels, x, x0, x_row, x_pixel, w, w0, w_tap,
    y, y0, y_row, y_pixel, bias, bias0, biased, relu, stream,
):  # fmt: skip
    """Filter a block with the function at `address` (see `depth_address`); the module's docstring has the sum.

    `shape` counts in `SHAPES`, whose stride and tile follow; `rows` and `columns` are at least the tile's, `channels`
    one vector. The places x, w, y and bias are addresses with offsets; channels are neighbours, taps `w_tap` apart.
    `relu` replaces negative sums by zero and keeps NaN. With `stream` results are written past the caches; vectors of
    y must then be aligned.
    """
    places = {8: x, 12: w, 15: y, 19: bias}
    signature = types.void(*(places.get(i, INTP) for i in range(21)), *(types.boolean,) * 3)

    def codegen(context, builder, signature, args):
        values = []
        for i, value in enumerate(args[1:], start=1):
            if i in places:
                values.append(builder.gep(value, [args[i + 1]]))
            elif i - 1 not in places:
                values.append(builder.zext(value, I64) if i >= 21 else value)
        function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        builder.fence("seq_cst")  # streamed results are there before the thread says that it is done
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=2)
def depth_address(itemsize: int) -> int:
    """Address of the compiled function for float32 (4 bytes) or float64 (8), the same for all kernels."""
    element = types.CPointer({4: types.float32, 8: types.float64}[itemsize])
    places = (7, 10, 12, 15)
    signature = types.void(*(element if i in places else INTP for i in range(19)))
    return c_function(signature, _sweep).address


def _sweep(
    shape, stride, height, width, rows, columns, channels, x, x_row, x_pixel, w, w_tap, y, y_row, y_pixel, bias, biased,
    relu, stream,
):  # fmt: skip
    lanes = lanes_of(x)
    for i in range(0, rows, height):
        r = min(i, rows - height)
        for j in range(0, channels, lanes):
            c = min(j, channels - lanes)
            _row(
                shape, x, r * stride * x_row + c, x_row, x_pixel, w, c, w_tap, y, r * y_row + c, y_row, y_pixel,
                columns, bias, c, biased, relu, stream,
            )  # fmt: skip


@intrinsic
def _row(
    typingctx,
    shape,
    x,
    x0,
    x_row,
    x_pixel,
    w,
    w0,
    w_tap,
    y,
    y0,
    y_row,
    y_pixel,
    columns,
    bias,
    bias0,
    biased,
    relu,
    stream,
):
    """Call the function of one shape for one vector of channels and one row of tiles."""
    places = {1: x, 5: w, 8: y, 13: bias}

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, x)
        values = []
        for i, value in enumerate(args[1:], start=1):
            if i in places:
                values.append(emit.at(value, args[i + 1]))
            elif i - 1 not in places:
                values.append(value)
        done = builder.append_basic_block("row.done")
        switch = builder.switch(builder.add(builder.mul(args[17], I64(len(SHAPES))), args[0]), done)
        for number, (stream_, shape_) in enumerate(itertools.product((False, True), SHAPES)):
            function = _row_function(builder.module, emit, shape_, stream_, [value.type for value in values])
            with builder.goto_block(done):
                case = builder.append_basic_block(f"row.{number}")
            switch.add_case(I64(number), case)
            builder.position_at_end(case)
            builder.call(function, values)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*(places.get(i, INTP) for i in range(18))), codegen


def _row_function(module: Any, outer: Emitter, shape: Shape, stream: bool, kinds: list[Any]) -> Any:
    """The function for one shape: tiles along a row, the last of which may begin within the one before."""
    name = f"fastconv_depth_{outer.suffix}_{shape.taps}s{shape.stride}{'n' * stream}"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    emit, arg = outer.within(b), dict(zip(_NAMES, function.args, strict=True))
    tile = _Tile(emit, shape, stream, arg)
    entry, loop, done = b.block, b.append_basic_block("tiles"), b.append_basic_block("done")
    last = b.sub(arg["columns"], I64(shape.cols))
    b.branch(loop)
    b.position_at_end(loop)
    q = b.phi(I64)
    q.add_incoming(I64(0), entry)
    tile.emit(q)
    following = b.add(q, I64(shape.cols))
    at = b.select(b.icmp_signed("<", following, last), following, last)
    q.add_incoming(at, b.block)
    keep_rolled(b, b.cbranch(b.icmp_signed("<", q, last), loop, done))
    b.position_at_end(done)
    b.ret_void()
    return function


class _Tile:
    """Emits one tile; the taps, and what sums begin with, are loaded before the loop over tiles."""

    def __init__(self, emit: Emitter, shape: Shape, stream: bool, arg: dict[str, Any]) -> None:
        self.emit_, self.builder, self.shape, self.arg = emit, emit.builder, shape, arg
        self.store = emit.stream if stream else emit.store
        b = self.builder
        self.taps = [emit.load(emit.at(arg["w"], b.mul(I64(t), arg["w_tap"]))) for t in range(shape.taps * shape.taps)]
        before, load, begin = b.block, b.append_basic_block("bias"), b.append_basic_block("begin")
        b.cbranch(b.icmp_signed("!=", arg["biased"], I64(0)), load, begin)
        b.position_at_end(load)
        offset = emit.load(arg["bias"])
        b.branch(begin)
        b.position_at_end(begin)
        self.start = b.phi(emit.vector)
        self.start.add_incoming(emit.zero, before)
        self.start.add_incoming(offset, load)
        lowest = ir.Constant(emit.element, float("-inf"))
        relu = b.icmp_signed("!=", arg["relu"], I64(0))
        self.floor = emit.splat(b.select(relu, ir.Constant(emit.element, 0.0), lowest))

    def emit(self, q: Any) -> None:
        """The tile whose first column is q."""
        b, emit, arg, (taps, stride, rows, cols) = self.builder, self.emit_, self.arg, self.shape
        x = emit.at(arg["x"], b.mul(b.mul(q, I64(stride)), arg["x_pixel"]))
        sums = {(r, j): self.start for r in range(rows) for j in range(cols)}
        for m in range((rows - 1) * stride + taps):
            line = emit.at(x, b.mul(I64(m), arg["x_row"]))
            pixels = [
                emit.load(emit.at(line, b.mul(I64(k), arg["x_pixel"]))) for k in range((cols - 1) * stride + taps)
            ]
            for r in range(rows):
                u = m - r * stride
                if 0 <= u < taps:
                    for v in range(taps):
                        for j in range(cols):
                            sums[r, j] = emit.multiply_add(self.taps[u * taps + v], pixels[j * stride + v], sums[r, j])
        y = emit.at(arg["y"], b.mul(q, arg["y_pixel"]))
        for (r, j), value in sums.items():
            clipped = b.select(b.fcmp_ordered("<", value, self.floor), self.floor, value)
            self.store(clipped, emit.at(y, b.add(b.mul(I64(r), arg["y_row"]), b.mul(I64(j), arg["y_pixel"]))))
