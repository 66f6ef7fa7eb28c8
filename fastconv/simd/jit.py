"""How kernels are compiled: decorators that do what ``numba.njit`` does, with a disk cache of our own.

Numba's cache looks at one file: a change in a helper imported from another module goes unnoticed. `simd.kernel_cache`
keeps kernels under a digest of all kernel sources they are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import config, types
from numba.core.ccallback import CFunc
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from .kernel_cache import KernelCache
from .libraries import LinkedCompiler, WholeCompiler

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function for other kernels to call; called from Python, it would crash (`callable_kernel` does not).

    It is linked into its callers (`simd.libraries`) without the wrappers that Python needs.
    """
    return _cached(linked(function), function)


def callable_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function for kernels and for Python to call."""
    return _cached(jitted(function), function)


def linked(function: Callable[..., Any], **options: Any) -> Any:
    """`jitted` for other compiled functions to call, which nobody keeps on disk."""
    return jitted(function, LinkedCompiler, no_cpython_wrapper=True, **options)


def c_function(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function with a C signature; its ``address`` can be handed to kernels."""
    options, kinds = OPTIONS | {"forceinline": True}, (signature.args, signature.return_type)
    compiled = CFunc(function, kinds, locals={}, options=options, pipeline_class=WholeCompiler)
    compiled._cache = KernelCache(function)
    _compiling(compiled.compile)()
    return compiled


@intrinsic
def _raise(typingctx, code, information):
    """Raise what a call has raised, of which Numba's code and information are known."""

    def codegen(context, builder, signature, args):
        convention = context.call_conv
        pointer = convention.get_function_type(types.none, ()).args[1].pointee  # to what is known of an exception
        code = builder.trunc(args[0], ir.IntType(32))
        status = convention._get_return_status(builder, code, builder.inttoptr(args[1], pointer))
        convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def jitted(function: Callable[..., Any], compiler: type[Compiler] = Compiler, **options: Any) -> Any:
    """``numba.njit`` with `OPTIONS`, except that NUMBA_DISABLE_JIT is for users' own functions.

    Kernels could not run as Python: they call intrinsics, and functions by address.
    """
    options = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, **OPTIONS, **options}
    dispatcher = CPUDispatcher(function, targetoptions=options, pipeline_class=compiler)
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


def _cached(dispatcher: Any, function: Callable[..., Any]) -> Any:
    """The dispatcher of a function, with the disk cache."""
    dispatcher._cache = KernelCache(function)
    typed = dispatcher.get_call_template

    def without_literals(args: Any, kws: Any) -> Any:
        """A constant argument has its value's type: Numba would compile the function anew for each constant."""
        return typed(tuple(map(types.unliteral, args)), {name: types.unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = without_literals
    return dispatcher


@callable_kernel
def reraise(code, information):  # type: ignore[no-untyped-def]
    """`_raise` for Python to call."""
    _raise(code, information)
