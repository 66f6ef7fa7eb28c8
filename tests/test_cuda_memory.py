"""The pool of device memory: what keeps a block busy, which list it returns to, what happens when memory runs out."""

import gc
import math
import sys
import threading
import types
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
from planting import mutated

from fastconv.cuda import backend
from fastconv.cuda.array import Array
from fastconv.cuda.runtime import memory, streams
from fastconv.cuda.runtime.executor import NumbaExecutor


class Memory:
    """What the driver gives: freed with its last reference."""

    addresses = iter(range(1 << 40, 1 << 50, 1 << 30))

    def __init__(self, size):
        self.size, self.address = size, next(self.addresses)

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.address, False)}


class Device:
    """Counts what it gives and takes back, and may run out."""

    def __init__(self, most=math.inf):
        self.most, self.used, self.given = most, 0, 0

    def allocate(self, size):
        if self.used + size > self.most:
            error = RuntimeError("out of memory")
            error.code = memory.OUT_OF_MEMORY
            raise error
        self.used, self.given = self.used + size, self.given + 1
        block = Memory(size)
        weakref.finalize(block, self.free, size)
        return block

    def free(self, size):
        self.used -= size


def pool_of(budget=1 << 20, most=math.inf):
    device = Device(most)
    return memory.Pool(device.allocate, lambda: budget), device


def test_a_block_is_used_again():
    pool, device = pool_of()
    lease = pool.take(1000, 0, 0)
    address = lease.block.raw.address
    assert pool.idle_bytes == 0
    del lease
    assert pool.idle_bytes == 1024
    again = pool.take(900, 0, 0)
    assert again.block.raw.address == address
    assert pool.take(900, 0, 0).block.raw.address != address
    assert device.given == 2


def test_streams_and_devices_never_mix():
    pool, device = pool_of()
    for key in ((0, 0), (0, 7), (1, 0), (1, 7)):
        assert pool.take(512, *key).block.raw is not None
    assert device.given == 4
    for key in ((0, 0), (0, 7), (1, 0), (1, 7)):
        lease = pool.take(512, *key)
        assert (lease.block.device, lease.block.stream) == key
        assert lease.origin == (key if any(key) else (None, 0))
        del lease
    assert device.given == 4


def test_a_block_follows_its_array_to_another_stream():
    """It returns to the list of the stream that used it last, which waited for the one before."""
    pool, device = pool_of()
    lease = pool.take(512, 0, 0)
    lease.move(None, 7)
    assert lease.origin == (None, 7)
    del lease
    pool.take(512, 0, 0)
    assert device.given == 2
    pool.take(512, 0, 7)
    assert device.given == 2


def test_the_budget_frees_the_longest_idle():
    pool, device = pool_of(budget=2048)
    leases = [pool.take(1024, 0, stream) for stream in (1, 2, 3)]
    for _ in range(3):
        leases.pop(0)
        assert pool.idle_bytes <= 2048
    assert device.used == pool.idle_bytes == 2048
    pool.take(1024, 0, 3)
    pool.take(1024, 0, 2)
    assert device.given == 3
    pool.take(1024, 0, 1)
    assert device.given == 4


def test_what_lies_idle_is_freed_when_memory_runs_out():
    pool, device = pool_of(budget=1 << 30, most=4096)
    held = pool.take(1024, 0, 0)
    pool.take(3000, 0, 0)
    assert device.used == 4096
    other = pool.take(2048, 0, 0)
    assert device.used == 3072
    with pytest.raises(RuntimeError, match="out of memory"):
        pool.take(2048, 0, 0)
    assert held.block.size + other.block.size == device.used


def test_other_errors_pass():
    def broken(size):
        raise ValueError("no device")

    with pytest.raises(ValueError, match="no device"):
        memory.Pool(broken, lambda: 0).take(1, 0, 0)


def test_trim():
    pool, device = pool_of()
    held = pool.take(5000, 0, 0)
    pool.take(3000, 0, 0)
    assert pool.trim() == 3072
    assert device.used == held.block.size
    assert pool.trim() == 0


