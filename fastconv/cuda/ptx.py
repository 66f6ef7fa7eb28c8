"""Instructions that Numba has no name for: tensor cores, asynchronous copies, conversions, long loads and stores.

All but the last need sm_80.

The one file with inline assembly. Each function is one PTX instruction, documented with its number in the PTX ISA 8.x
manual; ``tests/cudasim.py`` has a counterpart of each in Python. Operands of the tensor cores are *words* of 32 bits:
one TF32 number, or two neighbouring bfloat16 or float16 numbers, the first in the low half. With words the fragments of
m16n8k8 (TF32) and m16n8k16 (the others) are the same, so one kernel serves all three.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from .runtime import targets

intrinsic = targets.extending().intrinsic
WARP = 32
CHUNK = 4  # words of the 16 bytes that an asynchronous copy moves
_I16, _I32, _F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()


def _instruction(text: str, constraints: str, result: Any, arguments: tuple[Any, ...], memory: bool = False) -> Any:
    """An intrinsic that is one instruction on scalars; with `memory` it is not moved across reads and writes.

    Constraints are LLVM's; `result` and `arguments` are Numba's types.
    """
    lowered = {types.uint16: _I16, types.uint32: _I32, types.float32: _F32, types.void: ir.VoidType()}
    several = isinstance(result, types.UniTuple)
    one = lowered[result.dtype if several else result]
    function = ir.FunctionType(
        ir.LiteralStructType([one] * result.count) if several else one, [lowered[a] for a in arguments]
    )

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = builder.asm(function, text, constraints, values, memory)
        if several:
            return context.make_tuple(builder, result, [builder.extract_value(value, i) for i in range(result.count)])
        return context.get_dummy_value() if result is types.void else value

    # Numba takes no *args here: one function for each number of operands.
    def alone(typingctx: Any) -> Any:
        return result(), generate

    def converts(typingctx: Any, a: Any) -> Any:
        return result(*arguments), generate

    def multiplies(
        typingctx: Any, a0: Any, a1: Any, a2: Any, a3: Any, b0: Any, b1: Any, c0: Any, c1: Any, c2: Any, c3: Any
    ) -> Any:
        return result(*arguments), generate

    return intrinsic({0: alone, 1: converts, 10: multiplies}[len(arguments)])


def _ordering(text: str) -> Any:
    """An instruction without operands that orders memory."""
    return _instruction(text, "~{memory}", types.void, (), memory=True)


def _multiply(kind: str, shape: str) -> Any:
    """``mma(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3)`` -> c + a b; PTX ISA, "mma.sync"."""
    text = (
        f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 "
        "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"
    )
    words, numbers = (types.uint32,) * 6, (types.float32,) * 4
    result = types.UniTuple(types.float32, 4)
    return _instruction(text, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", result, words + numbers)


#: c + a b of a warp: a is 16 x 8 words, b 8 x 8. Lane l holds of a (rows l/4 and l/4+8) x (words l%4 and l%4+4) in the
#: order (row, word), (row+8, word), (row, word+4), (row+8, word+4); of b words l%4 and l%4+4 of column l/4; of c rows
#: l/4 and l/4+8, columns 2(l%4) and the next.
mma_tf32 = _multiply("tf32", "m16n8k8")
mma_bf16 = _multiply("bf16", "m16n8k16")
mma_f16 = _multiply("f16", "m16n8k16")

_WORD, _HALF, _NUMBER = types.uint32, types.uint16, types.float32
#: The nearest TF32 number's bits; ties away from zero ("cvt.rna.tf32").
round_tf32 = _instruction("cvt.rna.tf32.f32 $0, $1;", "=r,f", _WORD, (_NUMBER,))
#: The nearest bfloat16's or float16's bits; ties to even.
to_bf16 = _instruction("cvt.rn.bf16.f32 $0, $1;", "=h,f", _HALF, (_NUMBER,))
to_f16 = _instruction("cvt.rn.f16.f32 $0, $1;", "=h,f", _HALF, (_NUMBER,))
#: As `to_bf16`, by whole numbers, for GPUs before sm_80 have no such instruction.
to_bf16_anywhere = _instruction(
    "{ .reg .b32 b, r; .reg .pred nan; mov.b32 b, $1; shr.u32 r, b, 16; and.b32 r, r, 1; add.u32 r, r, b; "
    "add.u32 r, r, 32767; shr.u32 r, r, 16; setp.nan.f32 nan, $1, $1; selp.b32 r, 32767, r, nan; cvt.u16.u32 $0, r; }",
    "=h,f",
    _HALF,
    (_NUMBER,),
)
#: The float32 that a bfloat16's or float16's bits stand for, exactly.
from_bf16 = _instruction("mov.b32 $0, {0, $1};", "=f,h", _NUMBER, (_HALF,))
from_f16 = _instruction("cvt.f32.f16 $0, $1;", "=f,h", _NUMBER, (_HALF,))

#: End a group of asynchronous copies ("cp.async.commit_group").
commit = _ordering("cp.async.commit_group;")
#: Wait until all of this thread's groups but the last one or two have arrived, or all ("cp.async.wait_group").
wait_but_one = _ordering("cp.async.wait_group 1;")
wait_but_two = _ordering("cp.async.wait_group 2;")
wait_all = _ordering("cp.async.wait_group 0;")


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """A pointer to an element of a one-dimensional array."""
    return builder.gep(context.make_array(kind)(context, builder, value=array).data, [index])


def _shared(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The 32-bit address of a word of shared memory, as instructions on it take it.

    Only where the array begins is asked for: what is added to it stays arithmetic that the assembler can fold.
    """
    start = context.make_array(kind)(context, builder, value=array).data
    function = ir.FunctionType(_I32, [start.type])
    text = "{ .reg .u64 t; cvta.to.shared.u64 t, $1; cvt.u32.u64 $0, t; }"
    base = builder.asm(function, text, "=r,l", [start], False)
    return builder.add(base, builder.shl(builder.trunc(index, _I32), _I32(2)))


