"""The kernels of device arrays go through the real compiler: types, registers, local memory; see test_cuda_compile."""

import cuda_compiler
import numpy as np
import pytest
from cuda_compiler import Compiler, compiler

from fastconv.cuda import backend, launch
from fastconv.cuda.array import Array
from fastconv.cuda.arrays import arithmetic, elementary

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

__all__ = ["compiler"]  # fixtures

ARCHITECTURES = [(7, 5), (9, 0, "a"), (12, 0, "a")]


@pytest.fixture(params=ARCHITECTURES, ids=lambda target: "sm_" + "".join(map(str, target)))
def architecture(request, monkeypatch):
    compiler = Compiler(request.param)
    compiler.install(monkeypatch)
    with backend.run_on(compiler):
        yield compiler


def array(shape, dtype="float32"):
    return Array(backend.empty(shape, np.dtype(dtype)))


def check(compiler, registers, doubles=False):
    assert compiler.reports
    for report in compiler.reports:
        print({key: report[key] for key in ("kernel", "registers", "stack")})
        assert report["stack"] == 0, f"{report['kernel']} keeps {report['stack']} bytes outside of registers"
        assert report["registers"] <= registers, f"{report['kernel']} takes {report['registers']} registers"
        assert doubles or ".f64" not in report["ptx"], f"{report['kernel']} computes in float64"


def test_every_function(compiler):
    x, flag = array((5, 7)), array((5, 7), "bool")
    for name in elementary.FUNCTIONS:
        if name.startswith("bitwise"):
            getattr(np, name)(flag, flag)
        elif name in ("where", "clip"):
            np.where(flag, x, 0) if name == "where" else np.clip(x, -1, 1)
        elif name == "truth":
            x.astype(bool)
        else:
            ufunc = getattr(np, name)
            ufunc(*(x,) * ufunc.nin)
    assert len(compiler.reports) == len(elementary.FUNCTIONS)
    check(compiler, 40)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
def test_other_dtypes(compiler, dtype):
    x = array((3, 4), dtype)
    for y in (x == x, np.where(x, x, x), x.astype("float32"), x.astype(bool), np.maximum(x, x), x + array((3, 4))):
        assert y.shape == (3, 4)
    check(compiler, 40, doubles=dtype in ("int32", "int64", "float64"))


def test_on_every_architecture(architecture, monkeypatch):
    monkeypatch.setattr(arithmetic, "LARGE", 1)
    x = array((4, 6, 5, 3))
    x + array((3,))
    x + array((6, 1, 1))
    np.where(x > 0, x, array((4, 1, 5, 1)))
    x.mean(axis=0)
    x.argmax(axis=-1)
    x[::2, 1:, ::-1, 1:] = array((5, 5, 1)).reshape(5, 5, 1)[..., :1]
    check(architecture, 64)


def test_numbers(compiler):
    x, flag = array((5, 7)), array((5, 7), "bool")
    for y in (
        flag | True,
        np.where(flag, 1.5, x),
        np.float32(2) * x,
        x.astype("float64") * 2,
        array((3,), "int32") + 1,
    ):
        assert y.size
    flag[1:] = True
    x[:, 2] = 3
    check(compiler, 40, doubles=True)
    assert sum(".f64" in report["ptx"] for report in compiler.reports) == 2  # where float64 was asked for


@pytest.mark.skipif(not cuda_compiler.disassembler(), reason="nvdisasm is not installed")
@pytest.mark.parametrize("shape", [(4, 6), (6,)], ids=["alike", "a row"])
def test_all_loads_come_before_the_first_store(compiler, monkeypatch, tmp_path, shape):
    """So that a thread of a large array has eight of them under way."""
    monkeypatch.setattr(arithmetic, "LARGE", 1)
    x, row = array((4, 6)), array(shape)
    compiler.reports.clear()
    assert (x + row).shape == (4, 6)
    (report,) = compiler.reports
    names = [line.split(".")[0] for line in cuda_compiler.instructions(report["cubin"], tmp_path)]
    loads, stores = ([i for i, name in enumerate(names) if name == word] for word in ("LDG", "STG"))
    assert len(loads) == 2 * arithmetic.MOST_ITEMS
    assert len(stores) == arithmetic.MOST_ITEMS
    assert max(loads) < min(stores)


def test_wide_indices(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    x = array((4, 6, 5))
    for y in (x + array((6, 1)), x.sum(axis=1), x.argmax(axis=-1)):
        assert y.size
    check(compiler, 80)


@pytest.mark.parametrize("name", ["mean", "max", "any", "argmax"])
def test_reductions(compiler, name):
    x = array((64, 3, 500))
    for axis in (None, 0, -1):
        getattr(x, name)(axis=axis)
    check(compiler, 64)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float64"])
def test_reductions_of_other_dtypes(compiler, dtype):
    x = array((64, 50), dtype)
    for name in ("sum", "mean", "max", "argmax", "all"):
        getattr(x, name)(axis=0)
    check(compiler, 64, doubles=dtype != "float16")
