"""Compiles kernels for GPUs that are not there, with numba-cuda and its toolkit packages, and reads the machine code.

`Compiler` takes the place of the GPU behind ``fastconv.cuda.backend``: what it should run it compiles for the types it
is started with. `missing` is None, or the reason why that is impossible here.

Typing and lowering a kernel takes several times as long as making machine code of it, and is the same for all GPUs from
sm_75 on: both steps are kept, the first one for all architectures.
"""

import functools
import gc
import re
import shutil
import subprocess
import sys
import types
import warnings
from collections import Counter
from pathlib import Path

import cudasim
import numba
import numpy as np
import pytest

from fastconv.cuda import backend

missing = None
try:
    from cuda.bindings import nvjitlink
    from numba import cuda
    from numba.cuda import compiler as numba_compiler
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvvm

    if cuda.implementation != "NVIDIA" or not nvvm.is_available() or not nvjitlink.version():
        missing = "numba-cuda's toolkit packages are not installed: pip install 'fastconv[cuda-compile]'"
except Exception as error:  # a missing package, or one that fails to load its library
    missing = f"numba-cuda and its toolkit packages are not installed ({error}): pip install 'fastconv[cuda-compile]'"

ARCHITECTURES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0, "a"), (10, 0, "a"), (12, 0, "a")]
MOST_REGISTERS = 65536  # of a multiprocessor


def name_of(target):
    """sm_75, ..., sm_120a."""
    return "sm_" + "".join(map(str, target))


class Compiler(cudasim.Executor):
    """Keeps for each kernel it is asked to run what the assembler says. Its arrays have a shape but no elements."""

    def __init__(self, target=(9, 0)):
        super().__init__()
        self.target, self.reports = target, []

    # All compilers are one to the cache of kernels: a kernel is typed once for all architectures.
    def __eq__(self, other):
        return isinstance(other, Compiler)

    def __hash__(self):
        return hash(Compiler)

    def capability(self):
        return self.target[:2]

    def compile(self, function, bounds):
        return function, bounds

    def run(self, kernel, blocks, threads, args, shared=0):
        function, bounds = kernel
        ptx = compiled(function, tuple(map(type_of, args)), bounds, self.target)
        report = {"kernel": function.__name__, "threads": threads, "bounds": bounds, "shared": shared, "ptx": ptx}
        self.reports.append({**report, **assembled(ptx, self.target)})

    def to_device(self, array):
        return self.empty(array.shape, array.dtype)

    def empty(self, shape, dtype):
        return cudasim.DeviceArray((), shape, dtype)

    def bits(self, array):
        return self.empty(array.shape, np.uint16)

    def to_host(self, array):
        return np.zeros(array.shape, array.dtype)

    def install(self, monkeypatch):
        """A device function called from a kernel asks the driver what to compile for: answer it."""
        device = types.SimpleNamespace(compute_capability=self.target[:2], id=0)
        monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
        self.reports.clear()


COMPILER = Compiler()  # one for all tests: a kernel that several of them need is compiled once


@pytest.fixture
def compiler(monkeypatch):
    """Kernels are compiled for sm_90 in place of being run."""
    COMPILER.install(monkeypatch)
    with backend.run_on(COMPILER):
        yield COMPILER


@pytest.fixture(params=ARCHITECTURES, ids=name_of)
def architecture(request, monkeypatch):
    """A compiler for one of the architectures."""
    compiler = Compiler(request.param)
    compiler.install(monkeypatch)
    with backend.run_on(compiler):
        yield compiler


def check(compiler, dtype="float32"):
    """What must hold of every kernel: nothing outside of registers, room for its blocks, no float64 by accident."""
    assert compiler.reports
    for report in compiler.reports:
        faults = list(faults_of(report, dtype))
        assert not faults, f"{report['kernel']} for {name_of(compiler.target)} {', '.join(faults)}"


def faults_of(report, dtype):
    """What is wrong with a kernel, in words."""
    threads, resident = report["bounds"]
    if report["stack"]:
        yield f"keeps {report['stack']} bytes of each thread outside of registers"
    if report["registers"] * threads * resident > MOST_REGISTERS:
        yield f"needs {report['registers']} registers x {threads} threads x {resident} blocks"
    if dtype != "float64" and ".f64" in report["ptx"]:
        yield "computes in float64"


