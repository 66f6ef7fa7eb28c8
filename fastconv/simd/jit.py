"""How kernels are compiled: decorators over ``numba.njit`` and a disk cache that notices every change of source.

Numba's own cache looks at one file: a change in a helper imported from another module goes unnoticed. Ours keeps the
kernels of a module in a folder named after a digest of its source and of all kernel sources it imports, directly or
not, so a cached kernel is always made of the code that is there.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import caching, cgutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from ..config import cache_dir
from ..threads import run

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
    compiled._cache = _Cache(function)
    compiled.compile()
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


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    dispatcher._cache = _Cache(function)
    typed = dispatcher.get_call_template

    def without_literals(args: Any, kws: Any) -> Any:
        """A constant argument has its value's type: Numba would compile the function anew for each constant."""
        return typed(tuple(map(types.unliteral, args)), {name: types.unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = without_literals
    return dispatcher


PACKAGE = Path(__file__).parent.parent
KERNELS = (PACKAGE / "simd", PACKAGE / "cpu")
UNUSED = 30 * 86400  # seconds after which the kernels of another version of a module are deleted
_IMPORT = re.compile(r"^from (\.+)([\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def kernel_cache_dir() -> Path:
    """The folder of the compiled kernels, those of each module and version of its sources in a folder of their own."""
    return cache_dir() / "kernels"


@lru_cache(maxsize=256)
def _digest(path: Path) -> str:
    """What the kernels of a module are made of: its source and that of all kernel modules it imports."""
    found: set[Path] = set()
    waiting = {path}
    while waiting:
        found |= waiting
        waiting = {used for module in waiting for used in _imported(module)} - found
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(str(module.relative_to(PACKAGE)).encode() + module.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _imported(path: Path) -> frozenset[Path]:
    """The kernel modules that a source file imports."""
    found = set()
    for dots, name, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
        target = path.parents[len(dots) - 1].joinpath(*name.split("."))
        modules = [target / f"{word}.py" for word in re.findall(r"\w+", names)] + [target / "__init__.py"]
        found |= {target.with_suffix(".py"), *modules}
    return frozenset(p for p in found if p.is_file() and any(p.is_relative_to(folder) for folder in KERNELS))


class _Locator(caching._CacheLocator):
    """Tells Numba's cache to use our folder; the digest in its name stands for the source's time stamp."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        path = Path(py_file).resolve()
        self._stem, self._stamp = f"{path.parent.name}.{path.stem}", _digest(path)

    def get_cache_path(self) -> str:
        return os.fspath(kernel_cache_dir() / f"{self._stem}-{self._stamp}")

    def get_source_stamp(self) -> str:
        return self._stamp

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
            found = super().load_overload(sig, target_context)
        except OSError:
            return None
        if found is not None:
            _mark_as_used(Path(self.cache_path))
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
            _delete_unused(Path(self.cache_path))
        except OSError:
            self.disable()


@cache
def _mark_as_used(folder: Path) -> None:
    with suppress(OSError):
        os.utime(folder)


@cache
def _delete_unused(folder: Path) -> None:
    """Delete what other versions of a module's sources have left beside `folder` and nobody has used for long."""
    oldest = time.time() - UNUSED
    for other in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        if other != folder and other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)


@callable_kernel
def _reraise(code, information):  # type: ignore[no-untyped-def]
    """`_raise` for Python to call."""
    _raise(code, information)
