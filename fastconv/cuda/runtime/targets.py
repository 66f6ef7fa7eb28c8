"""Which of Numba's CUDA targets compiles kernels, and what is missing where none can.

numba-cuda is preferred. It takes the place of the target that Numba brings by a hook that Python runs at its start;
where Python has not seen it (``pip --target``), the hook is put in here, and the compiler's libraries are loaded.
Without numba-cuda, or where it is broken, the target in Numba serves. ``FASTCONV_CUDA_BACKEND`` asks for one of them.
"""

from __future__ import annotations

import ctypes
import os
import site
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...config import settings
from ...errors import DeviceMissing

INSTALL = "pip install 'fastconv[cuda13]' (driver 580 or later) or 'fastconv[cuda12]'"
NUMBA_CUDA, BUILT_IN, MLIR = "numba-cuda", "numba", "numba-cuda-mlir"
IMPLEMENTATIONS = {NUMBA_CUDA: "NVIDIA", BUILT_IN: "Built-in"}  # how the targets call themselves
HOOK = "NumbaCudaFinder"
LIBRARIES = ("libcudart.so.*", "libnvJitLink.so.*", "libnvrtc.so.*")


@lru_cache(maxsize=1)
def target() -> Any:
    """Numba's module ``cuda`` of the target that the setting asks for; `DeviceMissing` says what is wrong with it."""
    wanted = settings.cuda_backend
    if wanted == MLIR:
        raise DeviceMissing(
            f"FASTCONV_CUDA_BACKEND is {MLIR!r}, which cannot compile fastconv's kernels: it takes neither Numba's "
            f"types and device functions nor llvmlite's intrinsics, which tensor cores need; use 'auto', "
            f"{NUMBA_CUDA!r} or {BUILT_IN!r}"
        )
    problems = []
    for name in (NUMBA_CUDA, BUILT_IN) if wanted == "auto" else (wanted,):
        try:
            return _import(name)
        except Exception as error:  # a half-installed package raises what it likes
            problems.append(f"{name}: {_one_line(error)}")
    raise DeviceMissing(f"no CUDA target for Numba can be used ({'; '.join(problems)}); install one: {INSTALL}")


def _import(name: str) -> Any:
    """One of the two targets; both are called ``numba.cuda``, so a process has one of them."""
    if name == NUMBA_CUDA and find_spec("numba_cuda") is None:
        raise ImportError("not installed")
    if "numba.cuda" not in sys.modules:
        hooked = any(type(finder).__name__ == HOOK for finder in sys.meta_path)
        if name == NUMBA_CUDA:
            load_libraries()
        if name == NUMBA_CUDA and not hooked:
            import_module("_numba_cuda_redirector")
        elif name == BUILT_IN and hooked:
            sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != HOOK]
    try:
        cuda = import_module("numba.cuda")
    except Exception:
        _forget()
        raise
    if not simulator_asked_for() and cuda.implementation != IMPLEMENTATIONS[name]:
        raise ImportError(f"Numba's {cuda.implementation} target was imported before")
    return cuda


def load_libraries() -> None:
    """Load the compiler's libraries where NVIDIA's loader does not look: in a folder that is no site-packages."""
    spec = find_spec("numba_cuda")
    folder = Path(spec.origin).parent.parent if spec and spec.origin else Path()
    if str(folder) in (*site.getsitepackages(), site.getusersitepackages()):
        return
    for pattern in LIBRARIES:
        for path in sorted(folder.glob(f"nvidia/*/lib/{pattern}")):
            with suppress(OSError):  # what is missing then, the target will say
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _forget() -> None:
    """Remove what a failed import left behind."""
    for name in [name for name in sys.modules if name == "numba.cuda" or name.startswith("numba.cuda.")]:
        del sys.modules[name]


def extending() -> Any:
    """The target's module for functions of one's own; imported by its name alone, it might be another target's."""
    target()
    return import_module("numba.cuda.extending")


def name_of(cuda: Any) -> str:
    """What a target is called in the setting, with its package's version."""
    package = next((n for n, own in IMPLEMENTATIONS.items() if own == getattr(cuda, "implementation", "")), BUILT_IN)
    return f"{package} {_version(package) or ''}".strip()


def why_unavailable(cuda: Any) -> str:
    """What was looked for, and what was found of it."""
    package = _version(NUMBA_CUDA)
    driver, devices = _driver(cuda)
    return (
        f"looked for an NVIDIA driver ({driver}), a device ({devices}), a compiler ({_compiler(cuda)}) and the package "
        f"numba-cuda ({package or 'not installed'}; in use: {name_of(cuda)})"
    )


def is_available(cuda: Any) -> bool:
    """True if kernels can be compiled and run; what a broken installation raises means no."""
    try:
        return bool(cuda.is_available()) and (simulator_asked_for() or bool(_lowering()))
    except Exception:
        return False


def simulator_asked_for() -> bool:
    """True where Numba is told to simulate kernels."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def _driver(cuda: Any) -> tuple[str, str]:
    if os.environ.get("NUMBA_DISABLE_CUDA", "0") not in ("", "0"):
        return "NUMBA_DISABLE_CUDA is set", "not asked"
    try:
        count = len(cuda.gpus)
    except Exception as error:  # whatever the driver's loader raises is the reason
        return _one_line(error), "none"
    if not count:
        return "found", "none"
    try:
        cuda.current_context()
    except Exception as error:
        return "found", f"{count}, but {_one_line(error)}"
    return "found", str(count)


def _compiler(cuda: Any) -> str:
    try:
        _lowering()
        found = import_module("numba.cuda.cudadrv.nvvm").is_available()
    except Exception as error:
        return _one_line(error)
    return "NVVM found" if found else "no NVVM, which the toolkit's packages bring"


def _lowering() -> Any:
    """The part of the target that the first kernel imports: it fails where NumPy is too new for numba-cuda."""
    return import_module("numba.cuda.cudaimpl")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