def find(compiler, kernel):
    """The report of a kernel that was started."""
    return next(report for report in compiler.reports if report["kernel"] == kernel)


def type_of(argument):
    """Numba's type of a kernel's argument."""
    if isinstance(argument, cudasim.DeviceArray):
        return numba.from_dtype(argument.dtype)[::1]
    if type(argument) is tuple:
        return numba.types.Tuple([type_of(a) for a in argument])
    return numba.typeof(argument)


def compiled(function, signature, bounds, target):
    """PTX of a kernel."""
    (ptx,) = lowered(function, signature, bounds).get_asm_strs(cc=target)
    return ptx


@functools.cache
def lowered(function, signature, bounds):
    """A kernel as LLVM's code, which keeps the PTX it is compiled to: what ``cuda.compile`` does first."""
    gc.disable()  # makes many objects and no garbage
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return numba_compiler._compile_pyfunc_with_fixup(
                function, signature, device=False, cc=ARCHITECTURES[0], abi="numba", launch_bounds=bounds
            )[0]
    finally:
        gc.enable()


@functools.cache
def assembled(ptx, target):
    """Registers and bytes of local memory of each thread, and the binary."""
    options = [f"-arch={name_of(target)}", "-Xptxas=-v", "-verbose"]
    linker = nvjitlink.create(len(options), options)
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, ptx.encode(), len(ptx.encode()), "kernel")
        nvjitlink.complete(linker)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(linker))
        nvjitlink.get_error_log(linker, log)
        raise AssertionError(f"the assembler for {name_of(target)} says: {log.decode()}") from error
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    text = log.decode()
    cubin = bytearray(nvjitlink.get_linked_cubin_size(linker))
    nvjitlink.get_linked_cubin(linker, cubin)
    nvjitlink.destroy(linker)
    return {
        "registers": int(re.search(r"Used (\d+) registers", text)[1]),
        "stack": int(re.search(r"(\d+) bytes stack frame", text)[1]),
        "cubin": bytes(cubin),
    }


def disassembler():
    """The path of nvdisasm, None where it is not installed."""
    places = [Path(folder) / "nvidia" for folder in sys.path if (Path(folder) / "nvidia").is_dir()]
    found = (path for place in places for path in place.glob("*/bin/nvdisasm"))
    return next(map(str, found), None) or shutil.which("nvdisasm")


def instructions(cubin, folder):
    """The lines of machine code that hold an instruction or a label, the first without what surrounds it."""
    path = Path(folder) / "kernel.cubin"
    path.write_bytes(cubin)
    text = subprocess.run([disassembler(), "-c", str(path)], check=True, capture_output=True, text=True).stdout
    lines = []
    for line in text.splitlines():
        code = re.search(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\S+ )?([A-Z].*?)\s*;", line)
        label = re.match(r"(\.L\w+):", line)
        if code or label:
            lines.append(code[1] if code else label[1])
    return lines


def main_loop(lines, arithmetic):
    """Counts of the instructions in the smallest loop with the most of `arithmetic`: name and width of each."""
    labels = {line: i for i, line in enumerate(lines) if line.startswith(".L")}
    loops = []
    for i, line in enumerate(lines):
        target = re.match(r"BRA\S*\s.*?\(?(\.L\w+)", line)
        if target and labels.get(target[1], len(lines)) < i:
            body = [code for code in lines[labels[target[1]] : i + 1] if not code.startswith(".L")]
            loops.append((sum(code.startswith(arithmetic) for code in body), -len(body), body))
    assert loops, "there is no loop"
    # "LDS RZ" loads nothing: the assembler puts it before asynchronous copies, to order them.
    names = (code.split()[0].split(".") for code in max(loops)[2] if not code.startswith("LDS RZ"))
    return Counter(name[0] + (".128" if "128" in name else "") for name in names)


needs_disassembler = pytest.mark.skipif(
    not disassembler(), reason="nvdisasm is not installed: pip install nvidia-cuda-nvdisasm"
)
