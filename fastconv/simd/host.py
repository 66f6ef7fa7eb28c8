"""What the host's vector unit offers: vector width, registers, and the micro-kernel tile that follows from them.

Read from the same two sources as Numba's code generator (``NUMBA_CPU_NAME`` / ``NUMBA_CPU_FEATURES``, else the host
as LLVM sees it), so that tile shapes always match the code that is generated.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import lru_cache

import llvmlite.binding as llvm
from numba.core import config as numba_config

# CPU names people pass in NUMBA_CPU_NAME when they want an older instruction set, and what LLVM then may use.
_NAMED = {
    "haswell": {"avx2", "fma"},
    "skylake": {"avx2", "fma"},
    "znver3": {"avx2", "fma"},
    "x86-64-v3": {"avx2", "fma"},
}


@dataclass(frozen=True)
class Host:
    """The vector unit kernels are compiled for."""

    cpu: str
    isa: str
    vector_bytes: int
    registers: int
    fma: bool
    pairs: bool = False  # one instruction adds two products of bfloat16 to each float32 (AVX512-BF16, NEON's bf16)
    half: bool = False  # instructions turn vectors of float16 into float32, and back

    def lanes(self, itemsize: int) -> int:
        """Elements of `itemsize` bytes in one vector."""
        return self.vector_bytes // itemsize

    def sums(self, itemsize: int) -> int:
        """Sums of products of elements of `itemsize` bytes in one vector: those of 16 bits are summed in float32."""
        return self.vector_bytes // max(4, itemsize)


@lru_cache(maxsize=1)
def host() -> Host:
    """The vector unit that Numba compiles for in this process."""
    cpu = numba_config.CPU_NAME or llvm.get_host_cpu_name()
    if numba_config.CPU_FEATURES is not None:
        named = _NAMED.get(cpu, set())
        listed = {f[1:] for f in numba_config.CPU_FEATURES.split(",") if f.startswith("+")}
        removed = {f[1:] for f in numba_config.CPU_FEATURES.split(",") if f.startswith("-")}
        features = (named | listed) - removed
    elif numba_config.CPU_NAME:
        features = _NAMED.get(cpu, set())
    else:
        features = {name for name, on in llvm.get_host_cpu_features().items() if on}
    if platform.machine().lower() in ("arm64", "aarch64"):
        return Host(cpu, "NEON", 16, 32, fma=True, pairs="bf16" in features, half=True)
    half = "f16c" in features
    if "avx512f" in features:
        return Host(cpu, "AVX-512", 64, 32, fma=True, pairs="avx512bf16" in features, half=half)
    if "avx2" in features or "avx" in features:
        return Host(cpu, "AVX2" if "avx2" in features else "AVX", 32, 16, fma="fma" in features, half=half)
    return Host(cpu, "SSE2", 16, 16, fma=False)


def factors(itemsize: int) -> int:
    """Neighbouring elements of `itemsize` bytes whose products are added at once: pairs, where they have 16 bits."""
    return 2 if itemsize == 2 else 1


def tile_rows() -> int:
    """Rows MR of the micro-kernel's tile: with two vectors a row, MR*2 + 2 + 1 registers must be there."""
    return 14 if host().registers == 32 else 6


TILE_VECTORS = 2
