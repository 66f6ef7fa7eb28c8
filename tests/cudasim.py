"""A CUDA simulator for tests: runs the kernels' plain Python functions, and fails where a GPU would quietly go wrong.

`Executor` takes the place of the GPU behind ``fastconv.cuda.backend``::

    with backend.run_on(cudasim.Executor()):
        fc.conv2d(x, w, device="cuda")

Every thread of a block is a greenlet that runs until its next barrier; blocks run one after the other. Scalars are
NumPy's, so 32-bit arithmetic wraps and float32 rounds as on a device. A `SimulationError` is raised for

* an index outside an array, below zero, or not an integer;
* a read of a value that nothing has written: global, shared or local memory, and results that are copied to the host;
* a race in shared memory: two threads use an element, one of them writes, and no barrier lies between;
* a race in global memory: two threads write an element, or one reads what another has written in the same launch;
* a barrier that not all threads of the block reach, or that they reach at different places; an instruction of a warp
  that not all its lanes reach;
* shared memory that is used while an asynchronous copy to it is on its way, or a copy of misaligned elements;
* more static shared memory or threads than a block may have.

What it cannot see: types that Numba's compiler would infer otherwise (test_cuda compiles the kernels where the
toolchain is installed), hardware limits on registers, speed.
"""

import contextvars
import itertools
import math
import operator
import sys
import types
from contextlib import nullcontext

import cudasim_ptx
import greenlet
import numba
import numpy as np
from scipy import special

MOST_THREADS = 1024
WARP = 32
CAPABILITY = 9, 0  # of the GPU that is simulated
MOST_SHARED_BYTES = 48 << 10  # static ones
MOST_SHARED_IN_ALL = 227 << 10  # of a block on that GPU


ADDRESSES = itertools.count(1 << 40, 1 << 40)  # of device arrays: far from each other
ON_ITS_WAY = object()  # in place of a value that an asynchronous copy will bring


class SimulationError(AssertionError):
    """A kernel did what it must not."""


# --- memory


class Memory:
    """Elements in C order, None where nothing was written; an index is checked against the shape."""

    def __init__(self, name, values, shape, scalar):
        self.name, self.values, self.shape, self.scalar = name, values, shape, scalar
        self.length = shape[0] if len(shape) == 1 else -1
        self.size = math.prod(shape)

    def place(self, index):
        """The number of an element."""
        try:
            if type(index) is not tuple:
                place = operator.index(index)
                if 0 <= place < self.length:
                    return place
                index = (place,)
            place = 0
            for i, n in zip(map(operator.index, index), self.shape, strict=True):
                if not 0 <= i < n:
                    raise SimulationError(f"{self.name}: index {index} is outside {self.shape}")
                place = place * n + i
            return place
        except (TypeError, ValueError) as error:  # not a whole number, not as many as there are axes
            raise SimulationError(f"{self.name} of shape {self.shape} has no element {index!r}: {error}") from None

    def read(self, place):
        """An element, which must have been written."""
        value = self.values[place]
        if value is ON_ITS_WAY:
            raise SimulationError(f"{self.name}: element {place} is read while a copy to it is on its way")
        if value is None:
            raise SimulationError(f"{self.name}: element {place} is read but nothing was written there")
        return value

    def __getitem__(self, index):
        return self.read(self.place(index))

    def __setitem__(self, index, value):
        self.values[self.place(index)] = self.scalar(value)


