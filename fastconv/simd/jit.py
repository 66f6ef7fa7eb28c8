"""How kernels are compiled: decorators that do what ``numba.njit`` does, with a disk cache of our own.

Numba's cache looks at one file: a change in a helper imported from another module goes unnoticed. `simd.kernel_cache`
keeps kernels under a digest of all kernel sources they are made of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from ..threads import run
from .kernel_cache import KernelCache

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function for other kernels to call; called from Python, it would crash (`callable_kernel` does not).

    The wrappers that Python needs take a third of the time to compile.
    """
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def callable_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function for kernels and for Python to call."""
    return _compile(function)


class ParallelKernel:
    """A kernel whose work is a row of independent tasks; made by `parallel_kernel`.

    ``body(thread, first, last, *args)`` does tasks first..last-1; `thread` selects per-thread scratch. The parallel
    driver calls the compiled body by address: linked into the driver, it would be compiled a second time. What the body
    raises (a user's activation may) is raised to the caller, for any number of threads that of the first task in order.
    """

    def __init__(self, body: Callable[..., Any]) -> None:
        self.__name__, self.__doc__, self.__module__ = body.__name__, body.__doc__, body.__module__
        self.serial = _compile(body)
        self._driver = _compile(_driver(body), parallel=True)
        self._addresses: dict[Any, int] = {}

    def __call__(self, members: int, tasks: int, *args: Any) -> None:
        """Run all tasks on `members` threads (from `threads.team`)."""
        if members < 2:
            self.serial(0, 0, tasks, *args)
        else:
            run(self.serial, self._parallel, members, tasks, args)

    def _parallel(self, members: int, tasks: int, *args: Any) -> None:
        kinds = tuple(map(_kind, args))
        address = self._addresses.get(kinds)
        if address is None:
            signature = (types.int64,) * 3 + tuple(map(numba.typeof, args))
            self.serial.compile(signature)
            compiled = self.serial.overloads[signature]
            address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
            self._addresses[kinds] = address
        statuses = np.empty(2 * members, np.int64)
        failed = self._driver(address, members, tasks, statuses, *args)
        if failed >= 0:
            _reraise(*statuses[2 * failed : 2 * failed + 2])


def parallel_kernel(body: Callable[..., Any]) -> ParallelKernel:
    """Compile ``body(thread, first, last, *args)`` and a driver that shares its tasks among threads."""
    return ParallelKernel(body)


def _kind(value: Any) -> Any:
    """What tells argument types apart, at least as finely as Numba does, and much faster."""
    if type(value) is np.ndarray:
        return value.dtype, value.ndim, value.flags.num
    if isinstance(value, tuple):
        return tuple(map(_kind, value))
    return type(value)


def c_function(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function with a C signature; its ``address`` can be handed to kernels."""
    compiled = CFunc(function, (signature.args, signature.return_type), locals={}, options=OPTIONS)
    compiled._cache = KernelCache(function)
    _compiling(compiled.compile)()
    return compiled


def _driver(body: Callable[..., Any]) -> Callable[..., Any]:
    arguments = ", ".join(list(inspect.signature(body).parameters)[3:])
    source = (
        f"def {body.__name__}_driver(address, members, tasks, statuses, {arguments}):\n"
        f"    for i in prange(members):\n"
        f"        thread = int64(i)\n"  # prange counts in uint64
        f"        first, last = tasks * thread // members, tasks * (thread + 1) // members\n"
        f"        status = invoke(address, (thread, first, last, {arguments}))\n"
        f"        statuses[2 * thread], statuses[2 * thread + 1] = status\n"
        f"    for i in range(members):\n"  # a region lets no exception out: each thread leaves its own behind
        f"        if statuses[2 * i]:\n"
        f"            return i\n"  # raised from here it would keep the arrays alive for ever
        f"    return -1\n"
    )
    namespace: dict[str, Any] = {
        "__name__": body.__module__,
        "prange": numba.prange,
        "int64": numba.int64,
        "invoke": _invoke,
    }
    exec(compile(source, inspect.getfile(body), "exec"), namespace)
    return namespace[f"{body.__name__}_driver"]


@intrinsic
def _invoke(typingctx, address, arguments):
    """Call the compiled function at `address` with a tuple of arguments of exactly its types; it returns nothing.

    The result is its status: (0, anything), or what `_reraise` takes.
    """

    def codegen(context, builder, signature, args):
        kinds = signature.args[1].types
        values = [builder.extract_value(args[1], i) for i in range(len(kinds))]
        function = context.call_conv.get_function_type(types.none, kinds)
        callee = builder.inttoptr(args[0], function.as_pointer())
        status, _ = context.call_conv.call_function(builder, callee, types.none, kinds, values)
        code = builder.select(status.is_error, status.code, status.code.type(0))
        wide = context.get_value_type(types.int64)
        return cgutils.pack_array(builder, [builder.sext(code, wide), builder.ptrtoint(status.excinfoptr, wide)])

    return types.UniTuple(types.int64, 2)(address, arguments), codegen


@intrinsic
def _raise(typingctx, code, information):
    """Raise what a function called by `_invoke` has raised."""

    def codegen(context, builder, signature, args):
        convention = context.call_conv
        pointer = convention.get_function_type(types.none, ()).args[1].pointee  # to what is known of an exception
        code = builder.trunc(args[0], ir.IntType(32))
        status = convention._get_return_status(builder, code, builder.inttoptr(args[1], pointer))
        convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def jitted(function: Callable[..., Any], **options: Any) -> Any:
    """``numba.njit`` with `OPTIONS`, except that NUMBA_DISABLE_JIT is for users' own functions.

    Kernels could not run as Python: they call intrinsics, and functions by address.
    """
    dispatcher = CPUDispatcher(function, targetoptions={"nopython": True, "boundscheck": None, **OPTIONS, **options})
    dispatcher.compile = _compiling(dispatcher.compile)
    return dispatcher


def _compiling(compile: Callable[..., Any]) -> Callable[..., Any]:
    """A function that compiles, with NUMBA_DISABLE_JIT out of the way: Numba asks for it within, too."""

    def always(*args: Any) -> Any:
        with global_compiler_lock:
            disabled, config.DISABLE_JIT = config.DISABLE_JIT, 0
            try:
                return compile(*args)
            finally:
                config.DISABLE_JIT = disabled

    return always


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher = jitted(function, **options)
    dispatcher._cache = KernelCache(function)
    typed = dispatcher.get_call_template

    def without_literals(args: Any, kws: Any) -> Any:
        """A constant argument has its value's type: Numba would compile the function anew for each constant."""
        return typed(tuple(map(types.unliteral, args)), {name: types.unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = without_literals
    return dispatcher


@callable_kernel
def _reraise(code, information):  # type: ignore[no-untyped-def]
    """`_raise` for Python to call."""
    _raise(code, information)