@intrinsic
def copy_async(typingctx: Any, target: Any, i: Any, source: Any, j: Any, live: Any) -> Any:
    """``copy_async(target, i, source, j, live)``: four words to shared memory, zeros unless `live`; "cp.async.cg".

    Both places must be whole multiples of 16 bytes, and `source` must have element j even if nothing is read.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        to = _shared(context, builder, kinds[0], values[0], values[1])
        start = _place(context, builder, kinds[2], values[2], values[3])
        size = builder.select(values[4], _I32(16), _I32(0))
        kind = ir.FunctionType(ir.VoidType(), [_I32, start.type, _I32])
        text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
        builder.asm(kind, text, "r,l,r,~{memory}", [to, start, size], True)
        return context.get_dummy_value()

    return types.void(target, types.uint64, source, types.uint64, types.boolean), generate


def _load(name: str, count: int) -> Any:
    """An intrinsic ``name(source, i, live)`` -> `count` neighbouring float32 numbers, in one load."""
    result = types.UniTuple(types.float32, count)
    places = [f"${k}" for k in range(count)]
    zeros = " ".join(f"mov.f32 {place}, 0f00000000;" for place in places)
    text = (
        f"{{ .reg .pred p; setp.ne.b32 p, ${count + 1}, 0; {zeros} "
        f"@p ld.global.nc.v{count}.f32 {{{','.join(places)}}}, [${count}]; }}"
    )

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start = _place(context, builder, signature.args[0], values[0], values[1])
        kind = ir.FunctionType(ir.LiteralStructType([_F32] * count), [start.type, _I32])
        operands = [start, builder.zext(values[2], _I32)]
        value = builder.asm(kind, text, "=f," * count + "l,r", operands, True)
        return context.make_tuple(builder, result, [builder.extract_value(value, k) for k in range(count)])

    def load(typingctx: Any, source: Any, i: Any, live: Any) -> Any:
        return result(source, types.uint64, types.boolean), generate

    load.__name__ = name
    load.__doc__ = f"""``{name}(source, i, live)`` -> {count} float32 numbers, zeros unless `live`; "ld.global.nc".

    The place must be a whole multiple of {4 * count} bytes, and no kernel in flight may write there.
    """
    return intrinsic(load)


@intrinsic
def store_four(typingctx: Any, target: Any, i: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """``store_four(target, i, a, b, c, d)``: four words to a whole multiple of 16 bytes; "st.global.v4"."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        to = _place(context, builder, signature.args[0], values[0], values[1])
        kind = ir.FunctionType(ir.VoidType(), [to.type, *[_I32] * 4])
        text = "st.global.v4.b32 [$0], {$1,$2,$3,$4};"
        builder.asm(kind, text, "l,r,r,r,r,~{memory}", [to, *values[2:]], True)
        return context.get_dummy_value()

    return types.void(target, types.uint64, *[types.uint32] * 4), generate


load_two, load_four = _load("load_two", 2), _load("load_four", 4)


def _load_matrices(name: str, form: str, what: str) -> Any:
    """An intrinsic ``name(source, i)`` -> four words."""
    result = types.UniTuple(types.uint32, 4)
    text = f"ldmatrix.sync.aligned.m8n8.x4{form}.shared.b16 {{$0,$1,$2,$3}}, [$4];"

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start = _shared(context, builder, signature.args[0], values[0], values[1])
        kind = ir.FunctionType(ir.LiteralStructType([_I32] * 4), [_I32])
        value = builder.asm(kind, text, "=r,=r,=r,=r,r,~{memory}", [start], True)
        return context.make_tuple(builder, result, [builder.extract_value(value, k) for k in range(4)])

    def load(typingctx: Any, source: Any, i: Any) -> Any:
        return result(source, types.uint64), generate

    load.__name__, load.__doc__ = name, what
    return intrinsic(load)


load_matrices = _load_matrices(
    "load_matrices",
    "",
    """``load_matrices(source, i)`` -> four words; "ldmatrix.x4".

    Four matrices of 8 rows x 4 words: lane l says where row l%8 of matrix l/8 is, and gets word l%4 of row l/4 of each.
    """,
)
load_transposed = _load_matrices(
    "load_transposed",
    ".trans",
    """``load_transposed(source, i)`` -> four words; "ldmatrix.x4.trans".

    Four matrices of 8 rows x 8 numbers of 16 bits: lane l says where row l%8 of matrix l/8 is, and gets the numbers of
    rows 2(l%4) and the next in column l/4 of each, as one word.
    """,
)
