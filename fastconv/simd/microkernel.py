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
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .host import TILE_VECTORS, tile_rows
from .vector import I64, INTP, Emitter, keep_rolled

# Values of `start`: where the sums begin.
ZERO, ACCUMULATE, BIAS = 0, 1, 2

_I1, _VOID = ir.IntType(1), ir.VoidType()
_NAMES = (
    "terms", "aoff", "boff", "depth", "a", "a_row", "a_step", "b", "b_step",
    "c", "c_row", "columns", "start", "bias", "relu",
)  # fmt: skip


@intrinsic
def multiply_tile(
    typingctx, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
    a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu,
):  # fmt: skip
    """Compute one tile; see the module's docstring for the sum.

    `terms` and `depth` (the ranges of t and k) are at least 1. ``aoff[aoff0:]`` and ``boff[boff0:]`` hold the offsets
    of the terms; a0, b0, c0, bias0 are offsets into the flat arrays; c[i, v] lies at c0 + i*c_row + v. Only the first
    `columns` columns are stored (and loaded); every b is loaded in full. `start` is ZERO, ACCUMULATE (add to c) or
    BIAS (start from bias[bias0 + v]); `relu` replaces negative sums by zero and keeps NaN.
    """
    arrays = {3: aoff, 5: boff, 8: a, 12: b, 15: c, 20: bias}
    signature = types.void(*(arrays.get(i, INTP) for i in range(22)), types.boolean)
    return signature, _emit_call


def _emit_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kinds = signature.args
    emit = Emitter(context, builder, kinds[8])

    def pointer(i: int) -> Any:
        return emit.pointer(kinds[i], args[i], args[i + 1])

    (rows, vectors, terms), depth, columns, start = args[:3], args[7], args[18], args[19]
    values = [terms, pointer(3), pointer(5), depth, pointer(8), args[10], args[11], pointer(12), args[14]]
    values += [pointer(15), args[17], columns, start, pointer(20), args[22]]
    done = builder.append_basic_block("tile.done")
    shape = builder.sub(builder.add(rows, builder.mul(builder.sub(vectors, I64(1)), I64(tile_rows()))), I64(1))
    switch = builder.switch(shape, done)
    for v in range(1, TILE_VECTORS + 1):
        for m in range(1, tile_rows() + 1):
            function = _tile_function(context, builder.module, emit, m, v, [value.type for value in values])
            with builder.goto_block(done):
                case = builder.append_basic_block(f"tile.{m}x{v}")
            switch.add_case(I64((v - 1) * tile_rows() + m - 1), case)
            builder.position_at_end(case)
            builder.call(function, values)
            builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


def _tile_function(context: Any, module: Any, outer: Emitter, m: int, v: int, kinds: list[Any]) -> Any:
    """The function for one tile shape, emitted once per module."""
    name = f"fastconv_tile_{outer.suffix}_{m}x{v}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(_VOID, kinds), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit = Emitter.__new__(Emitter)
    emit.__dict__.update(outer.__dict__)
    emit.builder = builder
    _Tile(emit, m, v, dict(zip(_NAMES, function.args, strict=True))).emit()
    builder.ret_void()
    return function


class _Tile:
    """Emits the loops of one tile shape: terms outside, depth inside, then the store."""

    def __init__(self, emit: Emitter, m: int, v: int, arg: dict[str, Any]) -> None:
        self.emit_, self.builder, self.m, self.v, self.arg = emit, emit.builder, m, v, arg
        self.cells = [(i, j) for i in range(m) for j in range(v)]

    def emit(self) -> None:
        sums = self._start()
        sums = self._terms(sums)
        sums = self._relu(sums)
        self._store(sums)

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
        b.branch(inner)

        b.position_at_end(inner)
        k, a_k, b_k = b.phi(I64), b.phi(a.type), b.phi(vectors.type)
        for phi, first in ((k, I64(0)), (a_k, a), (b_k, vectors)):
            phi.add_incoming(first, outer)
        inner_sums = self._merge([(outer_sums, outer)])
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
