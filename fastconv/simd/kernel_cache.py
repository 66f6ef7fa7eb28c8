"""The disk cache of compiled kernels: damaged, full, read-only or gone, it costs compiling again and nothing else.

Numba's own cache keeps an index of each function's files and trusts both: a file that a power cut left empty ends the
process in a traceback, a flipped bit in a segmentation fault, and two processes that compile two variants of a function
at once may give both the same number. Here each compiled function is one file, named after all that tells it from
others. It begins with a checksum and repeats what it is named after: whatever does not match is compiled again and
replaced. The files of a module lie in a folder named after the digest of its sources (`simd.sources`); what nobody
has used for long is deleted.
"""

from __future__ import annotations

import glob
import hashlib
import os
import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import caching, config
from numba.core.serialize import dumps

from ..config import cache_dir
from .libraries import rebuilt
from .sources import stamp

UNUSED = 30 * 86400  # seconds after which kernels that nobody has used are deleted
CHECKSUM = hashlib.blake2b().digest_size

_compiled = 0
_problem: str | None = None


def kernel_cache_dir() -> Path:
    """The folder of the compiled kernels, those of each module and version of its sources in a folder of their own."""
    return cache_dir() / "kernels"


def compiled() -> int:
    """Functions that this process has compiled because it did not find them in the cache."""
    return _compiled


def problem() -> str | None:
    """Why compiled kernels cannot be kept, as one clause; None where nothing speaks against it."""
    if _problem is not None:
        return _problem
    folder = kernel_cache_dir()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not os.path.isdir(folder):
        return f"{folder} is not a folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is not writable"


class KernelCache(caching.FunctionCache):
    """The compiled variants of one function; takes the place of the cache that Numba gives a dispatcher."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._py_func, self._name = function, f"{function.__module__}.{function.__qualname__}"
        self._stem = ".".join(function.__module__.split(".")[-2:])
        self._stamp = stamp(function.__module__)
        self._cache_path = os.fspath(kernel_cache_dir() / f"{self._stem}-{self._stamp}")
        self.enable()
        if self._stamp is None:
            self.disable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled variant for a signature; None where the cache does not have it, whole."""
        target_context.refresh()
        if not self._enabled:
            return None
        key = self._key(sig, target_context.codegen())
        path = self._path(key)
        try:
            reduced = _read(path, key)
            found = None if reduced is None else rebuilt(target_context, reduced)
        except Exception:  # unpickling raises whatever the file makes it raise, and compiling again is always right
            return None
        if found is not None:
            _mark_as_used(path)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a variant that was just compiled, if the folder takes it."""
        global _compiled, _problem
        _compiled += 1
        if not self._enabled or data.lifted or data.library.has_dynamic_globals:  # as without optimization
            return
        key = self._key(sig, data.codegen)
        try:
            _write(self._path(key), dumps((key, data._reduce())))
            _problem = None
            _delete_unused(Path(self._cache_path))
        except OSError as error:
            _problem = f"{self._cache_path} cannot be written: {error.strerror or error}"

    def flush(self) -> None:
        """Forget this version of the function's module."""
        shutil.rmtree(self._cache_path, ignore_errors=True)

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return self._name, self._stamp, _compiler(), _contents(self._py_func), codegen.magic_tuple(), sig

    def _path(self, key: tuple[Any, ...]) -> str:
        name = hashlib.blake2b(repr(key).encode(errors="replace"), digest_size=12).hexdigest()
        function = self._py_func.__qualname__.replace("<", "").replace(">", "")
        return os.path.join(self._cache_path, f"{function}-{name}.nbc")


def _compiler() -> tuple[Any, ...]:
    """What else compiled code depends on: versions, and settings of Numba that its own cache does not look at."""
    names = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")
    settings = [str(getattr(config, name, None)) for name in names]
    return numba.__version__, llvmlite.__version__, *settings


def _contents(function: Callable[..., Any]) -> str:
    """A digest of a function's own code and of what it encloses."""
    digest = hashlib.blake2b(function.__code__.co_code, digest_size=16)
    for cell in function.__closure__ or ():
        inner = getattr(cell.cell_contents, "py_func", None)
        # A compiled function pickles differently in each process; what it is made of follows from its module's stamp.
        enclosed = cell.cell_contents if inner is None else (inner.__module__, inner.__qualname__, _contents(inner))
        digest.update(dumps(enclosed))
    return digest.hexdigest()


def _read(path: str, key: tuple[Any, ...]) -> Any:
    """What `_write` kept under this key; None unless every bit of it is there."""
    with open(path, "rb") as file:
        stored = memoryview(file.read())
    if hashlib.blake2b(stored[CHECKSUM:]).digest() != stored[:CHECKSUM]:
        return None
    found, reduced = pickle.loads(stored[CHECKSUM:])
    return reduced if found == key else None


def _write(path: str, content: bytes) -> None:
    """Put a file in its place at once, whole, and delete what killed processes left of the same."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        with open(part, "xb") as file:
            file.write(hashlib.blake2b(content).digest())
            file.write(content)
        os.replace(part, path)
    finally:
        with suppress(OSError):
            os.unlink(part)
    for left in glob.glob(f"{glob.escape(path)}.*.tmp"):  # a process that writes it right now does without
        with suppress(OSError):
            os.unlink(left)


def _mark_as_used(path: str) -> None:
    """Keep a file and its folder from being deleted; written rarely, for the sake of shared folders."""
    for place in (path, os.path.dirname(path)):
        with suppress(OSError):
            if os.stat(place).st_mtime < time.time() - UNUSED / 2:
                os.utime(place)


@cache
def _delete_unused(folder: Path) -> None:
    """Delete what nobody has used for long, of other versions of a module's sources or of the compiler."""
    oldest = time.time() - UNUSED
    others = glob.iglob(f"{glob.escape(os.fspath(folder).rpartition('-')[0])}-*")
    for path in map(Path, [*others, *glob.iglob(f"{glob.escape(os.fspath(folder))}/*")]):  # glob passes over errors
        with suppress(OSError):
            if path == folder or path.stat().st_mtime >= oldest:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
