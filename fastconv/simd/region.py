"""A parallel region: its tasks are claimed, a few at a time, by the caller and by whichever of its workers are there.

The caller publishes a job and works on it like the others; when no task is left to claim it closes the job and waits
for those who are inside, never for one who has not come. So a thread that the system has put aside, or a slow core,
holds up nobody but for the tasks that it has claimed. Each member begins with a run of consecutive tasks of its own,
which keeps its data in its core's caches from one region to the next, and then helps where tasks are left.

All that the threads share are the words of one array (`Word`), written and read as atomic numbers:

* CALLERS counts who would lead: one does, and who comes meanwhile does its tasks alone. That is said here and not in
  Python, where Ctrl-C may come between any two lines and leave the workers to nobody;
* the caller adds 1 to GENERATION to open a job (it is odd then) and again to close it;
* a worker adds 1 to INSIDE, and looks whether the job is still the one that it saw: only then does it read the job;
* before it sleeps a worker sets ASLEEP, and looks once more for a job: it sees the one that was opened meanwhile, or
  whoever wakes it sees ASLEEP.

Waking takes a few microseconds, so those who come to a job wake two others each.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..workers import Word
from .emit import I32, I64, INTP, VOID
from .family import invoke
from .host import host
from .jit import c_function, callable_kernel, kernel

CHUNKS = 16  # claims that a member's run of tasks is cut into, if it has so many


# --- words that several threads write -----------------------------------------------------------------------------


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, I64.as_pointer())


@intrinsic
def _read(typingctx, address):  # type: ignore[no-untyped-def]
    """The word at an address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_pointer(builder, args[0]), "seq_cst", 8)

    return INTP(INTP), codegen


@intrinsic
def _write(typingctx, address, value):  # type: ignore[no-untyped-def]
    """Set the word at an address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(INTP, INTP), codegen


@intrinsic
def _add(typingctx, address, value):  # type: ignore[no-untyped-def]
    """Add to the word at an address; returns what it was."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return INTP(INTP, INTP), codegen


@intrinsic
def _relax(typingctx):  # type: ignore[no-untyped-def]
    """Tell the core that this thread waits."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        name, values = ("llvm.aarch64.hint", [I32(1)]) if host().isa == "NEON" else ("llvm.x86.sse2.pause", [])
        kind = ir.FunctionType(VOID, [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
        return context.get_dummy_value()

    return types.void(), codegen


# --- the job ------------------------------------------------------------------------------------------------------


@kernel
def _own(words, member, word):
    """The address of a word of a member's."""
    return words + 8 * (Word.FIRST + Word.EACH * member + word)


@kernel
def _wake(words, member):
    """Wake two others that are asleep."""
    for other in range(2 * member + 1, min(2 * member + 3, _read(words + 8 * Word.MEMBERS))):
        asleep = _own(words, other, Word.ASLEEP)
        if _read(asleep) != 0:
            _write(asleep, 0)
            invoke(_read(words + 8 * Word.POST), (_read(_own(words, other, Word.BED)), 1, 0))


