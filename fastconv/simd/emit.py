"""Writes the loops that LLVM's vectoriser does not find: vectors in registers, loops that carry them, choices of them.

An `Emitter` emits LLVM's code for vectors of one dtype. `repeat` and `choose` take what a loop or a case does as a
function of values, and return the values after it: no caller handles blocks or phi nodes. `simd.family` makes C
functions of such code; `simd.lanes` and `simd.vector` make intrinsics of it, for kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from .host import host

I32, I64 = ir.IntType(32), ir.IntType(64)
INTP = types.intp
VOID = ir.VoidType()


class Lanes(types.Type):
    """Numba type of `count` lanes of `dtype`; a mask has dtype boolean."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Lanes({dtype}, {count})")

    @property
    def vector(self) -> Any:
        """The LLVM type."""
        if isinstance(self.dtype, types.Float):
            return ir.VectorType(ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType(), self.count)
        return ir.VectorType(ir.IntType(1 if self.dtype == types.boolean else self.dtype.bitwidth), self.count)

    def constant(self, value: Any) -> Any:
        """`value` in every lane."""
        return ir.Constant(self.vector, [value] * self.count)


class Emitter:
    """Emits code for vectors of a type of lanes, or of the host's width for the dtype of an array (Numba types)."""

    factors = 1  # elements of each operand whose products one `multiply_add` adds up in a lane
    sum_units = 1  # elements' room that a sum takes where it is stored
    fused = True  # whether products and sums may be rounded once, where the host can

    def __init__(self, context: Any, builder: Any, kind: Any) -> None:
        self.context, self.builder = context, builder
        self.itemsize = kind.dtype.bitwidth // 8
        self.kind = kind if isinstance(kind, Lanes) else Lanes(kind.dtype, host().lanes(self.itemsize))
        self.lanes, self.vector, self.element = self.kind.count, self.kind.vector, self.kind.vector.element
        self.zero = ir.Constant(self.vector, None)
        self.suffix = f"v{self.lanes}{'f' if isinstance(kind.dtype, types.Float) else 'i'}{kind.dtype.bitwidth}"

    def within(self, builder: Any) -> Emitter:
        """The same emitter writing to another function."""
        other = copy(self)
        other.builder = builder
        return other

    def unfused(self) -> Emitter:
        """The same emitter, which rounds products before they are added."""
        other = copy(self)
        other.fused = False
        return other

    # --- memory: vectors lie at addresses that are aligned to their elements only -------------------------------------

    def pointer(self, array: Any, value: Any, offset: Any) -> Any:
        """Address of element `offset` of a flat array, or from an address (see `lanes.address`) on."""
        return element(self.context, self.builder, array, value, offset)

    def at(self, pointer: Any, *steps: Any) -> Any:
        """Address some elements on: each step is a number of them, or a pair of numbers to multiply."""
        b, offset = self.builder, None
        for step in steps:
            distance = b.mul(*map(_number, step)) if isinstance(step, tuple) else _number(step)
            offset = distance if offset is None else b.add(offset, distance)
        return b.gep(pointer, [offset])

    def steps(self, distance: Any, count: int) -> Callable[[Any, Any], Any]:
        """A function of a pointer and a number: the address so many distances on.

        Numbers below `count` (at most 10) cost no instruction where the processor adds an index once, twice, four or
        eight times: the indices are odd multiples of the distance, each in a register. Other numbers are multiplied.
        """
        b = self.builder
        once = self.opaque(b.mul(distance, I64(self.itemsize)))
        odd = {1: once, **{n: self.opaque(b.mul(once, I64(n))) for n in range(3, count, 2)}}

        def on(pointer: Any, number: Any) -> Any:
            if number == 0:
                return pointer
            known = isinstance(number, int)
            scale = number & -number if known else 1
            unit = ir.ArrayType(ir.IntType(8), scale)
            index = odd[number // scale] if known else b.mul(number, once)
            return b.bitcast(b.gep(b.bitcast(pointer, unit.as_pointer()), [index]), pointer.type)

        return on

    def opaque(self, value: Any) -> Any:
        """`value`, an integer or a pointer, of which LLVM knows no more than that it is in a register."""
        return self.builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)

    def load(self, pointer: Any, mask: Any = None) -> Any:
        """One vector; with a mask the lanes under it, zero in the others, and no other memory is touched."""
        place = self._place(pointer)
        if mask is not None:
            name = f"llvm.masked.load.{self.suffix}.p0"
            return self.call(name, self.vector, place, I32(self.itemsize), mask, self.zero)
        return self.builder.load(place, align=self.itemsize)

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        """One vector; with a mask the lanes under it, and no other memory is touched."""
        place = self._place(pointer)
        if mask is not None:
            self.call(f"llvm.masked.store.{self.suffix}.p0", VOID, value, place, I32(self.itemsize), mask)
        else:
            self.builder.store(value, place, align=self.itemsize)

    def store_first(self, value: Any, pointer: Any, count: Any) -> None:
        """The first `count` lanes, whole where these are all."""
        with self.builder.if_else(self.builder.icmp_signed(">=", count, I64(self.lanes))) as (whole, part):
            with whole:
                self.store(value, pointer)
            with part:
                self.store(value, pointer, self.first_lanes(count))

    def stream(self, value: Any, pointer: Any) -> None:
        """One vector to an address aligned to vectors, past the caches where the host can: its line is not read first.

        LLVM takes a vector of NEON apart for that: there it is an ordinary store.
        """
        if host().isa == "NEON":
            self.store(value, pointer)
            return
        store = self.builder.store(value, self._place(pointer), align=self.itemsize * self.lanes)
        store.set_metadata("nontemporal", self.builder.module.add_metadata([I32(1)]))

    def apart(self, *values: Any) -> Any:
        """Where these vectors lie, one after the other, in the function's own memory."""
        place = cgutils.alloca_once(self.builder, ir.ArrayType(self.element, len(values) * self.lanes))
        first = self.builder.bitcast(place, self.element.as_pointer())
        for number, value in enumerate(values):
            self.store(value, self.at(first, number * self.lanes))
        return self.opaque(first)

    def reader(self, first: Any) -> Callable[[int], Any]:
        """A function that reads one of the vectors from `first` on, by number, each time anew.

        For values that are too many for the registers: LLVM would choose itself which ones to keep there.
        """

        def read(number: int) -> Any:
            nonlocal first
            first = self.opaque(first)
            return self.load(self.at(first, number * self.lanes))

        return read

    def broadcast(self, pointer: Any) -> Any:
        """One element in every lane."""
        return self.splat(self.builder.load(pointer))

    def factor(self, pointer: Any) -> Any:
        """What one operand of a product is for each lane."""
        return self.load(pointer)

    def shared_factor(self, pointer: Any) -> Any:
        """What the other operand is, the same for all lanes."""
        return self.broadcast(pointer)

    def prefetch(self, pointer: Any, write: bool = False) -> None:
        """Ask for the cache line at an address, which need not be mapped, to be read or written soon."""
        place = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        self.call("llvm.prefetch.p0", VOID, place, I32(int(write)), I32(3), I32(1))

    def _place(self, pointer: Any) -> Any:
        return self.builder.bitcast(pointer, self.vector.as_pointer())

    # --- values -------------------------------------------------------------------------------------------------------

    def constant(self, value: float) -> Any:
        """A number in every lane."""
        return self.kind.constant(value)

    def splat(self, scalar: Any) -> Any:
        """A vector with `scalar`, of any type, in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        single = self.builder.insert_element(undefined, scalar, I32(0))
        return self.shuffle(single, undefined, [0] * self.lanes)

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """The `lanes` of a and b side by side."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a*b + c, rounded once where the host can and `fused` says so."""
        if not (host().fma and self.fused):
            return self.builder.fadd(self.builder.fmul(a, b), c)
        return self.call(f"llvm.fma.{self.suffix}", self.vector, a, b, c)

    def first_lanes(self, count: Any) -> Any:
        """The mask of the first `count` lanes; a count outside 0..lanes means none or all."""
        order = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", order, self.splat(count))

    def transpose(self, rows: list[Any]) -> list[Any]:
        """Transpose lanes x lanes in registers: log2(lanes) rounds of exchanges between rows 1, 2, 4, ... apart."""
        rows, distance = list(rows), 1
        while distance < self.lanes:
            low, high = [], []
            for lane in range(self.lanes):
                swap = lane & distance
                low.append(self.lanes + lane - distance if swap else lane)
                high.append(self.lanes + lane if swap else lane + distance)
            for i in range(self.lanes):
                if not i & distance:
                    a, b = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = self.shuffle(a, b, low), self.shuffle(a, b, high)
            distance *= 2
        return rows

    def call(self, name: str, result: Any, *values: Any, flags: tuple[str, ...] = ()) -> Any:
        """Call a function of LLVM's by its name."""
        kind = ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), values, fastmath=flags
        )

    # --- the activation -----------------------------------------------------------------------------------------------

    def relu(self, wanted: Any, values: Sequence[Any]) -> list[Any]:
        """`values`, and where `wanted` is not zero none below zero; NaN stays. For many values: one branch."""
        return self.when(self.is_set(wanted), lambda: [self.clip(value, self.zero) for value in values], values)

    def floor(self, wanted: Any) -> Any:
        """What `clip` takes to do the same without a branch: zero, or minus infinity."""
        zero, lowest = (ir.Constant(self.element, number) for number in (0.0, float("-inf")))
        return self.splat(self.builder.select(self.is_set(wanted), zero, lowest))

    def clip(self, value: Any, floor: Any) -> Any:
        """`value`, but not below `floor`; NaN stays."""
        return self.builder.select(self.builder.fcmp_ordered("<", value, floor), floor, value)

    # --- loops and choices --------------------------------------------------------------------------------------------

    def is_set(self, flag: Any) -> Any:
        """The truth of an integer."""
        return self.builder.icmp_signed("!=", flag, I64(0))

    def loop(
        self, start: Sequence[Any], body: Callable[..., tuple[Any, Sequence[Any]]], end_first: bool = False
    ) -> list[Any]:
        """A loop, never unrolled; ``body(*values)`` emits a round and gives whether another follows, and its values.

        `start` are the values of the first round; what would be the next one's are returned. With `end_first` what
        follows the loop lies before its body: the order of blocks decides how LLVM allocates registers.
        """
        b = self.builder
        before, loop = b.block, b.append_basic_block("loop")
        done = b.append_basic_block("loop.done") if end_first else None
        b.branch(loop)
        b.position_at_end(loop)
        values = [b.phi(value.type) for value in start]
        again, new = body(*values)
        for phi, first, following in zip(values, start, new, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(following, b.block)
        done = done or b.append_basic_block("loop.done")
        _keep_rolled(b, b.cbranch(again, loop, done))
        b.position_at_end(done)
        return list(new)

    def repeat(
        self,
        count: Any,
        start: Sequence[Any],
        body: Callable[..., Sequence[Any] | None],
        along: Sequence[tuple[Any, Any]] = (),
        end_first: bool = False,
    ) -> list[Any]:
        """A loop of `count` (at least 1) rounds; ``body(number, *pointers, *values)`` gives the values of the next.

        `along` are pointers and how far they move on after a round, `start` the values of the first round; those that
        the last one gives are returned.
        """

        def one(number: Any, *carried: Any) -> tuple[Any, list[Any]]:
            pointers = [self.opaque(pointer) for pointer in carried[: len(along)]]
            new = body(number, *pointers, *carried[len(along) :]) or ()
            following = self.builder.add(number, I64(1))
            moved = [self.at(pointer, step) for pointer, (_, step) in zip(pointers, along, strict=True)]
            return self.builder.icmp_signed("<", following, count), [following, *moved, *new]

        return self.loop([I64(0), *(pointer for pointer, _ in along), *start], one, end_first)[1 + len(along) :]

    def choose(
        self, number: Any, cases: Mapping[int, Callable[[], Sequence[Any] | None]], otherwise: Sequence[Any] = ()
    ) -> list[Any]:
        """The values of the case that has the `number`, or else `otherwise`; only that case is computed."""
        b = self.builder
        blocks = {which: b.append_basic_block(f"case{which}") for which in cases}
        ends, done = [(otherwise, b.block)], b.append_basic_block("chosen")
        switch = b.switch(number, done)
        for which, case in cases.items():
            switch.add_case(number.type(which), blocks[which])
            b.position_at_end(blocks[which])
            ends.append((case() or (), b.block))
            b.branch(done)
        b.position_at_end(done)
        merged = [b.phi(value.type) for value in otherwise]
        for values, block in ends:
            for phi, value in zip(merged, values, strict=True):
                phi.add_incoming(value, block)
        return merged

    def when(
        self, condition: Any, body: Callable[[], Sequence[Any] | None], otherwise: Sequence[Any] = ()
    ) -> list[Any]:
        """The values of `body` where the condition holds, or else `otherwise`."""
        return self.choose(condition, {1: body}, otherwise)


def element(context: Any, builder: Any, array: Any, value: Any, offset: Any) -> Any:
    """Address of element `offset` of a flat array, or from an address on; `array` is its Numba type."""
    data = context.make_array(array)(context, builder, value).data if isinstance(array, types.Array) else value
    return builder.gep(data, [offset])


def copy_row(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The code of an intrinsic (dst, d, src, s, count) that copies elements of one dtype."""
    target = element(context, builder, signature.args[0], args[0], args[1])
    source = element(context, builder, signature.args[2], args[2], args[3])
    cgutils.raw_memcpy(builder, target, source, args[4], signature.args[2].dtype.bitwidth // 8)
    return context.get_dummy_value()


def _number(value: Any) -> Any:
    return I64(value) if isinstance(value, int) else value


class _LoopMetadata(ir.values.MDValue):
    """A self-referential metadata node, which llvmlite has no direct way to write."""

    def descr(self, buf: list[str]) -> None:
        operands = ", ".join([self.get_reference(), *(o.get_reference() for o in self.operands)])
        buf += (f"distinct !{{ {operands} }}\n",)


def _keep_rolled(builder: Any, branch: Any) -> None:
    """Forbid unrolling the loop that `branch` closes: LLVM's run-time unroller would spill accumulators."""
    disable = builder.module.add_metadata(["llvm.loop.unroll.disable"])
    name = str(len(builder.module.metadata))
    branch.set_metadata("llvm.loop", _LoopMetadata(builder.module, [disable], name=name))
