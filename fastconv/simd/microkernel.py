"""The micro-kernel that carries direct, im2col, GEMM and all gradients: a register tile of multiply-adds.

    c[i, v] = start + sum over t, k of a[aoff[t] + i*a_row + k*a_step] * b[boff[t] + k*b_step + v]

for i below `rows` (at most `tile_rows()`) and v below `vectors` * lanes (1 or 2 vectors). Each a is broadcast, each b
is one vector, and all of c stays in registers until it is stored. With other offsets and strides this one sum is

=================  ==================  ====================  ==============  ====================
use                i                   t                     k               v
=================  ==================  ====================  ==============  ====================
convolution        pixels of a row     taps of the filter    input channels  output channels
weight gradient    input channels      rows of the output    pixels          output channels
matrix product     rows                one                   inner index     columns
=================  ==================  ====================  ==============  ====================

Cost: one multiply-add per lane and term; the tile of 14x2 (32 registers) or 6x2 (16) keeps two FMA units busy.
Source: the register blocking is Goto & van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), with a
table of offsets in place of packing.

The functions for all tile shapes are compiled once per dtype and called by address: compiled into every kernel they
would make each of them a second slower to compile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .host import TILE_VECTORS, tile_rows
from .jit import c_function, kernel
from .vector import I64, INTP, Emitter, keep_rolled

# Values of `start`: where the sums begin.
ZERO, ACCUMULATE, BIAS = 0, 1, 2
AHEAD = 32  # steps of k by which memory is asked for before it is read, where there are at least twice as many

_NAMES = (
    "terms", "aoff", "boff", "depth", "a", "a_row", "a_step", "b", "b_step",
    "c", "c_row", "columns", "start", "bias", "relu", "tiles",
)  # fmt: skip


_VOID = ir.VoidType()


@kernel
def multiply_tile(
    address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
    a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu,
):  # fmt: skip
    """One tile; `multiply_tiles` has the arguments."""
    multiply_tiles(
        address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
        a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu, 1,
    )  # fmt: skip


@intrinsic
def multiply_tiles(
    typingctx, address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
    a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu, tiles,
):  # fmt: skip
    """Compute `tiles` tiles, one above the other, with the function at `address` (see `tile_address`).

    The module's docstring has the sum; i of the second tile follows on that of the first, with the same b.

    `terms` and `depth` (the ranges of t and k) are at least 1. ``aoff[aoff0:]`` and ``boff[boff0:]`` hold the offsets
    of the terms; a0, b0, c0, bias0 are offsets into the flat arrays; c[i, v] lies at c0 + i*c_row + v. Only the first
    `columns` columns are stored (and loaded); every b is loaded in full. `start` is ZERO, ACCUMULATE (add to c) or
    BIAS (start from bias[bias0 + v]); `relu` replaces negative sums by zero and keeps NaN.
    """
    arrays = {4: aoff, 6: boff, 9: a, 13: b, 16: c, 21: bias}
    signature = types.void(*(arrays.get(i, INTP) for i in range(23)), types.boolean, INTP)

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[9])
        values = []
        for i, (kind, value) in enumerate(zip(signature.args[1:], args[1:], strict=True), start=1):
            if i in arrays:
                values.append(emit.pointer(kind, value, args[i + 1]))
            elif i - 1 not in arrays:  # the offsets are in the pointers now
                values.append(builder.zext(value, I64) if kind is types.boolean else value)
        function = ir.FunctionType(_VOID, [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=2)
def tile_address(itemsize: int) -> int:
    """Address of the compiled tile function for float32 (4 bytes) or float64 (8), the same for all kernels."""
    element, offset = types.CPointer({4: types.float32, 8: types.float64}[itemsize]), types.CPointer(types.int64)
    kinds = {"aoff": offset, "boff": offset, "a": element, "b": element, "c": element, "bias": element}
    signature = types.void(INTP, INTP, *(kinds.get(name, INTP) for name in _NAMES))
    return c_function(signature, _tile).address


def _tile(
    rows, vectors, terms, aoff, boff, depth, a, a_row, a_step, b, b_step, c, c_row, columns, start, bias, relu, tiles
):
    _switch(
        rows,
        vectors,
        terms,
        aoff,
        boff,
        depth,
        a,
        a_row,
        a_step,
        b,
        b_step,
        c,
        c_row,
        columns,
        start,
        bias,
        relu,
        tiles,
    )


@intrinsic
def _switch(
    typingctx,
    rows,
    vectors,
    terms,
    aoff,
    boff,
    depth,
    a,
    a_row,
    a_step,
    b,
    b_step,
    c,
    c_row,
    columns,
    start,
    bias,
    relu,
    tiles,
):
    """Call the function for one of the tile shapes; all of them are emitted here."""
    pointers = {3: aoff, 4: boff, 6: a, 9: b, 11: c, 15: bias}
    return types.void(*(pointers.get(i, INTP) for i in range(18))), _emit_switch


def _emit_switch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    emit = Emitter(context, builder, signature.args[6])
    (rows, vectors), values = args[:2], args[2:]
    done = builder.append_basic_block("tile.done")
    shape = builder.sub(builder.add(rows, builder.mul(builder.sub(vectors, I64(1)), I64(tile_rows()))), I64(1))
    switch = builder.switch(shape, done)
    for v in range(1, TILE_VECTORS + 1):
        for m in range(1, tile_rows() + 1):
            function = _tile_function(builder.module, emit, m, v, [value.type for value in values])
            with builder.goto_block(done):
                case = builder.append_basic_block(f"tile.{m}x{v}")
            switch.add_case(I64((v - 1) * tile_rows() + m - 1), case)
            builder.position_at_end(case)
            builder.call(function, values)
            builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


def _tile_function(module: Any, outer: Emitter, m: int, v: int, kinds: list[Any]) -> Any:
    """The function for one tile shape."""
    function = ir.Function(module, ir.FunctionType(_VOID, kinds), f"fastconv_tile_{outer.suffix}_{m}x{v}")
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _Tile(outer.within(builder), m, v, dict(zip(_NAMES, function.args, strict=True))).emit()
    builder.ret_void()
    return function


class _Tile:
    """Emits the loops of one tile shape: terms outside, depth inside, then the store."""

    def __init__(self, emit: Emitter, m: int, v: int, arg: dict[str, Any]) -> None:
        self.emit_, self.builder, self.m, self.v, self.arg = emit, emit.builder, m, v, arg
        self.cells = [(i, j) for i in range(m) for j in range(v)]

    def emit(self) -> None:
        """A loop over tiles one above the other: called tile by tile, short sums would spend a tenth on the call."""
        b, before, loop, done = self.builder, self.builder.block, self._block("tile"), self._block("done")
        a, c, steps = self.arg["a"], self.arg["c"], (self.arg["a_row"], self.arg["c_row"])
        b.branch(loop)
        b.position_at_end(loop)
        left, self.arg["a"], self.arg["c"] = b.phi(I64), b.phi(a.type), b.phi(c.type)
        for phi, first in ((left, self.arg["tiles"]), (self.arg["a"], a), (self.arg["c"], c)):
            phi.add_incoming(first, before)
        self._store(self._relu(self._terms(self._start())))
        for name, step in zip("ac", steps, strict=True):
            following = self.emit_.at(self.arg[name], b.mul(I64(self.m), step))
            self.arg[name].add_incoming(following, b.block)
        fewer = b.sub(left, I64(1))
        left.add_incoming(fewer, b.block)
        keep_rolled(b, b.cbranch(b.icmp_signed(">", fewer, I64(0)), loop, done))
        b.position_at_end(done)

    def _block(self, name: str) -> Any:
        return self.builder.append_basic_block(name)

    def _merge(self, cases: list[tuple[list[Any], Any]]) -> list[Any]:
        """Phi nodes joining the accumulators of several predecessors."""
        merged = []
        for cell in range(len(self.cells)):
            phi = self.builder.phi(self.emit_.vector)
            for values, block in cases:
                phi.add_incoming(values[cell], block)
            merged.append(phi)
        return merged

    def _c(self, i: int, j: int) -> Any:
        row = self.emit_.at(self.arg["c"], self.builder.mul(I64(i), self.arg["c_row"]))
        return self.emit_.at(row, j * self.emit_.lanes)

    def _masks(self) -> list[Any]:
        columns = self.arg["columns"]
        counts = [self.builder.sub(columns, I64(j * self.emit_.lanes)) for j in range(self.v)]
        return [self.emit_.first_lanes(count) for count in counts]

    def _start(self) -> list[Any]:
        """Accumulators as `start` wants them."""
        b, emit = self.builder, self.emit_
        for i, j in self.cells:
            emit.prefetch(self._c(i, j), write=True)
        entry, add, bias, begin = b.block, self._block("accumulate"), self._block("bias"), self._block("begin")
        choice = b.switch(self.arg["start"], begin)
        choice.add_case(I64(ACCUMULATE), add)
        choice.add_case(I64(BIAS), bias)
        b.position_at_end(add)
        masks = self._masks()
        loaded = [emit.masked_load(self._c(i, j), masks[j]) for i, j in self.cells]
        b.branch(begin)
        b.position_at_end(bias)
        vectors = [emit.load(emit.at(self.arg["bias"], j * emit.lanes)) for j in range(self.v)]
        b.branch(begin)
        b.position_at_end(begin)
        zeros = [emit.zero] * len(self.cells)
        return self._merge([(zeros, entry), (loaded, add), ([vectors[j] for _, j in self.cells], bias)])

    def _terms(self, sums: list[Any]) -> list[Any]:
        """The two loops: over terms, and over the depth of each."""
        b, emit, arg = self.builder, self.emit_, self.arg
        before, outer, inner, latch, done = b.block, *map(self._block, ("term", "depth", "next_term", "store"))
        b.branch(outer)

        b.position_at_end(outer)
        t = b.phi(I64)
        t.add_incoming(I64(0), before)
        outer_sums = self._merge([(sums, before)])
        a = emit.at(arg["a"], b.load(b.gep(arg["aoff"], [t])))
        vectors = emit.at(arg["b"], b.load(b.gep(arg["boff"], [t])))
        offsets = [b.mul(I64(i), arg["a_row"]) for i in range(self.m)]
        # Where a row's k lie together (a_step 1) the next tile's rows follow: a cache line of them a step. Else what
        # comes next is this tile's a some steps on.
        rows = b.icmp_signed("==", arg["a_step"], I64(1))
        steps = b.select(b.icmp_signed(">", arg["depth"], I64(2 * AHEAD)), I64(AHEAD), I64(0))
        later = b.add(b.mul(steps, arg["a_step"]), b.mul(I64(self.m - 1), arg["a_row"]))
        distance = b.select(rows, b.mul(I64(self.m), arg["a_row"]), later)
        stride = b.select(rows, I64(64 // emit.itemsize), arg["a_step"])
        following = emit.at(a, distance)
        b.branch(inner)

        b.position_at_end(inner)
        k, a_k, b_k = b.phi(I64), b.phi(a.type), b.phi(vectors.type)
        for phi, first in ((k, I64(0)), (a_k, a), (b_k, vectors)):
            phi.add_incoming(first, outer)
        inner_sums = self._merge([(outer_sums, outer)])
        emit.prefetch(emit.at(following, b.mul(k, stride)))
        columns = [emit.load(emit.at(b_k, j * emit.lanes)) for j in range(self.v)]
        new = []
        for i in range(self.m):
            scalar = emit.splat(b.load(b.gep(a_k, [offsets[i]])))
            new += [emit.multiply_add(scalar, columns[j], inner_sums[i * self.v + j]) for j in range(self.v)]
        k_next = b.add(k, I64(1))
        k.add_incoming(k_next, inner)
        a_k.add_incoming(emit.at(a_k, arg["a_step"]), inner)
        b_k.add_incoming(emit.at(b_k, arg["b_step"]), inner)
        for phi, value in zip(inner_sums, new, strict=True):
            phi.add_incoming(value, inner)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", k_next, arg["depth"]), inner, latch))

        b.position_at_end(latch)
        t_next = b.add(t, I64(1))
        t.add_incoming(t_next, latch)
        for phi, value in zip(outer_sums, new, strict=True):
            phi.add_incoming(value, latch)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", t_next, arg["terms"]), outer, done))
        b.position_at_end(done)
        return new

    def _relu(self, sums: list[Any]) -> list[Any]:
        b, emit = self.builder, self.emit_
        before, clip, join = b.block, self._block("relu"), self._block("clipped")
        b.cbranch(b.icmp_unsigned("!=", self.arg["relu"], self.arg["relu"].type(0)), clip, join)
        b.position_at_end(clip)
        clipped = [b.select(b.fcmp_ordered("<", s, emit.zero), emit.zero, s) for s in sums]
        b.branch(join)
        b.position_at_end(join)
        return self._merge([(sums, before), (clipped, clip)])

    def _store(self, sums: list[Any]) -> None:
        b, emit = self.builder, self.emit_
        full, part, done = map(self._block, ("full", "part", "done"))
        b.cbranch(b.icmp_signed(">=", self.arg["columns"], I64(self.v * emit.lanes)), full, part)
        b.position_at_end(full)
        for (i, j), value in zip(self.cells, sums, strict=True):
            emit.store(value, self._c(i, j))
        b.branch(done)
        b.position_at_end(part)
        masks = self._masks()
        for (i, j), value in zip(self.cells, sums, strict=True):
            emit.masked_store(value, self._c(i, j), masks[j])
        b.branch(done)
        b.position_at_end(done)