@kernel
def _claim(words, member):
    """Do tasks of the open job until none is left: first of one's own run, then of the others'."""
    function, context = _read(words + 8 * Word.FUNCTION), _read(words + 8 * Word.CONTEXT)
    members, tasks = _read(words + 8 * Word.MEMBERS), _read(words + 8 * Word.TASKS)
    failure = _own(words, member, Word.FAILURE)
    for turn in range(members):
        run = (member + turn) % members
        end = tasks * (run + 1) // members
        count = max(1, (end - tasks * run // members) // CHUNKS)
        claimed = _own(words, run, Word.CLAIMED)
        while True:
            first = _add(claimed, count)
            if first >= end:
                break
            invoke(function, (context, member, first, min(end, first + count), failure))


def _lead(words, function, context, members, tasks, failure):
    """Have a job done, or do it alone; `failure` tells of the first task in order that failed."""
    callers = words + 8 * Word.CALLERS
    if members < 2:
        invoke(function, (context, 0, 0, tasks, failure))
        return
    if _add(callers, 1) != 0:
        _add(callers, -1)
        invoke(function, (context, 0, 0, tasks, failure))
        return
    _write(words + 8 * Word.FUNCTION, function)
    _write(words + 8 * Word.CONTEXT, context)
    _write(words + 8 * Word.MEMBERS, members)
    _write(words + 8 * Word.TASKS, tasks)
    for member in range(members):
        _write(_own(words, member, Word.CLAIMED), tasks * member // members)
        _write(_own(words, member, Word.FAILURE), tasks)
    _add(words + 8 * Word.GENERATION, 1)
    _wake(words, 0)
    _claim(words, 0)
    _add(words + 8 * Word.GENERATION, 1)
    patience = 2 * _read(words + 8 * Word.SPINS)
    while _read(words + 8 * Word.INSIDE) != 0:
        if patience > 0:
            patience -= 1
            _relax()
        else:  # someone is held up within a task: the core is better used by others
            invoke(_read(words + 8 * Word.REST), (_read(words + 8 * Word.REST_TIME),))
    for member in range(members):
        own = _own(words, member, Word.FAILURE)
        if _read(own) < _read(failure):
            for i in range(3):
                _write(failure + 8 * i, _read(own + 8 * i))
    _add(callers, -1)


_LEAD = types.void(*(INTP,) * 6)


def lead_address() -> int:
    """The address of `_lead`, a C function that serves all kernels."""
    return c_function(_LEAD, _lead).address


@callable_kernel
def serve(words, member, rounds):
    """Take part in jobs, and sleep when there was none for a while; returns when it would sleep for the last round."""
    asleep, bed = _own(words, member, Word.ASLEEP), _own(words, member, Word.BED)
    seen, spins = -1, _read(words + 8 * Word.SPINS)
    left = spins
    while True:
        generation = _read(words + 8 * Word.GENERATION)
        if generation % 2 == 1 and generation != seen:
            seen = generation
            _add(words + 8 * Word.INSIDE, 1)
            if _read(words + 8 * Word.GENERATION) == generation and member < _read(words + 8 * Word.MEMBERS):
                _wake(words, member)
                _claim(words, member)
            _add(words + 8 * Word.INSIDE, -1)
            left = spins
        elif left > 0:
            left -= 1
            _relax()
        else:
            rounds -= 1
            if rounds == 0:
                return
            _write(asleep, 1)
            if _read(words + 8 * Word.GENERATION) == generation:
                invoke(_read(words + 8 * Word.WAIT), (_read(bed), _read(words + 8 * Word.FOREVER)))
            _write(asleep, 0)
            left = spins


@intrinsic
def share(typingctx, lead, words, body, members, tasks, arguments):  # type: ignore[no-untyped-def]
    """Have ``body(thread, first, last, *arguments)``, a compiled kernel's address, called for all tasks.

    The arguments lie in the caller's frame, which stays until all members are done. Returns Numba's code of what the
    first task in order that failed has raised, 0 if none did, and its information on the exception.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        lead, words, body, members, tasks, values = args
        given = cgutils.alloca_once_value(builder, values)
        function = _call_body(context, builder, signature.args[5], given.type)
        pair = _in_frame(builder, body, builder.ptrtoint(given, I64))
        failure = _in_frame(builder, tasks, I64(0), I64(0))
        addresses = [builder.ptrtoint(place, I64) for place in (function, pair)]
        kind = ir.FunctionType(VOID, [I64] * 6)
        lead = builder.inttoptr(lead, kind.as_pointer())
        builder.call(lead, [words, *addresses, members, tasks, builder.ptrtoint(failure, I64)])
        _, code, information = cgutils.unpack_tuple(builder, builder.load(failure))
        return context.make_tuple(builder, signature.return_type, [code, information])

    return types.UniTuple(INTP, 2)(INTP, INTP, INTP, INTP, INTP, arguments), codegen


def _in_frame(builder: Any, *values: Any) -> Any:
    """Where these integers lie in the caller's frame, side by side."""
    return cgutils.alloca_once_value(builder, cgutils.pack_array(builder, values))


def _call_body(context: Any, builder: Any, arguments: Any, given: Any) -> Any:
    """A C function of (context, member, first, last, failure) that calls a body with the arguments of a context."""
    convention, kinds = context.call_conv, (types.int64,) * 3 + arguments.types
    name = f"fastconv_share_{len(builder.module.functions)}"
    function = ir.Function(builder.module, ir.FunctionType(VOID, [I64] * 5), name)
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    pair, member, first, last, failure = function.args
    body, values = (b.load(b.gep(_pointer(b, pair), [I64(i)])) for i in range(2))
    values = b.load(b.inttoptr(values, given))
    unpacked = [b.extract_value(values, i) for i in range(len(arguments.types))]
    callee = b.inttoptr(body, convention.get_function_type(types.none, kinds).as_pointer())
    status, _ = convention.call_function(b, callee, types.none, kinds, [member, first, last, *unpacked])
    kept = _pointer(b, failure)
    with b.if_then(b.and_(status.is_error, b.icmp_signed("<", first, b.load(kept))), likely=False):
        for i, value in enumerate((first, b.sext(status.code, I64), b.ptrtoint(status.excinfoptr, I64))):
            b.store(value, b.gep(kept, [I64(i)]))
    b.ret_void()
    return function
