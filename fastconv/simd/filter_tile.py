"""The tile of planar filtering: a register block whose lanes are neighbouring pixels, or channels with a filter each.

    c[r, v] = start + sum over entries e with r in range[e], k < count[e] of
              w[w_at[e] + k*w_step - r*w_row] * x[x_at[e] + k*x_step + v*x_vector]

for r below `rows` (at most `FILTER_ROWS`) and v below `vectors` (at most `filter_vectors()`). Each x is one vector that
all rows r in range share; w is one scalar broadcast to all lanes (kind BROADCAST) or a vector of its own (kind LANES).
An entry is one row of the input: for filters the rows r of the output that meet it are a range, so no work is wasted.

=========================  ================  ===================  ===================  =====================
use                        lanes             r                    v                    k
=========================  ================  ===================  ===================  =====================
filter an image            pixels of a row   rows of the output   more pixels          columns of the filter
several filters            pixels of a row   output channels      more pixels          columns of the filter
depthwise, channels last   channels          rows of the output   pixels of a row      columns of the filter
its weight gradient        channels          rows of the filter   columns of filter    pixels of a row
weight gradient, planes    pixels of a row   rows of the filter   columns of filter    vectors of a row
=========================  ================  ===================  ===================  =====================

Cost: one multiply-add per lane, entry, row in range and k. Like the micro-kernel's, the functions are compiled once per
dtype and called by address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .host import host
from .jit import c_function
from .vector import I64, INTP, Emitter, keep_rolled

BROADCAST, LANES = 0, 1
ZERO, ACCUMULATE, BIAS = 0, 1, 2  # values of `start`
FILTER_ROWS = 6
FIELDS = 4  # of an entry: x_at, w_at, range code, count

_NAMES = (
    "entries", "table", "x", "x_step", "x_vector", "w", "w_step", "w_row", "c", "c_row", "c_vector",
    "rows", "columns", "c_columns", "start", "bias", "bias_row", "relu",
    "tiles", "x_tile", "c_tile", "columns_tile", "inner", "x_inner", "w_inner", "c_inner", "bias_inner",
    "columns_inner",
)  # fmt: skip
_VOID = ir.VoidType()


def filter_vectors() -> int:
    """Most vectors v of a tile: FILTER_ROWS*v sums, v vectors of x and a w must fit the registers."""
    return 4 if host().registers == 32 else 2


def range_code(first: int, end: int) -> int:
    """The rows first..end-1 as an entry's range code."""
    return first * FILTER_ROWS + end - 1


