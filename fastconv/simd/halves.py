"""Numbers of 16 bits: products of pairs of bfloat16, and what turns bfloat16 and float16 into float32 and back.

Kernels see their bits as uint16, for neither Numba nor llvmlite knows bfloat16. Its 16 bits are the upper half of the
float32 of the same value, so it is widened by a shift, and narrowed by rounding those bits to nearest, ties to even:
both on any host, with denormal numbers kept. float16 needs `Host.half`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .emit import I32, I64, INTP, VOID, Emitter, Lanes, copy_row, element
from .host import host

I16 = ir.IntType(16)
FORMATS = BFLOAT16, FLOAT16 = 0, 1  # as kernels are told


class _BFloat16(ir.types.Type):  # type: ignore[misc]
    """LLVM's type, which llvmlite does not have."""

    intrinsic_name = "bf16"

    def _to_string(self) -> str:
        return "bfloat"


_BF = _BFloat16()


class PairEmitter(Emitter):
    """Emits code for vectors of float32 sums whose operands are pairs of bfloat16: neighbours in arrays of uint16.

    A lane's `multiply_add` is a[0]*b[0] + a[1]*b[1] + c: products of 8-bit significands are exact, sums are rounded as
    float32. Numbers below 2**-126 count as zero (AVX512-BF16, and NEON without its extended mode). Offsets, those of
    stored sums too, count elements of 16 bits; sums are stored as float32, or with `rounded` as bfloat16.
    """

    factors = 2

    def __init__(self, context: Any, builder: Any, rounded: bool = False) -> None:
        super().__init__(context, builder, Lanes(types.float32, host().lanes(4)))
        self.sum_units = 1 if rounded else 2
        self.itemsize = 2  # of the operands; that sums are aligned to more is not made use of
        self._pairs = ir.VectorType(_BF, 2 * self.lanes)

    def factor(self, pointer: Any) -> Any:
        """A pair for each lane."""
        return self.builder.load(self.builder.bitcast(pointer, self._pairs.as_pointer()), align=2)

    def shared_factor(self, pointer: Any) -> Any:
        """One pair for all lanes."""
        pair = self.builder.load(self.builder.bitcast(pointer, I32.as_pointer()), align=2)
        return self.builder.bitcast(self.splat(pair), self._pairs)

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        """One vector of sums, rounded where it is to lie in 16 bits each; with a mask the lanes under it."""
        if self.sum_units > 1:
            super().store(value, pointer, mask)
            return
        bits = stored(self.builder, value, types.uint16)
        place = self.builder.bitcast(pointer, bits.type.as_pointer())
        if mask is None:
            self.builder.store(bits, place, align=2)
        else:
            self.call(f"llvm.masked.store.v{self.lanes}i16.p0", VOID, bits, place, I32(2), mask)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """c and both products of each pair."""
        neon = host().isa == "NEON"
        name = "aarch64.neon.bfdot.v4f32.v8bf16" if neon else f"x86.avx512bf16.dpbf16ps.{32 * self.lanes}"
        return self.call(f"llvm.{name}", self.vector, c, a, b)


class WideningEmitter(Emitter):
    """Emits code for vectors of float32, some of whose arrays hold bfloat16, as uint16.

    What is loaded from these is widened, what is stored to them rounded, as `PairEmitter` does, or on hosts that do not
    multiply pairs with denormal numbers kept. Results lie in 16 bits where `rounded`, else in float32; `steps` counts
    elements of 16 bits.
    """

    def __init__(self, context: Any, builder: Any, rounded: bool = False) -> None:
        super().__init__(context, builder, Lanes(types.float32, host().lanes(4)))
        self.sum_units = 1 if rounded else 2
        self.itemsize = 2
        self._bits = ir.VectorType(I16, self.lanes)

    def load(self, pointer: Any, mask: Any = None) -> Any:
        """One vector, widened if it has 16 bits each."""
        if pointer.type.pointee != I16:
            return super().load(pointer, mask)
        bits = self.builder.load(self.builder.bitcast(pointer, self._bits.as_pointer()), align=2)
        return widened(self.builder, bits, BFLOAT16)

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        """One vector, rounded if it is to have 16 bits each."""
        if pointer.type.pointee != I16:
            super().store(value, pointer, mask)
            return
        b, pairs = self.builder, host().pairs
        bits = stored(b, value, types.uint16) if pairs else narrowed(b, value, BFLOAT16)
        b.store(bits, b.bitcast(pointer, self._bits.as_pointer()), align=2)

    def stream(self, value: Any, pointer: Any) -> None:
        """To the caches: parts of a line that come one by one are better put together there."""
        self.store(value, pointer)


