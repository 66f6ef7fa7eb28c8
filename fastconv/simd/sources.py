"""What the compiled kernels of a module are made of, as a digest: a cached kernel is of the code that is there.

Read through the loader of the package, so that it need not lie in a folder: in a zip archive, too, kernels are told
apart by their sources. Where there are none (byte code only, a frozen program) all kernel modules' code is the digest.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import pkgutil
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent
NAME = __name__.split(".")[0]
KERNELS = ("simd", "cpu")
_IMPORT = re.compile(r"^from (\.+)([\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)
_spec: Any = __spec__


def stamp(module: str) -> str | None:
    """The digest of a kernel module, such as "fastconv.cpu.direct"; None for others, or where code cannot be read."""
    package, *parts = module.split(".")
    if package != NAME or not parts or parts[0] not in KERNELS:
        return None
    path = PACKAGE.joinpath(*parts)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if _source(file) is not None:
            return _digest(file)
    return _byte_code()


@lru_cache(maxsize=256)
def _digest(path: Path) -> str:
    """The source of a module and of all kernel modules it imports, directly or not."""
    found: set[Path] = set()
    waiting = {path}
    while waiting:
        found |= waiting
        waiting = {used for module in waiting for used in _imported(module)} - found
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(module.relative_to(PACKAGE).as_posix().encode() + (_source(module) or b""))
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _imported(path: Path) -> frozenset[Path]:
    """The kernel modules that a source file imports."""
    found: set[Path] = set()
    for dots, name, names in _IMPORT.findall((_source(path) or b"").decode()):
        target = path.parents[len(dots) - 1].joinpath(*name.split("."))
        if not any(target.is_relative_to(PACKAGE / folder) for folder in KERNELS):
            continue
        module = target.with_suffix(".py")
        in_package = [target / "__init__.py", *(target / f"{word}.py" for word in re.findall(r"\w+", names))]
        found |= {p for p in ([module] if _source(module) is not None else in_package) if _source(p) is not None}
    return frozenset(found)


@lru_cache(maxsize=1024)
def _source(path: Path) -> bytes | None:
    try:
        return _spec.loader.get_data(os.fspath(path))
    except (AttributeError, OSError):  # a loader may offer no files at all
        return None


@cache
def _byte_code() -> str | None:
    digest, found = hashlib.sha256(), False
    for folder in KERNELS:
        for spec in _modules(PACKAGE / folder, f"{NAME}.{folder}"):
            code = getattr(spec.loader, "get_code", lambda name: None)(spec.name)
            if code is not None:
                found = True
                digest.update(spec.name.encode() + marshal.dumps(code, 2))  # version 2 writes equal code as equal bytes
    return digest.hexdigest()[:16] if found else None


def _modules(folder: Path, package: str) -> Iterator[ModuleSpec]:
    """The specifications of all modules of a package, without importing them."""
    for finder, name, is_package in sorted(pkgutil.iter_modules([os.fspath(folder)]), key=lambda module: module.name):
        spec = finder.find_spec(f"{package}.{name}", None)
        if spec is not None:
            yield spec
        if is_package:
            yield from _modules(folder / name, f"{package}.{name}")