@intrinsic
def filter_tiles(
    typingctx, address, kind, vectors, entries, table, table0, x, x0, x_step, x_vector, w, w0, w_step, w_row,
    c, c0, c_row, c_vector, rows, columns, c_columns, start, bias, bias0, bias_row, relu,
    tiles, x_tile, c_tile, columns_tile, inner, x_inner, w_inner, c_inner, bias_inner,
    columns_inner,
):  # fmt: skip
    """Compute a run of tiles with the function at `address` (see `filter_address`); the module's docstring has the sum.

    ``table[table0:]`` holds `entries` (0 or more) of `FIELDS` integers; x0, w0, c0 and bias0 are offsets into flat
    arrays or addresses. c[r, v] lies at c0 + r*c_row + v*c_vector; of vector v only the first columns - v*c_columns
    lanes are stored, and loaded where `start` is ACCUMULATE. Every x (and w of kind LANES) is loaded in full. `start`
    is ZERO, ACCUMULATE or BIAS: from bias[bias0 + r*bias_row] in all lanes (BROADCAST) or a vector there (LANES).
    `relu` replaces negative sums by zero and keeps NaN.

    The run is `tiles` times `inner` tiles: `tiles` with x and c `x_tile` and `c_tile` further and `columns_tile` fewer
    columns each; within each `inner` ones with x, w, c and bias `x_inner`, ... further, `columns_inner` fewer columns.
    """
    arrays = {4: table, 6: x, 10: w, 14: c, 22: bias}
    signature = types.void(*(arrays.get(i, INTP) for i in range(25)), types.boolean, *(INTP,) * 10)

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[6])
        values = []
        for i, (kind_, value) in enumerate(zip(signature.args[1:], args[1:], strict=True), start=1):
            if i in arrays:
                at = emit.pointer(kind_, value, args[i + 1]) if isinstance(kind_, types.Array) else value
                values.append(at if isinstance(kind_, types.Array) else builder.gep(value, [args[i + 1]]))
            elif i - 1 not in arrays:  # the offsets are in the pointers now
                values.append(builder.zext(value, I64) if kind_ is types.boolean else value)
        function = ir.FunctionType(_VOID, [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=2)
def filter_address(itemsize: int) -> int:
    """Address of the compiled tile function for float32 (4 bytes) or float64 (8), the same for all kernels."""
    element, integers = types.CPointer({4: types.float32, 8: types.float64}[itemsize]), types.CPointer(types.int64)
    kinds = {"table": integers, "x": element, "w": element, "c": element, "bias": element}
    signature = types.void(INTP, INTP, *(kinds.get(name, INTP) for name in _NAMES))
    return c_function(signature, _tile).address


def _tile(
    kind, vectors, entries, table, x, x_step, x_vector, w, w_step, w_row, c, c_row, c_vector, rows, columns, c_columns,
    start, bias, bias_row, relu, tiles, x_tile, c_tile, columns_tile, inner, x_inner, w_inner, c_inner, bias_inner,
    columns_inner,
):  # fmt: skip
    _switch(
        kind, vectors, entries, table, x, x_step, x_vector, w, w_step, w_row, c, c_row, c_vector, rows, columns,
        c_columns, start, bias, bias_row, relu, tiles, x_tile, c_tile, columns_tile, inner, x_inner, w_inner, c_inner,
        bias_inner, columns_inner,
    )  # fmt: skip


@intrinsic
def _switch(
    typingctx,
    kind, vectors, entries, table, x, x_step, x_vector, w, w_step, w_row, c, c_row, c_vector, rows, columns, c_columns,
    start, bias, bias_row, relu, tiles, x_tile, c_tile, columns_tile, inner, x_inner, w_inner, c_inner, bias_inner,
    columns_inner,
):  # fmt: skip
    """Call the function for one kind and number of vectors; all of them are emitted here."""
    pointers = {3: table, 4: x, 7: w, 10: c, 17: bias}
    return types.void(*(pointers.get(i, INTP) for i in range(len(_NAMES) + 2))), _emit_switch


def _emit_switch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    emit = Emitter(context, builder, signature.args[4])
    (kind, vectors), values = args[:2], args[2:]
    done = builder.append_basic_block("tile.done")
    switch = builder.switch(builder.add(builder.mul(kind, I64(filter_vectors())), vectors), done)
    for kind_ in (BROADCAST, LANES):
        for v in range(1, filter_vectors() + 1):
            function = _tile_function(builder.module, emit, kind_, v, [value.type for value in values])
            with builder.goto_block(done):
                case = builder.append_basic_block(f"tile.{kind_}x{v}")
            switch.add_case(I64(kind_ * filter_vectors() + v), case)
            builder.position_at_end(case)
            builder.call(function, values)
            builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


def _tile_function(module: Any, outer: Emitter, kind: int, v: int, types_: list[Any]) -> Any:
    """The function for one kind and number of vectors."""
    function = ir.Function(module, ir.FunctionType(_VOID, types_), f"fastconv_filter_{outer.suffix}_{kind}x{v}")
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _Tile(outer.within(builder), kind, v, dict(zip(_NAMES, function.args, strict=True))).emit()
    builder.ret_void()
    return function


class _Tile:
    """Emits one tile function: the start, a loop over entries with one inner loop per range of rows, the store."""

    def __init__(self, emit: Emitter, kind: int, v: int, arg: dict[str, Any]) -> None:
        self.emit_, self.builder, self.kind, self.v, self.arg = emit, emit.builder, kind, v, arg
        self.cells = [(r, j) for r in range(FILTER_ROWS) for j in range(v)]

    def emit(self) -> None:
        self._repeat(
            "tiles",
            {"x": "x_tile", "c": "c_tile", "columns": "columns_tile"},
            lambda: self._repeat(
                "inner",
                {"x": "x_inner", "w": "w_inner", "c": "c_inner", "bias": "bias_inner", "columns": "columns_inner"},
                lambda: self._store(self._relu(self._entries(self._start()))),
            ),
        )

    def _repeat(self, times: str, steps: dict[str, str], body: Callable[[], None]) -> None:
        """A loop over tiles; `steps` names what moves on and by how much."""
        b, outer = self.builder, dict(self.arg)
        before, loop, done = b.block, self._block(times), self._block(f"{times}_done")
        b.branch(loop)
        b.position_at_end(loop)
        number = b.phi(I64)
        number.add_incoming(I64(0), before)
        for name in steps:
            self.arg[name] = phi = b.phi(outer[name].type)
            phi.add_incoming(outer[name], before)
        moving = {name: self.arg[name] for name in steps}
        body()
        for name, phi in moving.items():
            step = self.arg[steps[name]]
            following = b.sub(phi, step) if name == "columns" else self.emit_.at(phi, step)
            phi.add_incoming(following, b.block)
        following = b.add(number, I64(1))
        number.add_incoming(following, b.block)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", following, self.arg[times]), loop, done))
        b.position_at_end(done)
        self.arg = outer

    def _block(self, name: str) -> Any:
        return self.builder.append_basic_block(name)

    def _merge(self, cases: list[tuple[list[Any], Any]], start: int = 0) -> list[Any]:
        """Phi nodes joining the values that come from several predecessors."""
        merged = []
        for cell in range(start, len(cases[0][0])):
            phi = self.builder.phi(cases[0][0][cell].type)
            for values, block in cases:
                phi.add_incoming(values[cell], block)
            merged.append(phi)
        return merged

    def _c(self, r: int, j: int) -> Any:
        b = self.builder
        at = b.add(b.mul(I64(r), self.arg["c_row"]), b.mul(I64(j), self.arg["c_vector"]))
        return self.emit_.at(self.arg["c"], at)

    def _mask(self, r: int, j: int) -> Any:
        """Lanes of a cell that exist: none in rows from `rows` on."""
        b = self.builder
        count = b.sub(self.arg["columns"], b.mul(I64(j), self.arg["c_columns"]))
        return self.emit_.first_lanes(b.select(b.icmp_signed("<", I64(r), self.arg["rows"]), count, I64(0)))

    def _start(self) -> list[Any]:
        """Sums as `start` wants them."""
        b, emit = self.builder, self.emit_
        entry, add, bias, begin = b.block, self._block("accumulate"), self._block("bias"), self._block("begin")
        choice = b.switch(self.arg["start"], begin)
        choice.add_case(I64(ACCUMULATE), add)
        choice.add_case(I64(BIAS), bias)
        b.position_at_end(add)
        loaded = [emit.masked_load(self._c(r, j), self._mask(r, j)) for r, j in self.cells]
        b.branch(begin)
        b.position_at_end(bias)
        offsets = [self._bias(r) for r in range(FILTER_ROWS)]
        biased = b.block
        b.branch(begin)
        b.position_at_end(begin)
        zeros = [emit.zero] * len(self.cells)
        return self._merge([(zeros, entry), (loaded, add), ([offsets[r] for r, _ in self.cells], biased)])

    def _bias(self, r: int) -> Any:
        b, emit = self.builder, self.emit_
        if self.kind == LANES:
            return emit.load(self.arg["bias"])
        inside = b.select(b.icmp_signed("<", I64(r), self.arg["rows"]), I64(r), I64(0))
        return emit.splat(b.load(emit.at(self.arg["bias"], b.mul(inside, self.arg["bias_row"]))))

    def _entries(self, sums: list[Any]) -> list[Any]:
        """The loop over entries; each branches to the inner loop of its range of rows."""
        b, arg = self.builder, self.arg
        before, entry, latch, done = b.block, *map(self._block, ("entry", "next_entry", "sums"))
        b.cbranch(b.icmp_signed(">", arg["entries"], I64(0)), entry, done)
        b.position_at_end(entry)
        number, record = b.phi(I64), b.phi(arg["table"].type)
        number.add_incoming(I64(0), before)
        record.add_incoming(arg["table"], before)
        open_sums = self._merge([(sums, before)])
        x_at, w_at, code, count = (b.load(b.gep(record, [I64(i)])) for i in range(FIELDS))
        x, w = self.emit_.at(arg["x"], x_at), self.emit_.at(arg["w"], w_at)
        switch = b.switch(code, latch)
        cases = [(open_sums, entry)]
        for first in range(FILTER_ROWS):
            for end in range(first + 1, FILTER_ROWS + 1):
                block = self._block(f"rows{first}to{end}")
                switch.add_case(I64(range_code(first, end)), block)
                b.position_at_end(block)
                new = self._columns(open_sums, x, w, count, first, end, entry, latch)
                cases.append((new, block))
        b.position_at_end(latch)
        new = self._merge(cases)
        following = b.add(number, I64(1))
        number.add_incoming(following, latch)
        record.add_incoming(b.gep(record, [I64(FIELDS)]), latch)
        for phi, value in zip(open_sums, new, strict=True):
            phi.add_incoming(value, latch)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", following, arg["entries"]), entry, done))
        b.position_at_end(done)
        return self._merge([(sums, before), (new, latch)])

    def _columns(
        self, sums: list[Any], x: Any, w: Any, count: Any, first: int, end: int, entry: Any, latch: Any
    ) -> list[Any]:
        """The inner loop over k for rows first..end-1, emitted into the current block; returns all sums after it."""
        b, emit, arg = self.builder, self.emit_, self.arg
        loop = b.block
        k, x_k, w_k = b.phi(I64), b.phi(x.type), b.phi(w.type)
        for phi, value in ((k, I64(0)), (x_k, x), (w_k, w)):
            phi.add_incoming(value, entry)
        touched = [r * self.v + j for r in range(first, end) for j in range(self.v)]
        inner = {cell: b.phi(emit.vector) for cell in touched}
        for cell, phi in inner.items():
            phi.add_incoming(sums[cell], entry)
        columns = [emit.load(emit.at(x_k, b.mul(I64(j), arg["x_vector"]))) for j in range(self.v)]
        new = list(sums)
        for r in range(first, end):
            place = emit.at(w_k, b.mul(I64(-r), arg["w_row"]))
            weight = emit.load(place) if self.kind == LANES else emit.splat(b.load(place))
            for j in range(self.v):
                cell = r * self.v + j
                new[cell] = emit.multiply_add(weight, columns[j], inner[cell])
        k_next = b.add(k, I64(1))
        k.add_incoming(k_next, loop)
        x_k.add_incoming(emit.at(x_k, arg["x_step"]), loop)
        w_k.add_incoming(emit.at(w_k, arg["w_step"]), loop)
        for cell, phi in inner.items():
            phi.add_incoming(new[cell], loop)
        keep_rolled(b, b.cbranch(b.icmp_signed("<", k_next, count), loop, latch))
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
        """Row by row while there are rows; a vector is stored whole, or masked where its lanes end."""
        b, emit = self.builder, self.emit_
        done = self._block("done")
        for r in range(FILTER_ROWS):
            row = self._block(f"store{r}")
            b.cbranch(b.icmp_signed("<", I64(r), self.arg["rows"]), row, done)
            b.position_at_end(row)
            for j in range(self.v):
                whole, part, stored = map(self._block, ("whole", "part", "stored"))
                left = b.sub(self.arg["columns"], b.mul(I64(j), self.arg["c_columns"]))
                b.cbranch(b.icmp_signed(">=", left, I64(emit.lanes)), whole, part)
                b.position_at_end(whole)
                emit.store(sums[r * self.v + j], self._c(r, j))
                b.branch(stored)
                b.position_at_end(part)
                emit.masked_store(sums[r * self.v + j], self._c(r, j), emit.first_lanes(left))
                b.branch(stored)
                b.position_at_end(stored)
        b.branch(done)
        b.position_at_end(done)