class SharedMemory(Memory):
    """Knows of each element which thread used it last, and between which barriers."""

    def __init__(self, block, name, shape, scalar):
        size = math.prod(shape)
        super().__init__(name, [None] * size, shape, scalar)
        self.block = block
        self.written, self.used = [(None, -1)] * size, [(None, -1)] * size

    def __getitem__(self, index):
        place, now = self.place(index), (self.block.thread, self.block.epoch)
        writer, epoch = self.written[place]
        if epoch == now[1] and writer != now[0]:
            self.race(place, writer, "writes", "reads")
        user, epoch = self.used[place]
        self.used[place] = now if epoch != now[1] or user == now[0] else (-1, now[1])  # -1: several threads
        return self.read(place)

    def __setitem__(self, index, value):
        self.write(self.place(index), self.scalar(value))

    def write(self, place, value):
        """Write an element, which no other thread may have used since the last barrier."""
        now = self.block.thread, self.block.epoch
        for (other, epoch), does in ((self.written[place], "writes"), (self.used[place], "reads")):
            if epoch == now[1] and other != now[0]:
                self.race(place, other, does, "writes")
        self.written[place] = now
        self.values[place] = value

    def race(self, place, other, does, do):
        who = "several threads read" if other == -1 else f"thread {other} {does}"
        raise SimulationError(
            f"race: {who} {self.name}[{place}] and thread {self.block.thread} {do} it, no barrier between"
        )


class GlobalMemory(Memory):
    """A device array in one launch: an element belongs to the thread that writes it."""

    def __init__(self, block, name, array):
        super().__init__(name, array.values, array.shape, array.dtype.type)
        self.block, self.owners = block, {}

    def __getitem__(self, index):
        place = self.place(index)
        owner = self.owners.get(place)
        if owner is not None and owner != self.block.number():
            raise SimulationError(f"race: {self.name}[{place}] is read by another thread than wrote it in this launch")
        return self.read(place)

    def __setitem__(self, index, value):
        place = self.place(index)
        if self.owners.setdefault(place, self.block.number()) != self.block.number():
            raise SimulationError(f"race: two threads write {self.name}[{place}]")
        self.values[place] = self.scalar(value)


class DeviceArray:
    """A C-contiguous array that only kernels can read."""

    def __init__(self, values, shape, dtype, address=None):
        self.values, self.shape, self.dtype = values, tuple(map(int, shape)), np.dtype(dtype)
        self.size, self.ndim = math.prod(self.shape), len(self.shape)
        self.address = next(ADDRESSES) if address is None else address

    def reshape(self, *shape):
        """A view with another shape."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        assert math.prod(shape) == self.size, f"{self.shape} cannot become {shape}"
        return DeviceArray(self.values, shape, self.dtype, self.address)

    def __getitem__(self, index):
        """A view of a slice along the first axis."""
        first, last, step = index.indices(self.shape[0])
        assert step == 1
        row = math.prod(self.shape[1:])
        values = _Part(self.values, first * row, max(0, last - first) * row)
        address = self.address + first * row * self.dtype.itemsize
        return DeviceArray(values, (max(0, last - first), *self.shape[1:]), self.dtype, address)

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "version": 3}


class _Part:
    """Some of an array's values, shared with it."""

    def __init__(self, values, start, size):
        self.values, self.start, self.size = values, start, size

    def __len__(self):
        return self.size

    def __iter__(self):
        return (self[i] for i in range(self.size))

    def __getitem__(self, i):
        return self.values[self.start + i]

    def __setitem__(self, i, value):
        self.values[self.start + i] = value


class _Bits:
    """The values of a float16 array as uint16."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i):
        value = self.values[i]
        return value if value is None else np.float16(value).view(np.uint16)

    def __setitem__(self, i, value):
        self.values[i] = np.uint16(value).view(np.float16)


class _Words:
    """The values of a uint16 array as uint32."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values) // 2

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i):
        low, high = self.values[2 * i], self.values[2 * i + 1]
        return None if low is None or high is None else np.uint32(int(low) | int(high) << 16)


# --- threads


class Axis:
    """threadIdx, blockIdx and the like: kernels use the x axis alone."""

    def __init__(self, read):
        self._read = read

    x = property(lambda self: self._read())


