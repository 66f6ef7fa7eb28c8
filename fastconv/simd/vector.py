"""SIMD intrinsics: the few vector operations that LLVM's auto-vectoriser does not find in plain loops.

Arrays are addressed by flat offsets, in elements, without the wrap-around of negative indices that Python's indexing
needs: an offset must lie inside the array. Nothing here reads or writes past what its docstring names.
"""

from __future__ import annotations

from copy import copy as copy_of
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .host import host

I32, I64 = ir.IntType(32), ir.IntType(64)
INTP = types.intp


class Emitter:
    """Emits vector IR for one element type at the host's vector width."""

    def __init__(self, context: Any, builder: Any, array: Any) -> None:
        self.context, self.builder = context, builder
        self.element = context.get_value_type(array.dtype)
        self.itemsize = array.dtype.bitwidth // 8
        self.lanes = host().lanes(self.itemsize)
        self.vector = ir.VectorType(self.element, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.itemsize}"

    def within(self, builder: Any) -> Emitter:
        """The same emitter writing to another function."""
        other = copy_of(self)
        other.builder = builder
        return other

    def pointer(self, array: Any, value: Any, offset: Any) -> Any:
        """Address of element `offset` of a flat array, or from an address (see `lanes.address`) on."""
        if isinstance(array, types.CPointer):
            return self.builder.gep(value, [offset])
        data = self.context.make_array(array)(self.context, self.builder, value).data
        return self.builder.gep(data, [offset])

    def at(self, pointer: Any, offset: Any) -> Any:
        """Address `offset` elements on."""
        return self.builder.gep(pointer, [offset if not isinstance(offset, int) else I64(offset)])

    def load(self, pointer: Any) -> Any:
        """One vector from an address aligned to its elements only."""
        value = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        value.align = self.itemsize
        return value

    def store(self, value: Any, pointer: Any) -> None:
        """One vector to an address aligned to its elements only."""
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer())).align = self.itemsize

    def stream(self, value: Any, pointer: Any) -> None:
        """One vector to an address aligned to vectors, past the caches: its line is not read first."""
        store = self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()))
        store.align = self.itemsize * self.lanes
        store.set_metadata("nontemporal", self.builder.module.add_metadata([I32(1)]))

    def splat(self, scalar: Any) -> Any:
        """A vector with `scalar` in every lane."""
        width = scalar.type
        undefined = ir.Constant(ir.VectorType(width, self.lanes), ir.Undefined)
        single = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(single, undefined, self._lane_list([0] * self.lanes))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a*b + c, rounded once where the host can."""
        if not host().fma:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(self.declare(f"llvm.fma.{self.suffix}", kind), [a, b, c])

    def first_lanes(self, count: Any) -> Any:
        """The mask of the first `count` lanes; a count outside 0..lanes means none or all."""
        order = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", order, self.splat(count))

    def masked_load(self, pointer: Any, mask: Any) -> Any:
        """The lanes under `mask` from memory, zero in the others; touches no other memory."""
        address = self.builder.bitcast(pointer, self.vector.as_pointer())
        kind = ir.FunctionType(self.vector, [address.type, I32, mask.type, self.vector])
        name = f"llvm.masked.load.{self.suffix}.p0"
        return self.builder.call(self.declare(name, kind), [address, I32(self.itemsize), mask, self.zero])

    def masked_store(self, value: Any, pointer: Any, mask: Any) -> None:
        """Write the lanes under `mask`; touches no other memory."""
        address = self.builder.bitcast(pointer, self.vector.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [self.vector, address.type, I32, mask.type])
        name = f"llvm.masked.store.{self.suffix}.p0"
        self.builder.call(self.declare(name, kind), [value, address, I32(self.itemsize), mask])

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
                    rows[i] = self.builder.shuffle_vector(a, b, self._lane_list(low))
                    rows[i + distance] = self.builder.shuffle_vector(a, b, self._lane_list(high))
            distance *= 2
        return rows

    def prefetch(self, pointer: Any, write: bool = False) -> None:
        """Ask for the cache line at an address, which need not be mapped, to be read or written soon."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        ask = self.declare("llvm.prefetch.p0", kind)
        self.builder.call(ask, [self.builder.bitcast(pointer, byte), I32(int(write)), I32(3), I32(1)])

    def _lane_list(self, lanes: list[int]) -> Any:
        return ir.Constant(ir.VectorType(I32, self.lanes), lanes)

    def declare(self, name: str, kind: Any) -> Any:
        """A function of LLVM's by its name."""
        return cgutils.get_or_insert_function(self.builder.module, kind, name)


class _LoopMetadata(ir.values.MDValue):
    """A self-referential metadata node, which llvmlite has no direct way to write."""

    def descr(self, buf: list[str]) -> None:
        operands = ", ".join([self.get_reference(), *(o.get_reference() for o in self.operands)])
        buf += (f"distinct !{{ {operands} }}\n",)


def keep_rolled(builder: Any, branch: Any) -> None:
    """Forbid unrolling the loop that `branch` closes: LLVM's run-time unroller would spill accumulators."""
    disable = builder.module.add_metadata(["llvm.loop.unroll.disable"])
    name = str(len(builder.module.metadata))
    branch.set_metadata("llvm.loop", _LoopMetadata(builder.module, [disable], name=name))


@intrinsic
def copy(typingctx, dst, d, src, s, count):
    """dst[d : d+count] = src[s : s+count], flat arrays of one dtype that do not overlap there."""

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[0])
        target = emit.pointer(signature.args[0], args[0], args[1])
        source = emit.pointer(signature.args[2], args[2], args[3])
        cgutils.raw_memcpy(builder, target, source, args[4], emit.itemsize)
        return context.get_dummy_value()

    return types.void(dst, INTP, src, INTP, INTP), codegen


@intrinsic
def clear(typingctx, dst, d, count):
    """dst[d : d+count] = 0, a flat array."""

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[0])
        target = emit.pointer(signature.args[0], args[0], args[1])
        cgutils.memset(builder, target, builder.mul(args[2], I64(emit.itemsize)), 0)
        return context.get_dummy_value()

    return types.void(dst, INTP, INTP), codegen


@intrinsic
def lanes_of(typingctx, array):
    """Elements of `array` in one vector of the host: a compile-time constant."""

    def codegen(context, builder, signature, args):
        return I64(host().lanes(signature.args[0].dtype.bitwidth // 8))

    return INTP(array), codegen


@intrinsic
def transpose(typingctx, dst, d, dst_stride, src, s, src_stride):
    """dst[d + i*dst_stride + j] = src[s + j*src_stride + i] for all i, j below the number of lanes."""

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[0])
        target = emit.pointer(signature.args[0], args[0], args[1])
        source = emit.pointer(signature.args[3], args[3], args[4])
        rows = [emit.load(emit.at(source, builder.mul(I64(j), args[5]))) for j in range(emit.lanes)]
        for i, row in enumerate(emit.transpose(rows)):
            emit.store(row, emit.at(target, builder.mul(I64(i), args[2])))
        return context.get_dummy_value()

    return types.void(dst, INTP, INTP, src, INTP, INTP), codegen
