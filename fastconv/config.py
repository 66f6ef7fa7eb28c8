"""Every tunable of fastconv and the environment variable that sets it, read once at import.

A malformed value is an `InvalidArgument` of the first call that needs a setting, and of every later one.

========================  =========================  =====================================================
variable                  default                    meaning
========================  =========================  =====================================================
FASTCONV_NUM_THREADS      all usable cores           threads of a parallel kernel
FASTCONV_CACHE_DIR        the user's cache folder    where compiled kernels and data sets are kept
FASTCONV_DATA             not set                    folder searched for data sets before the cache
FASTCONV_SCRATCH_BYTES    32 MiB                     most that im2col and fft may unfold at once, per call
FASTCONV_SERIAL_FLOPS     200,000                    problems below this many operations run on one thread
FASTCONV_TILE_BYTES       384 KiB                    input strip a thread keeps in its cache
FASTCONV_CUDA_BACKEND     auto                       compiler of CUDA kernels: auto, numba-cuda, numba
FASTCONV_CUDA_POOL_BYTES  a quarter of the GPU's     device memory kept for new arrays while none uses it
FASTCONV_RESIDENT_BYTES   2 GiB                      data sets up to this size stay on the GPU in training
========================  =========================  =====================================================
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .errors import InvalidArgument, shown


@dataclass(frozen=True)
class Config:
    """The tunables; `load` fills them from the environment."""

    num_threads: int | None = None
    cuda_pool_bytes: int | None = None
    scratch_bytes: int = 32 << 20
    serial_flops: int = 200_000
    tile_bytes: int = 384 << 10
    resident_bytes: int = 2 << 30
    cache_dir: Path | None = None
    data: Path | None = None
    cuda_backend: str = "auto"


#: What a setting that is a word may be. numba-cuda-mlir is known, and refused where it is needed, with the reason.
WORDS = {"cuda_backend": ("auto", "numba-cuda", "numba", "numba-cuda-mlir")}


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration from `environ`; a malformed value is an `InvalidArgument` that names the variable."""
    settings = Config()
    for field in fields(Config):
        variable = f"FASTCONV_{field.name.upper()}"
        text = environ.get(variable)
        if not text:
            continue
        value: Any
        if "Path" in str(field.type):
            value = _path(variable, text)
        elif field.name in WORDS:
            if text not in WORDS[field.name]:
                raise InvalidArgument(
                    f"{variable} is {shown(text)}; expected one of {', '.join(WORDS[field.name])}; correct or unset it"
                )
            value = text
        else:
            try:
                value = int(text)
            except ValueError:
                value = 0
            if not 1 <= value <= sys.maxsize:
                raise InvalidArgument(
                    f"{variable} is {shown(text)}; expected a whole number of at least 1; correct or unset it"
                )
        settings = replace(settings, **{field.name: value})
    return settings


def _path(variable: str, text: str) -> Path:
    """A folder's absolute path: a process may change its working folder later."""
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; the working folder is gone
        raise InvalidArgument(
            f"{variable} is {text[:200]!r}, which names no folder here ({error}); correct or unset it"
        ) from error


class _Refused:
    """Stands for settings that cannot be read: whoever asks for one hears why.

    The import itself does not fail, so that the command line can say in one line which variable is wrong.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name in Config.__dataclass_fields__:
            raise InvalidArgument(self._reason)
        raise AttributeError(name)


def _at_import() -> Any:
    try:
        return load()
    except InvalidArgument as error:
        return _Refused(str(error))


settings: Config = _at_import()


def data_dir() -> Path | None:
    """The folder of FASTCONV_DATA, read at each call so that a process may set it after the import; None if not set."""
    return load({"FASTCONV_DATA": os.environ.get("FASTCONV_DATA", "")}).data


def cache_dir() -> Path:
    """The folder that holds compiled kernels and downloaded data sets (not created here).

    Where the user has no home folder it is one that cannot be created, so that nothing is kept: better than a folder
    named "~" wherever the process works. FASTCONV_CACHE_DIR then helps.
    """
    if settings.cache_dir is not None:
        return settings.cache_dir
    from platformdirs import user_cache_path

    folder = user_cache_path("fastconv", appauthor=False)
    return folder if folder.is_absolute() else Path(os.devnull, "fastconv")