class Block:
    """The threads of one block, and what kernels see as ``cuda``."""

    def __init__(self):
        self.threadIdx, self.blockIdx = Axis(lambda: np.int32(self.thread)), Axis(lambda: np.int32(self.index))
        self.blockDim, self.gridDim = Axis(lambda: np.int32(self.threads)), Axis(lambda: np.int32(self.blocks))
        self.shared = types.SimpleNamespace(array=self.shared_array)
        self.ptx = cudasim_ptx.Instructions(self)
        self.local = types.SimpleNamespace(array=self.local_array)

    def number(self):
        """The running thread's number in the grid."""
        return self.index * self.threads + self.thread

    def shared_array(self, shape, dtype, alignment=None):
        """One array for each place in the kernel, the same for all threads."""
        frame = sys._getframe(1)
        site = frame.f_lasti
        if site not in self.arrays:
            shape = shape if isinstance(shape, tuple) else (shape,)
            if shape == (0,):
                shape = (self.dynamic // np.dtype(dtype).itemsize,)
            self.arrays[site] = SharedMemory(self, f"shared array of line {frame.f_lineno}", shape, dtype)
            used = sum(len(a.values) * np.dtype(a.scalar).itemsize for a in self.arrays.values())
            if used - self.dynamic > MOST_SHARED_BYTES or used > MOST_SHARED_IN_ALL:
                raise SimulationError(
                    f"a block has {used} bytes of shared memory, {self.dynamic} of them dynamic; it may have "
                    f"{MOST_SHARED_BYTES} that are static and {MOST_SHARED_IN_ALL} in all"
                )
        return self.arrays[site]

    def local_array(self, shape, dtype, alignment=None):
        """An array of one thread."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        return Memory(f"local array of line {sys._getframe(1).f_lineno}", [None] * math.prod(shape), shape, dtype)

    def syncthreads(self):
        """Wait for the other threads."""
        self.waiting[self.thread] = sys._getframe(1).f_lasti
        self.hub.switch()

    def together(self, site, offer, exchange):
        """What ``exchange`` makes of the offers of a warp's lanes, which must all come to `site`."""
        self.lanes[self.thread] = site, offer, exchange
        self.hub.switch()
        return self.results[self.thread % WARP]

    def exchange(self, running):
        """Let warps go on whose lanes have all come to one instruction of a warp."""
        while self.lanes:
            warp = min(self.lanes) // WARP * WARP
            offers = [self.lanes.pop(t, None) for t in range(warp, warp + WARP)]
            if len({offer and offer[0] for offer in offers}) > 1:
                came = sum(offer is not None for offer in offers)
                raise SimulationError(f"divergent warp: {came} of {WARP} lanes come to an instruction of the warp")
            results = offers[0][2]([offer[1] for offer in offers])
            for self.thread in range(warp, warp + WARP):
                self.results = results
                running[self.thread].switch()

    def run(self, function, index, threads, args):
        """Run all threads to their end."""
        self.index, self.arrays, self.epoch, self.waiting, self.lanes = index, {}, 0, {}, {}
        self.ptx.reset()
        if not has_barriers(function):
            for self.thread in range(threads):
                function(*args)
            return
        self.hub = greenlet.getcurrent()
        running = {t: greenlet.greenlet(function) for t in range(threads)}
        for self.thread, one in running.items():
            one.gr_context = contextvars.copy_context()  # NumPy keeps there what overflow does
            one.switch(*args)
        self.exchange(running)
        while self.waiting:
            if len(self.waiting) < threads or len(set(self.waiting.values())) > 1:
                raise SimulationError(
                    f"divergent barrier: {len(self.waiting)} of {threads} threads wait, at "
                    f"{len(set(self.waiting.values()))} places"
                )
            self.epoch, self.waiting = self.epoch + 1, {}
            for self.thread, one in running.items():
                one.switch()
            self.exchange(running)


class DeviceMath:
    """``math`` as kernels see it: results keep the precision of their arguments, and nothing raises."""

    exp, log, sqrt, tanh, fabs, copysign, pow, floor = (
        staticmethod(f) for f in (np.exp, np.log, np.sqrt, np.tanh, np.fabs, np.copysign, np.power, np.floor)
    )
    expm1, log1p, erfc = staticmethod(np.expm1), staticmethod(np.log1p), staticmethod(special.erfc)


# --- the executor


class Executor:
    """Runs kernels on the CPU and counts them; see the module's text."""

    name = "the tests' CUDA simulator"
    alignment = True

    def __init__(self):
        self.launches = 0
        self.waits = []  # pairs of streams, the first waiting for the second
        self.block = Block()

    def to_device(self, array):
        return DeviceArray(list(np.ascontiguousarray(array).reshape(-1)), array.shape, array.dtype)

    def to_host(self, array):
        missing = sum(v is None for v in array.values)
        if missing:
            raise SimulationError(f"{missing} of {array.size} elements of a result were never written")
        return np.array(list(array.values), array.dtype).reshape(array.shape)

    def empty(self, shape, dtype):
        return DeviceArray([None] * math.prod(shape), shape, dtype)

    def scratch(self, slot, size, dtype):
        return self.empty((size,), dtype)

    def owns(self, obj):
        return isinstance(obj, DeviceArray)

    def adopt(self, obj):
        raise TypeError(f"the simulator cannot take a {type(obj).__name__}")

    def bits(self, array):
        assert array.dtype == np.float16
        return DeviceArray(_Bits(array.values), array.shape, np.uint16)

    def words(self, array):
        assert array.dtype == np.uint16 and array.size % 2 == 0 and array.ndim == 1
        return DeviceArray(_Words(array.values), (array.size // 2,), np.uint32)

    def is_aligned(self, array):
        return True

    def device(self):
        return 0

    def capability(self):
        return CAPABILITY

    def on(self, device):
        return nullcontext()

    def wait(self, stream, other):
        self.waits.append((stream, other))

    def trim(self):
        return 0

    def compile(self, function, bounds):
        return translated(function, self.block), bounds[0]

    def run(self, kernel, blocks, threads, args, shared=0):
        function, bound = kernel
        assert threads == bound, "a kernel is started with other threads than it was compiled for"
        assert not [a for a in args if isinstance(a, np.ndarray)], "a host array came to a kernel"
        if threads > MOST_THREADS:
            raise SimulationError(f"a block has {threads} threads; it may have {MOST_THREADS}")
        names = function.__code__.co_varnames
        self.launches += 1
        self.block.threads, self.block.blocks, self.block.dynamic = threads, blocks, shared
        with np.errstate(all="ignore"):
            args = [self.seen(names[i], a) for i, a in enumerate(args)]
            for index in range(blocks):
                self.block.run(function, index, threads, args)

    def seen(self, name, argument):
        """An argument as kernels see it."""
        if isinstance(argument, DeviceArray):
            return GlobalMemory(self.block, name, argument)
        if type(argument) is tuple:
            return tuple(self.seen(f"{name}[{i}]", a) for i, a in enumerate(argument))
        return argument


def has_barriers(function):
    """True where a kernel, or a device function that it calls, waits for other threads."""
    cells = [c.cell_contents for c in function.__closure__ or ()]
    names = function.__code__.co_names
    called = [v for v in (*cells, *(function.__globals__.get(n) for n in names)) if isinstance(v, types.FunctionType)]
    return bool({"syncthreads", "ptx"} & set(names)) or any(map(has_barriers, called))


def translated(function, block):
    """A kernel or device function for the simulator: scalars are NumPy's, ``cuda`` is `block`."""
    plain = getattr(function, "py_func", function)
    looked_up = [name for name in plain.__code__.co_names if name in plain.__globals__]
    names = {name: translation(plain.__globals__[name], block) for name in looked_up}
    cells = plain.__closure__ and tuple(types.CellType(translation(c.cell_contents, block)) for c in plain.__closure__)
    return types.FunctionType(plain.__code__, {**plain.__globals__, **names}, plain.__name__, plain.__defaults__, cells)


def translation(value, block):
    """What a name of a kernel stands for in the simulator."""
    if isinstance(value, numba.types.Type):
        return np.bool_ if value is numba.boolean else np.dtype(str(value)).type
    if cudasim_ptx.name_of(value) is not None:
        return getattr(block.ptx, cudasim_ptx.name_of(value))
    if hasattr(value, "py_func"):
        return translated(value, block)
    if value is math:
        return DeviceMath
    if isinstance(value, types.ModuleType) and value.__name__ == "numba.cuda":
        return block
    if isinstance(value, types.ModuleType) and value.__name__ == cudasim_ptx.MODULE:
        return block.ptx
    return value
