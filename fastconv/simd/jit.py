"""How kernels are compiled: two decorators over ``numba.njit`` and a disk cache that notices every change of source.

Numba's own cache looks at one file: a change in a helper imported from another module goes unnoticed. Ours lives in a
folder named after a digest of all kernel sources, so a cached kernel is always made of the code that is there.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import caching, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from ..config import cache_dir
from ..threads import run

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a serial function, callable from Python and from other kernels."""
    return _compile(function)


class ParallelKernel:
    """A kernel whose work is a row of independent tasks; made by `parallel_kernel`.

    ``body(thread, first, last, *args)`` does tasks first..last-1; `thread` selects per-thread scratch. The parallel
    driver calls the compiled body by address: linked into the driver, it would be compiled a second time.
    """

    def __init__(self, body: Callable[..., Any]) -> None:
        self.__name__, self.__doc__, self.__module__ = body.__name__, body.__doc__, body.__module__
        self.serial = _compile(body)
        self._driver = _compile(_driver(body), parallel=True)
        self._addresses: dict[Any, int] = {}

    def __call__(self, members: int, tasks: int, *args: Any) -> None:
        """Run all tasks on `members` threads (from `threads.team`)."""
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
        self._driver(address, members, tasks, *args)


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
    compiled._cache = _Cache(function)
    compiled.compile()
    return compiled


def _driver(body: Callable[..., Any]) -> Callable[..., Any]:
    arguments = ", ".join(list(inspect.signature(body).parameters)[3:])
    source = (
        f"def {body.__name__}_driver(address, members, tasks, {arguments}):\n"
        f"    for i in prange(members):\n"
        f"        thread = int64(i)\n"  # prange counts in uint64
        f"        first, last = tasks * thread // members, tasks * (thread + 1) // members\n"
        f"        invoke(address, (thread, first, last, {arguments}))\n"
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
    """Call the compiled function at `address` with a tuple of arguments of exactly its types; it returns nothing."""

    def codegen(context, builder, signature, args):
        kinds = signature.args[1].types
        values = [builder.extract_value(args[1], i) for i in range(len(kinds))]
        function = context.call_conv.get_function_type(types.none, kinds)
        callee = builder.inttoptr(args[0], function.as_pointer())
        context.call_conv.call_function(builder, callee, types.none, kinds, values)
        return context.get_dummy_value()

    return types.void(address, arguments), codegen


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


@lru_cache(maxsize=1)
def _digest() -> str:
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in ("simd", "cpu"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_cache_dir() -> Path:
    """The folder of the compiled kernels of this version of the sources."""
    return cache_dir() / "kernels" / _digest()


class _Locator(caching._CacheLocator):
    """Tells Numba's cache to use our folder; the digest in its name stands for the source's time stamp."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._stem = Path(py_file).parent.name

    def get_cache_path(self) -> str:
        return os.fspath(kernel_cache_dir())

    def get_source_stamp(self) -> str:
        return _digest()

    def get_disambiguator(self) -> str:
        return self._stem

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Impl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _Cache(caching.FunctionCache):
    """Numba's function cache in our folder; a folder that cannot be written only costs compiling again."""

    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()