def widened(builder: Any, bits: Any, number: int) -> Any:
    """The float32 that 16 bits stand for, or a vector of them."""
    if number == FLOAT16:
        half = builder.bitcast(bits, _like(bits.type, ir.HalfType()))
        return builder.fpext(half, _like(bits.type, ir.FloatType()))
    wide = _like(bits.type, I32)
    return builder.bitcast(builder.shl(builder.zext(bits, wide), _all(wide, 16)), _like(bits.type, ir.FloatType()))


def narrowed(builder: Any, value: Any, number: int) -> Any:
    """The 16 bits next to a float32, or to each of a vector of them; NaN stays NaN."""
    if number == FLOAT16:
        half = builder.fptrunc(value, _like(value.type, ir.HalfType()))
        return builder.bitcast(half, _like(value.type, I16))
    wide = _like(value.type, I32)
    bits = builder.bitcast(value, wide)
    upper = builder.lshr(bits, _all(wide, 16))
    nearest = builder.add(builder.add(bits, _all(wide, 0x7FFF)), builder.and_(upper, _all(wide, 1)))
    quiet = builder.or_(upper, _all(wide, 0x40))
    number_ = builder.fcmp_ordered("ord", value, value)
    return builder.trunc(builder.select(number_, builder.lshr(nearest, _all(wide, 16)), quiet), _like(value.type, I16))


def _like(kind: Any, element: Any) -> Any:
    """A type of as many lanes."""
    return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


@intrinsic(prefer_literal=True)
def widen(typingctx, dst, d, src, s, count, number):  # type: ignore[no-untyped-def]
    """dst[d : d+count] = the float32 numbers that src[s : s+count] stand for, of a literal one of `FORMATS`."""
    convert = _converter(I16, partial(widened, number=number.literal_value))
    return types.void(dst, INTP, src, INTP, INTP, number), convert


@intrinsic(prefer_literal=True)
def narrow(typingctx, dst, d, src, s, count, number):  # type: ignore[no-untyped-def]
    """dst[d : d+count] = the 16 bits next to the float32 numbers src[s : s+count], of a literal one of `FORMATS`."""
    convert = _converter(ir.FloatType(), partial(narrowed, number=number.literal_value))
    return types.void(dst, INTP, src, INTP, INTP, number), convert


@intrinsic
def store_row(typingctx, dst, d, src, s, count):  # type: ignore[no-untyped-def]
    """dst[d : d+count] = src[s : s+count], rounded to bfloat16 where dst has 16 bits and src is of float32."""
    convert = _converter(ir.FloatType(), partial(stored, kind=dst.dtype))
    return types.void(dst, INTP, src, INTP, INTP), copy_row if dst.dtype == src.dtype else convert