def test_sizes_are_rounded_by_an_eighth_at_most():
    for n in (1, 511, 512, 513, 4096, 4097, 100_000, 1 << 20, (1 << 20) + 1, 3 * 10**9):
        size = memory.rounded(n)
        assert size >= n
        assert size % memory.LEAST == 0
        assert size <= max(n * 1.125, n + memory.LEAST)
    assert len({memory.rounded(n) for n in range(1 << 20, 1 << 21, 997)}) <= 9


def test_threads_share_the_pool():
    pool, device = pool_of()
    busy, clashes = set(), []

    def work():
        for _ in range(200):
            lease = pool.take(512, 0, 0)
            address = lease.block.raw.address
            if address in busy:
                clashes.append(address)
            busy.add(address)
            busy.discard(address)
            del lease

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not clashes
    assert device.given <= 4


BUGS = {
    "streams mix": ("return self.device, self.stream, self.size", "return self.device, 0, self.size"),
    "a moved block returns to its old stream": ("        self.block.stream = stream\n", ""),
    "no budget": ("while self._idle_bytes > budget:", "while self._idle_bytes < 0:"),
    "the newest is freed": ("next(iter(self._idle))", "next(reversed(self._idle))"),
    "no second try": ("if not self.trim():", "if self.trim():"),
    "too small": ("step = max(LEAST,", "step = max(LEAST // 8,"),
}
CHECKS = (
    test_streams_and_devices_never_mix, test_a_block_follows_its_array_to_another_stream,
    test_the_budget_frees_the_longest_idle, test_what_lies_idle_is_freed_when_memory_runs_out,
    test_sizes_are_rounded_by_an_eighth_at_most,
)  # fmt: skip


def noticed(module, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "memory", module)
    for check in CHECKS:
        try:
            check()
        except (AssertionError, RuntimeError):
            return True
    return False


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(bug, tmp_path, monkeypatch):
    assert noticed(mutated(memory, *BUGS[bug], tmp_path), monkeypatch)


def test_no_mutant_is_noticed_without_a_bug(tmp_path, monkeypatch):
    assert not noticed(mutated(memory, "import threading\n", "import threading  # the same\n", tmp_path), monkeypatch)


# --- with Numba's own arrays, on addresses that nobody reads


class Stream:
    def __init__(self, pointer):
        self.pointer = pointer


def numba_executor(monkeypatch, log):
    """`NumbaExecutor` on Numba's real array classes; only the driver is not there."""
    from numba.cuda.cudadrv import devicearray, devices, driver

    monkeypatch.setattr(devices._runtime, "ensure_context", nullcontext)

    def from_interface(interface, owner=None, sync=True):
        pointer = driver.binding.CUdeviceptr(interface["data"][0])
        shape, dtype = interface["shape"], np.dtype(interface["typestr"])
        strides = np.empty(shape, dtype).strides if math.prod(shape) < 10**6 else (dtype.itemsize,)
        data = driver.MemoryPointer(None, pointer, size=math.prod(shape) * dtype.itemsize, owner=owner)
        return devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=data)

    def event(timing):
        sources = []
        return types.SimpleNamespace(
            record=lambda stream: sources.append(getattr(stream, "pointer", 0)),
            wait=lambda stream: log.append((getattr(stream, "pointer", 0), sources[0])),
        )

    device = Device()

    def device_array(shape, dtype):
        return device.allocate(shape[0]) if math.prod(shape) else types.SimpleNamespace(shape=shape, gpu_data=None)

    stub = types.SimpleNamespace(
        implementation="NVIDIA",
        get_current_device=lambda: types.SimpleNamespace(name=b"stub", id=0),
        device_array=device_array,
        from_cuda_array_interface=from_interface,
        external_stream=Stream,
        event=event,
        current_context=lambda: types.SimpleNamespace(get_memory_info=lambda: types.SimpleNamespace(total=1 << 30)),
    )
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    run = NumbaExecutor(stub)
    monkeypatch.setattr(run, "on", lambda device: nullcontext())
    return run


@pytest.fixture
def waits():
    return []


@pytest.fixture
def executor(monkeypatch, waits):
    pytest.importorskip("cuda.bindings", reason="Numba's CUDA target has no driver bindings here")
    with backend.run_on(numba_executor(monkeypatch, waits)) as run:
        yield run


