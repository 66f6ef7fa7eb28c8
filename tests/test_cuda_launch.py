"""Dynamic shared memory: asked for from the driver once, before the first launch, and checked in the simulator."""

import types

import cudasim
import numpy as np
import pytest
from cudasim import SimulationError

from fastconv.cuda import backend, launch
from fastconv.cuda.runtime import opt_in
from fastconv.cuda.runtime.executor import NumbaExecutor

cuda = backend.cuda
SIXTY = 60 << 10


class Kernel:
    """What a dispatcher of Numba's CUDA target shows, with a log of what happens to it."""

    def __init__(self, log):
        self.log, self.overloads = log, {}

    def typeof_pyval(self, value):
        return str(getattr(value, "dtype", type(value).__name__))

    def compile(self, signature):
        if signature not in self.overloads:
            function = types.SimpleNamespace(handle=Handle(signature), device=types.SimpleNamespace(id=3))
            library = types.SimpleNamespace(get_cufunc=lambda: function)
            self.overloads[signature] = types.SimpleNamespace(_codelibrary=library)
        return self.overloads[signature]

    def __getitem__(self, configuration):
        blocks, threads, _, shared = configuration
        return lambda *args: self.log.append(("launch", blocks, threads, shared))


class Handle:
    def __init__(self, signature):
        self.signature = signature


ATTRIBUTE = types.SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="bytes")
BINDINGS = types.SimpleNamespace(CUkernel=Handle, CUfunction_attribute=ATTRIBUTE)


@pytest.fixture
def executor(monkeypatch):
    """An executor for device 3 of numba-cuda, and its log."""
    log = []
    driver = types.SimpleNamespace(
        cuKernelSetAttribute=lambda attribute, value, handle, device: log.append(
            (attribute, value, handle.signature, device)
        )
    )
    module = types.SimpleNamespace(driver=driver, binding=BINDINGS)
    monkeypatch.setattr(opt_in, "import_module", lambda name: {"numba.cuda.cudadrv.driver": module}[name])
    gpu = types.SimpleNamespace(name="a GPU", id=3)
    target = types.SimpleNamespace(implementation="NVIDIA", get_current_device=lambda: gpu)
    return NumbaExecutor(target), log


def test_the_driver_is_asked_once_before_the_first_launch(executor):
    run, log = executor
    kernel, args = Kernel(log), (np.zeros(3, np.float32), np.int32(1))
    for _ in range(3):
        run.run(kernel, 5, 64, args, SIXTY)
    signature = ("float32", "int32")
    assert log == [("bytes", SIXTY, signature, 3)] + [("launch", 5, 64, SIXTY)] * 3


def test_each_version_of_a_kernel_is_allowed_its_memory(executor):
    run, log = executor
    kernel = Kernel(log)
    for dtype in ("float32", "float64", "float32"):
        run.run(kernel, 1, 64, (np.zeros(3, dtype),), SIXTY)
    assert [entry[:3] for entry in log if entry[0] == "bytes"] == [
        ("bytes", SIXTY, ("float32",)), ("bytes", SIXTY, ("float64",)),
    ]  # fmt: skip


def test_each_device_is_asked(executor):
    run, log = executor
    kernel = Kernel(log)
    for number in (3, 4, 3):
        run.cuda.get_current_device().id = number
        run.run(kernel, 1, 64, (np.zeros(3),), SIXTY)
    assert [entry[0] for entry in log] == ["bytes", "launch", "bytes", "launch", "launch"]


def test_more_is_asked_for_again_and_less_is_not(executor):
    run, log = executor
    kernel = Kernel(log)
    for shared in (SIXTY, SIXTY + 16, SIXTY):
        run.run(kernel, 1, 64, (np.zeros(3),), shared)
    assert [entry[1] for entry in log if entry[0] == "bytes"] == [SIXTY, SIXTY + 16]
    assert [entry[3] for entry in log if entry[0] == "launch"] == [SIXTY, SIXTY + 16, SIXTY]


def test_what_every_block_may_have_is_not_asked_for(executor):
    run, log = executor
    for shared in (0, opt_in.SHARED_BYTES):
        run.run(Kernel(log), 1, 64, (np.zeros(3),), shared)
    assert [entry[0] for entry in log] == ["launch", "launch"]


def other_driver(status):
    """Numba's own target: libcuda through ctypes, without a table entry for this function."""
    asked = []
    library = types.SimpleNamespace(cuFuncSetAttribute=lambda *args: asked.append(args) or status)
    return types.SimpleNamespace(driver=types.SimpleNamespace(lib=library)), asked


def test_numbas_own_driver(monkeypatch):
    module, asked = other_driver(0)
    monkeypatch.setattr(opt_in, "import_module", lambda name: module)
    kernel = Kernel([])
    opt_in.allow(kernel, (np.float32(0),), SIXTY)
    ((handle, attribute, value),) = asked
    assert (handle.signature, attribute, value) == (("float32",), 8, SIXTY)


def test_a_refusal_is_an_error(monkeypatch):
    module, _ = other_driver(1)
    monkeypatch.setattr(opt_in, "import_module", lambda name: module)
    with pytest.raises(RuntimeError, match="refuses 61440 bytes"):
        opt_in.allow(Kernel([]), (), SIXTY)


def test_functions_of_contexts_are_set_as_such(monkeypatch):
    """With the bindings a handle may also be a CUfunction."""
    asked = []
    driver = types.SimpleNamespace(cuFuncSetAttribute=lambda *args: asked.append(args))
    binding = types.SimpleNamespace(CUkernel=type(None), CUfunction_attribute=ATTRIBUTE)
    monkeypatch.setattr(opt_in, "import_module", lambda name: types.SimpleNamespace(driver=driver, binding=binding))
    opt_in.allow(Kernel([]), (), SIXTY)
    assert asked[0][1:] == ("bytes", SIXTY)


# --- the simulator


def summing():
    """y[0] = sum of x, through dynamic shared memory of which each thread uses one number."""

    def make(T, S, U):
        def kernel(x, y):
            s = cuda.shared.array(0, T, 16)
            t = U(cuda.threadIdx.x)
            s[t] = x[t]
            cuda.syncthreads()
            if t == U(0):
                total = T(0)
                for i in range(4):
                    total += s[U(i)]
                y[0] = total

        return kernel

    return make


def run_summing(shared):
    with backend.run_on(cudasim.Executor()):
        y = backend.empty((1,), "float32")
        x = backend.to_device(np.arange(4, dtype=np.float32))
        launch.launch(summing(), (), 1, (x, y), dtype="float32", wide=False, threads=4, shared=shared)
        return backend.to_host(y)[0]


@pytest.mark.parametrize("shared", [16, SIXTY, 227 << 10])
def test_dynamic_shared_memory_is_as_large_as_the_launch_says(shared):
    assert run_summing(shared) == 6


@pytest.mark.parametrize(
    "shared, message",
    [(0, "outside"), (12, "outside"), ((227 << 10) + 4, "shared memory")],
    ids=["none", "a number too few", "too much"],
)
def test_wrong_sizes_of_shared_memory_are_found(shared, message):
    with pytest.raises(SimulationError, match=message):
        run_summing(shared)
