"""SIMD intrinsics: the few vector operations that LLVM's auto-vectoriser does not find in plain loops.

Arrays are addressed by flat offsets, in elements, without the wrap-around of negative indices that Python's indexing
needs: an offset must lie inside the array. Nothing here reads or writes past what its docstring names.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .emit import I64, INTP, Emitter, copy_row, element
from .halves import stored
from .host import host


@intrinsic
def copy(typingctx, dst, d, src, s, count):
    """dst[d : d+count] = src[s : s+count], flat arrays or addresses of one dtype that do not overlap there."""
    return (types.void(dst, INTP, src, INTP, INTP), copy_row) if src.dtype == dst.dtype else None


@intrinsic
def clear(typingctx, dst, d, count):
    """dst[d : d+count] = 0, a flat array or an address."""

    def codegen(context, builder, signature, args):
        target = element(context, builder, signature.args[0], args[0], args[1])
        cgutils.memset(builder, target, builder.mul(args[2], I64(dst.dtype.bitwidth // 8)), 0)
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
    """dst[d + i*dst_stride + j] = src[s + j*src_stride + i] for all i, j below the number of lanes.

    Rounded to bfloat16 where dst has 16 bits and src is of float32.
    """

    def codegen(context, builder, signature, args):
        emit = Emitter(context, builder, signature.args[3])
        target = emit.pointer(signature.args[0], args[0], args[1])
        source = emit.pointer(signature.args[3], args[3], args[4])
        rows = [emit.load(emit.at(source, builder.mul(I64(j), args[5]))) for j in range(emit.lanes)]
        for i, row in enumerate(emit.transpose(rows)):
            if dst.dtype != src.dtype:
                row = stored(builder, row, dst.dtype)
            place = builder.bitcast(emit.at(target, builder.mul(I64(i), args[2])), row.type.as_pointer())
            builder.store(row, place, align=dst.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(dst, INTP, INTP, src, INTP, INTP), codegen


@intrinsic
def rolled(typingctx, i):
    """The counter i of a loop, which LLVM then does not unroll: where rounds are few that makes branches to mispredict.

    The number passes through an empty inline assembly that must not be made to depend on other conditions.
    """

    def codegen(context, builder, signature, args):
        nothing = ir.InlineAsm(ir.FunctionType(I64, [I64]), "", "=r,0")
        return builder.call(nothing, args, attrs=("convergent", "nounwind"))

    return INTP(INTP), codegen