def address(array):
    return array.__cuda_array_interface__["data"][0]


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.reshape(3, 8),
        lambda a: a.reshape((24,))[6:12],
        lambda a: a[2:],
        lambda a: a.view(np.uint8),
        lambda a: backend.part(a, 6, 12),
        lambda a: a.reshape(24)[4:20][2:8].reshape(2, 3),
        lambda a: Array(a)[1:3].handle,
    ],
)
def test_every_view_keeps_its_block(executor, view):
    array = backend.empty((4, 6), np.float32)
    part, where = view(array), address(array)
    del array
    gc.collect()
    assert executor.pool.idle_bytes == 0
    assert address(backend.empty((4, 6), np.float32)) != where
    assert where <= address(part) < where + 96
    del part
    assert executor.pool.idle_bytes == 2 * memory.LEAST


def test_shapes_without_axes_and_without_elements(executor):
    scalar = backend.empty((), np.float64)
    assert scalar.shape == scalar.reshape((1,)).reshape(()).shape == ()
    assert Array(scalar).reshape(1, 1).shape == (1, 1)
    assert Array(scalar).reshape(1)[0].shape == ()


def test_arrays_remember_through_their_parts(executor, waits):
    x, y = backend.empty((4, 6), np.float32), backend.empty((6,), np.float32)
    with streams.working_on(7):
        z = backend.empty((6,), np.float32)
    assert streams.stream_of(z) == 7
    assert streams.stream_of(x) == 0
    with backend.scope(x[1:2], z):
        assert streams.current_stream() == 7
    assert waits == [(7, 0)]
    assert streams.stream_of(x) == streams.stream_of(x.reshape(24)[3:5]) == 7
    with backend.scope(y):
        assert streams.current_stream() == 0
    with backend.scope(x, z):
        pass
    assert waits == [(7, 0)]
    where = address(x)
    del x
    assert address(backend.empty((4, 6), np.float32)) != where
    with streams.working_on(7):
        assert address(backend.empty((4, 6), np.float32)) == where


def test_an_array_tells_others_its_stream(executor):
    assert Array(backend.empty((2,), np.float32)).__cuda_array_interface__["stream"] == 1
    with streams.working_on(7):
        assert Array(backend.empty((2,), np.float32)).__cuda_array_interface__["stream"] == 7


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3), (0, 2)])
@pytest.mark.parametrize("stream", [0, 7])
def test_copies_go_through_the_pool(executor, monkeypatch, shape, stream):
    """Numba's own checks pass; the copy is made, and waited for, on the stream that the array then remembers."""
    from numba.cuda.cudadrv import driver

    copies, waited = [], []
    monkeypatch.setattr(driver, "host_to_device", lambda to, x, size, stream=0: copies.append((x.copy(), size, stream)))
    monkeypatch.setattr(Stream, "synchronize", lambda self: waited.append(self.pointer), raising=False)
    monkeypatch.setattr(executor.cuda, "default_stream", lambda: Stream(0), raising=False)
    x = np.ones(shape, np.float32)
    with streams.working_on(stream):
        y = backend.to_device(x)
    assert y.shape == shape
    assert streams.stream_of(y) == (stream if x.size else 0)
    if x.size:
        ((copied, size, on),) = copies
        np.testing.assert_array_equal(copied, x)
        assert size == x.nbytes
        assert getattr(on, "pointer", 0) == stream
        assert waited == [stream]


def test_no_pool_where_each_thread_has_its_own_default_stream(monkeypatch, waits):
    pytest.importorskip("cuda.bindings", reason="Numba's CUDA target has no driver bindings here")
    monkeypatch.setenv("NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    run = numba_executor(monkeypatch, waits)
    assert isinstance(run.empty((4,), np.dtype(np.float32)), Memory)  # what the driver gave
    assert run.pool.idle_bytes == 0


def test_trimming_the_backend(executor):
    backend.empty((100,), np.float32)
    assert backend.trim() == 512
    assert executor.pool.idle_bytes == 0
    assert executor.pool._budget() == 1 << 28
