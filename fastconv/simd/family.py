"""Families of C functions behind one address: what kernels call instead of having it compiled into each of them.

Numba optimises a function again in every kernel that calls it (docs/decisions/0003), so a `Family` is compiled once per
dtype and called by its address. Its members differ in what is known while their code is emitted, such as the rows of a
tile; the first arguments of a call choose the member:

    TILES = Family("tile", "depth a a_step b b_step c", elements="a b c", rows=range(1, 7), vectors=(1, 2))

    @TILES.member
    def _tile(emit, arg, rows, vectors):              # emits one member; arg.depth, arg.a, ... are its arguments

    @TILES.caller
    def multiply(address, rows, vectors, depth, a, a0, a_step, b, b0, b_step, c, c0):     # what kernels call

    TILES.address(4)                                  # for float32: compiled, or read from the cache
"""

from __future__ import annotations

import inspect
import itertools
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .emit import I64, INTP, VOID, Emitter, element
from .halves import PairEmitter, WideningEmitter
from .jit import c_function

NUMBERS = {2: types.uint16, 4: types.float32, 8: types.float64}  # by bytes; those of 16 bits are bfloat16


class Family:
    """C functions with `arguments`: addresses of `elements`, addresses of `integers` (int64), and plain integers.

    The arguments before these choose the member: `choices` are their values, by name. Elements that are `sums` are of
    float32 where the others are of 16 bits; what members store there is `rounded` to 16 bits, or in float32. Numbers of
    16 bits are multiplied in pairs, or `widened` one by one.
    """

    def __init__(
        self,
        name: str,
        arguments: str,
        *,
        elements: str,
        sums: str = "",
        integers: str = "",
        rounded: bool = False,
        widened: bool = False,
        **choices: Sequence[int],
    ) -> None:
        self.name, self.choices = name, choices
        self.arguments: Any = namedtuple("arguments", arguments)  # type: ignore[misc]
        self._elements, self._sums, self._integers = elements.split(), sums.split(), integers.split()
        self.rounded, self.widened = rounded, widened
        self._entry: Callable[..., None] | None = None
        self._called: list[str] | None = None
        self.address = lru_cache(maxsize=len(NUMBERS))(self._compile)

    def member(self, body: Callable[..., None]) -> Callable[..., None]:
        """Decorate what emits a member, ``body(emit, arg, *chosen)``."""
        self._body = body
        return body

    def emit(self, emit: Emitter, arg: Any, *chosen: int) -> None:
        """Emit a member in place, as a part of another family's."""
        self._body(emit, arg, *chosen)

    def entry(self, function: Callable[..., None]) -> Callable[..., None]:
        """Decorate the C function where it does more than call one member: in Python, with the intrinsic `switch()`."""
        self._entry = function
        return function

    def caller(self, stub: Callable[..., None]) -> Any:
        """The intrinsic that calls the function at an address; `stub` has its arguments and docstring, and no more.

        Pointers are flat arrays or addresses; where ``x`` is one and ``x0`` follows, that is an offset.
        """

        def emit(context: Any, builder: Any, kinds: Any, values: Any) -> None:
            call(builder, *values)

        names = list(inspect.signature(stub).parameters)
        self._called = [name for name in names[1:] if not self._is_offset(name)]
        return self._intrinsic(stub.__name__, names, emit, stub.__doc__)

    def switch(self) -> Any:
        """The intrinsic that calls a member, all of which are emitted in its place; an offset follows each pointer."""
        return self._intrinsic(self.name, self._with_offsets(), self._emit_switch)

    def pointees(self, itemsize: int) -> dict[str, Any]:
        """The Numba types that pointers among the arguments point to, by name."""
        kinds = dict.fromkeys(self._elements, NUMBERS[itemsize])
        kinds |= dict.fromkeys(self._sums, NUMBERS[max(4, itemsize)])
        return kinds | dict.fromkeys(self._integers, types.int64)

    def _compile(self, itemsize: int) -> int:
        """Address of the C function for float32 (4 bytes), float64 (8) or bfloat16 (2), the same for all kernels."""
        entry = self._entry or self._plain_entry()
        names = list(inspect.signature(entry).parameters)
        if self._called not in (None, names):
            raise TypeError(f"{self.name}: called with {self._called}, expected {names}")
        kinds = {name: types.CPointer(kind) for name, kind in self.pointees(itemsize).items()}
        return c_function(types.void(*(kinds.get(name, INTP) for name in names)), entry).address

    def _plain_entry(self) -> Callable[..., None]:
        """A function for Numba that hands its arguments to the switch."""
        names = ", ".join([*self.choices, *self.arguments._fields])
        values = ", ".join("0" if self._is_offset(name) else name for name in self._with_offsets())
        namespace: dict[str, Any] = {"__name__": self._body.__module__, "switch": self.switch()}
        exec(compile(f"def {self.name}({names}): switch({values})", inspect.getfile(self._body), "exec"), namespace)
        return namespace[self.name]

    def _emit_switch(self, context: Any, builder: Any, kinds: Any, values: Any) -> None:
        emit = emitter(
            context, builder, kinds[self._with_offsets().index(self._elements[0])], self.rounded, self.widened
        )
        chosen, values = values[: len(self.choices)], values[len(self.choices) :]
        number, members = I64(0), dict[int, tuple[int, ...]]({0: ()})
        for value, known in zip(chosen, self.choices.values(), strict=True):
            first, span = known[0], known[-1] - known[0] + 1
            number = builder.add(builder.mul(number, I64(span)), builder.sub(value, I64(first)))
            members = {n * span + v - first: (*key, v) for (n, key), v in itertools.product(members.items(), known)}

        def call_member(key: tuple[int, ...]) -> None:
            builder.call(self._function(emit, key, values), values)

        emit.choose(number, {n: partial(call_member, key) for n, key in members.items()})

    def _function(self, outer: Emitter, key: tuple[int, ...], values: Sequence[Any]) -> Any:
        """One member: a function of its own, for LLVM takes much longer for one with all of them."""
        kind = ir.FunctionType(VOID, [value.type for value in values])
        name = f"fastconv_{self.name}_{outer.suffix}_{'x'.join(map(str, key))}"
        function = ir.Function(outer.builder.module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        emit = outer.within(ir.IRBuilder(function.append_basic_block("entry")))
        self._body(emit, self.arguments(*function.args), *key)
        emit.builder.ret_void()
        return function

    def _with_offsets(self) -> list[str]:
        names = (*self.choices, *self.arguments._fields)
        return [part for name in names for part in (name, f"{name}0") if part == name or self._is_offset(part)]

    def _is_pointer(self, name: str) -> bool:
        return name in self._elements or name in self._integers

    def _is_offset(self, name: str) -> bool:
        return name[-1] == "0" and self._is_pointer(name[:-1])

    def _intrinsic(self, name: str, names: list[str], emit: Callable[..., None], doc: str | None = None) -> Any:
        """An intrinsic with arguments of these names; ``emit(context, builder, kinds, values)`` gets no offsets."""

        def typed(typingctx: Any, *given: Any) -> Any:
            kinds = [
                kind if self._is_pointer(name) else types.boolean if isinstance(kind, types.Boolean) else INTP
                for name, kind in zip(names, given, strict=True)
            ]

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                named, values = dict(zip(names, args, strict=True)), []
                for name, kind, value in zip(names, kinds, args, strict=True):
                    if self._is_pointer(name):
                        values.append(element(context, builder, kind, value, named.get(f"{name}0", I64(0))))
                    elif not self._is_offset(name):
                        values.append(builder.zext(value, I64) if kind == types.boolean else value)
                emit(context, builder, kinds, values)
                return context.get_dummy_value()

            return types.void(*kinds), codegen

        typed.__name__, typed.__doc__ = name, doc
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        typed.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in ("typingctx", *names)])  # type: ignore[attr-defined]
        return intrinsic(typed)


def emitter(context: Any, builder: Any, kind: Any, rounded: bool = False, widened: bool = False) -> Emitter:
    """What emits members whose elements are of the dtype of `kind`, an array or an address."""
    if kind.dtype != NUMBERS[2]:
        return Emitter(context, builder, kind)
    return (WideningEmitter if widened else PairEmitter)(context, builder, rounded)


def call(builder: Any, address: Any, *values: Any) -> None:
    """Emit a call of the C function at an address."""
    called(builder, address, VOID, *values)


def called(builder: Any, address: Any, result: Any, *values: Any) -> Any:
    """Emit a call of the C function at an address that returns a `result`, which is returned."""
    function = ir.FunctionType(result, [value.type for value in values])
    return builder.call(builder.inttoptr(address, function.as_pointer()), values)


@intrinsic
def invoke(typingctx, address, arguments):
    """Call the C function at `address` with a tuple of integers and pointers."""

    def codegen(context, builder, signature, args):
        call(builder, args[0], *cgutils.unpack_tuple(builder, args[1]))
        return context.get_dummy_value()

    return types.void(address, arguments), codegen
