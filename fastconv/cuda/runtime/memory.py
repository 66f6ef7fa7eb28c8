"""Device memory that is used again: allocating costs more than a small kernel, and freeing waits for the whole device.

A `Lease` owns a block as long as an array lives in it: it is the owner of the array's memory object, which every view
(reshaped, cut, of other bits) keeps. When the last view is gone the block returns to the pool, to the list of its
size, device and stream.

Why reuse is safe. Kernels of one stream run in the order they were started, so what was started on a block's former
array has run before what is started on its next one, on the same stream. A block that an array takes to another
stream changes lists: `backend.scope` first lets the new stream wait for the old one (an event), and the block then
belongs to the new stream. So at any time all uses of a block come before, in stream order, whatever starts next on the
stream whose list it is in. Libraries that get an array by its interface keep it while they work on it, and name the
stream they work on, or use the one they were given; a caller who works on such an array on yet another stream must
synchronise before letting go of it, as with PyTorch's and CuPy's own memory. A block that is idle when a stream is
destroyed is found again only by a stream with the same handle.

Idle blocks are freed, the longest idle first, beyond the budget (FASTCONV_CUDA_POOL_BYTES), and all of them when the
device runs out of memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, ClassVar

LEAST = 512  # bytes of a block; also what the driver aligns memory to
OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY


class Block:
    """Memory of a device, and the stream on which it was last used."""

    __slots__ = ("device", "raw", "size", "stream")

    def __init__(self, raw: Any, size: int, device: int, stream: int) -> None:
        self.raw, self.size, self.device, self.stream = raw, size, device, stream

    @property
    def key(self) -> tuple[int, int, int]:
        """The list it belongs to while it is idle."""
        return self.device, self.stream, self.size


class Lease:
    """Holds a block for an array and its views; letting go of it gives the block back.

    Attributes
    ----------
    origin : (device or None, stream)
        What the array remembers; see ``backend.scope``.
    """

    __slots__ = ("__weakref__", "_returned", "block", "origin")

    elsewhere: ClassVar[bool] = False
    """Whether any array of this process has ever remembered a device or stream: looking costs as much as a kernel."""

    def __init__(self, block: Block, returned: deque[Block]) -> None:
        self.block, self._returned = block, returned
        usual = block.device == block.stream == 0
        self.origin: tuple[int | None, int] = (None, 0) if usual else (block.device, block.stream)
        Lease.elsewhere = Lease.elsewhere or not usual

    def move(self, device: int | None, stream: int) -> None:
        """The array is used on `stream` from now on, which waits for what came before."""
        self.origin = device, stream
        self.block.stream = stream

    def __del__(self) -> None:
        # May run at any moment in any thread, even inside the pool: an append is all that is safe there.
        self._returned.append(self.block)


class Pool:
    """Blocks of all devices and streams of a process.

    Parameters
    ----------
    allocate : callable
        ``allocate(size)`` gives memory on the current device, which is freed when its last reference is gone.
    budget : callable
        ``budget()``: the bytes that may lie idle.
    """

    def __init__(self, allocate: Callable[[int], Any], budget: Callable[[], int]) -> None:
        self._allocate, self._budget = allocate, budget
        self._returned: deque[Block] = deque()
        self._idle: OrderedDict[Block, None] = OrderedDict()  # the longest idle first
        self._lists: dict[tuple[int, int, int], list[Block]] = {}
        self._idle_bytes = 0
        self._lock = threading.Lock()

    @property
    def idle_bytes(self) -> int:
        """Bytes of blocks that no array uses."""
        with self._lock:
            self._collect()
            return self._idle_bytes

    def take(self, nbytes: int, device: int, stream: int) -> Lease:
        """Memory of at least `nbytes` for use on a stream of the current device, `device`."""
        size = rounded(nbytes)
        with self._lock:
            self._collect()
            same = self._lists.get((device, stream, size))
            block = self._drop(same[-1]) if same else None
        return Lease(block or Block(self._new(size), size, device, stream), self._returned)

    def trim(self) -> int:
        """Free all idle blocks; the number of bytes."""
        with self._lock:
            self._collect()
            freed = self._idle_bytes
            self._idle.clear()
            self._lists.clear()
            self._idle_bytes = 0
        return freed

    def _new(self, size: int) -> Any:
        try:
            return self._allocate(size)
        except Exception as error:
            if not (isinstance(error, MemoryError) or getattr(error, "code", None) == OUT_OF_MEMORY):
                raise
            if not self.trim():
                raise
        return self._allocate(size)

    def _collect(self) -> None:
        """Put what came back into its lists, and free what is beyond the budget."""
        if not self._returned:
            return
        while self._returned:
            block = self._returned.popleft()
            self._idle[block] = None
            self._lists.setdefault(block.key, []).append(block)
            self._idle_bytes += block.size
        budget = self._budget()
        while self._idle_bytes > budget:
            self._drop(next(iter(self._idle)))

    def _drop(self, block: Block) -> Block:
        """Take a block out of the lists."""
        del self._idle[block]
        same = self._lists[block.key]
        same.remove(block)
        if not same:
            del self._lists[block.key]
        self._idle_bytes -= block.size
        return block


def rounded(nbytes: int) -> int:
    """The size of the block for an array: at most an eighth larger above 4 KiB, so that like sizes share blocks."""
    step = max(LEAST, (1 << max(0, nbytes.bit_length() - 1)) // 8)
    return -(-max(nbytes, 1) // step) * step


def lease_of(array: Any) -> Lease | None:
    """The lease that a device array's memory belongs to, if it is the pool's."""
    owner = getattr(getattr(array, "gpu_data", None), "_owner", None)
    return owner if isinstance(owner, Lease) else None