@intrinsic
def store_one(typingctx, dst, d, value):  # type: ignore[no-untyped-def]
    """dst[d] = value, rounded to bfloat16 where dst has 16 bits and the value is of float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = element(context, builder, signature.args[0], args[0], args[1])
        builder.store(stored(builder, args[2], signature.args[0].dtype), place)
        return context.get_dummy_value()

    return types.void(dst, INTP, value), codegen


def stored(builder: Any, value: Any, kind: Any) -> Any:
    """What is stored of a sum of pairs, or a vector of them, where elements of a Numba type lie.

    The instructions that round to bfloat16 count as zero what those that add had counted as zero.
    """
    if kind != types.uint16:
        return value
    return builder.bitcast(builder.fptrunc(value, _like(value.type, _BF)), _like(value.type, I16))


def _converter(given: Any, convert: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The code of an intrinsic that converts a row: vectors of as many elements as float32 has, then one by one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = element(context, builder, signature.args[0], args[0], args[1])
        source = element(context, builder, signature.args[2], args[2], args[3])
        count, lanes = args[4], host().lanes(4)
        whole = builder.and_(count, I64(-lanes))

        def move(at: Any, kind: Any) -> None:
            place = builder.bitcast(builder.gep(source, [at]), kind.as_pointer())
            value = convert(builder, builder.load(place, align=2))
            builder.store(value, builder.bitcast(builder.gep(target, [at]), value.type.as_pointer()), align=2)

        with cgutils.for_range_slice(builder, I64(0), whole, I64(lanes)) as (at, _):
            move(at, ir.VectorType(given, lanes))
        with cgutils.for_range_slice(builder, whole, count, I64(1)) as (at, _):
            move(at, given)
        return context.get_dummy_value()

    return codegen


# --- arrays of 16 bits that kernels take as they are: int16 stands for bfloat16, uint16 for float16 -------------------

BITS = {"bfloat16": "int16", "float16": "uint16"}


def _format(kind: Any) -> int:
    return BFLOAT16 if kind.signed else FLOAT16


def _turned(builder: Any, value: Any) -> Any:
    """Numbers with a sign as integers in their order, and back."""
    sign = builder.ashr(value, _all(value.type, 15))
    return builder.xor(value, builder.and_(sign, _all(value.type, 0x7FFF)))


def _excess(kind: Any) -> int:
    """How far the order of -inf lies above the lowest integer: NaN with a sign, which lie between, go to the top."""
    return 0x7F if _format(kind) == BFLOAT16 else 0x3FF


@intrinsic(prefer_literal=True)
def ranks(typingctx, x, wide):  # type: ignore[no-untyped-def]
    """`wide` host vectors of zeros, a literal, of what elements of x are compared as: themselves, or int16."""
    dtype = x.dtype if isinstance(x.dtype, types.Float) else types.int16
    kind = Lanes(dtype, wide.literal_value * host().lanes(dtype.bitwidth // 8))
    return kind(x, wide), lambda context, builder, signature, args: ir.Constant(kind.vector, None)


@intrinsic
def taken(typingctx, a, like):  # type: ignore[no-untyped-def]
    """Lanes as they were loaded, in the dtype of the lanes `like`.

    Of 16 bits become float numbers, or in int16 their ranks: integers in the order of the numbers, with NaN on top, and
    with the lowest integer for -inf.
    """
    kind = Lanes(like.dtype, a.count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(a.dtype, types.Float):
            grows = like.dtype.bitwidth - a.dtype.bitwidth
            return args[0] if grows == 0 else (builder.fpext if grows > 0 else builder.fptrunc)(args[0], kind.vector)
        if isinstance(like.dtype, types.Float):
            wide = widened(builder, args[0], _format(a.dtype))
            return wide if like.dtype == types.float32 else builder.fpext(wide, kind.vector)
        return builder.sub(_turned(builder, args[0]), _all(args[0].type, _excess(a.dtype)))

    return kind(a, like), codegen


@intrinsic
def given(typingctx, a, y):  # type: ignore[no-untyped-def]
    """Lanes, or a number, as they are stored in y: the way back from `taken`, float numbers rounded to 16 bits."""
    kind = Lanes(y.dtype, a.count) if isinstance(a, Lanes) else y.dtype
    held = a.dtype if isinstance(a, Lanes) else a

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        if isinstance(y.dtype, types.Float):
            grows, target = y.dtype.bitwidth - held.bitwidth, context.get_value_type(kind)
            return value if grows == 0 else (builder.fpext if grows > 0 else builder.fptrunc)(value, target)
        if isinstance(held, types.Float):
            if held == types.float64:
                value = builder.fptrunc(value, _like(value.type, ir.FloatType()))
            return narrowed(builder, value, _format(y.dtype))
        return _turned(builder, builder.add(value, _all(value.type, _excess(y.dtype))))

    return kind(a, y), codegen
