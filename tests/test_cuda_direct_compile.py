"""Kernels that are not GEMMs go through the real compiler: no local memory, no float64 where float32 is computed."""

import cuda_compiler
import pytest
from cuda_compiler import Compiler

from fastconv.cuda import backend, launch, layout

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

ARCHITECTURES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0, "a"), (10, 0, "a"), (12, 0, "a")]
COMPILER = Compiler()


@pytest.fixture
def compiler(monkeypatch):
    COMPILER.install(monkeypatch)
    with backend.run_on(COMPILER):
        yield COMPILER


@pytest.fixture(params=ARCHITECTURES, ids=lambda target: "sm_" + "".join(map(str, target)))
def architecture(request, monkeypatch):
    compiler = Compiler(request.param)
    compiler.install(monkeypatch)
    with backend.run_on(compiler):
        yield compiler


def check(compiler, *kernels, single=True, registers=255):
    """All that was compiled, and these kernels among it, keep everything in registers."""
    assert set(kernels) <= {report["kernel"] for report in compiler.reports}
    for report in compiler.reports:
        print({key: report[key] for key in ("kernel", "registers", "stack")})
        assert report["stack"] == 0, f"{report['kernel']} keeps {report['stack']} bytes outside of registers"
        assert report["registers"] <= registers, report["kernel"]
        assert not single or ".f64" not in report["ptx"], f"{report['kernel']} computes in float64"


# --- layouts


def permute(shape, axes, dtype="float32"):
    layout.permute(backend.empty(shape, dtype), axes)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool", "complex64"])
def test_layouts_compile(compiler, dtype):
    permute((2, 16, 5, 7), (0, 2, 3, 1), dtype)
    permute((2, 3, 4, 5, 6, 7), (5, 3, 0, 4, 2, 1), dtype)
    check(compiler, "transpose", "move", single=False, registers=64)


def test_wide_layouts_compile(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    permute((2, 16, 5, 7), (0, 2, 3, 1))
    permute((2, 3, 5, 7), (0, 2, 3, 1))
    check(compiler, "transpose", "move", registers=64)


def test_layouts_on_every_architecture(architecture):
    permute((2, 16, 5, 7), (0, 2, 3, 1))
    permute((2, 3, 5, 7), (0, 2, 3, 1))
    check(architecture, "transpose", "move", registers=64)
