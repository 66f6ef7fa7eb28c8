"""The simulator's counterpart of ``fastconv.cuda.ptx``: the same instructions, on NumPy scalars and simulated memory.

Instructions of a warp exchange what all its 32 lanes offer; asynchronous copies arrive when their thread waits for them
and not before. Products are exact and each step of the sum is rounded once, where tensor cores truncate.
"""

import sys

import cudasim
import numpy as np

MODULE = "fastconv.cuda.ptx"


def name_of(value):
    """The name of an instruction that a kernel holds, None for anything else."""
    module = sys.modules.get(MODULE)
    if module is None or getattr(value, "__module__", MODULE) == "builtins":
        return None
    return next((name for name, v in vars(module).items() if v is value and hasattr(Instructions, name)), None)


class Instructions:
    """What kernels see as ``ptx``."""

    def __init__(self, block):
        self.block = block
        self.reset()

    def reset(self):
        """Before a block: nothing is on its way."""
        self.open, self.groups = {}, {}

    # --- asynchronous copies

    def copy_async(self, target, i, source, j, live):
        i, j = target.place(i), source.place(j)
        if i % 4 or j % 4:
            raise cudasim.SimulationError(f"copy of 16 bytes from element {j} to {i}: not whole multiples of 16 bytes")
        values = [source[j + k] if live else target.scalar(0) for k in range(4)]
        for k in range(4):
            target.write(target.place(i + k), cudasim.ON_ITS_WAY)
        self.open.setdefault(self.block.thread, []).append((target, i, values))

    def commit(self):
        self.groups.setdefault(self.block.thread, []).append(self.open.pop(self.block.thread, []))

    def wait_all(self):
        self._wait(0)

    def wait_but_one(self):
        self._wait(1)

    def wait_but_two(self):
        self._wait(2)

    def _wait(self, left):
        groups = self.groups.get(self.block.thread, [])
        while len(groups) > left:
            for target, i, values in groups.pop(0):
                for k, value in enumerate(values):
                    target.write(i + k, value)

    # --- long loads

    def load_two(self, source, i, live):
        return self._load(source, i, live, 2)

    def load_four(self, source, i, live):
        return self._load(source, i, live, 4)

    @staticmethod
    def _load(source, i, live, count):
        if not live:
            return (source.scalar(0),) * count
        start = source.place(i)
        if start % count:
            raise cudasim.SimulationError(f"load of {count} numbers from element {start}: not a whole multiple")
        return tuple(source[start + k] for k in range(count))

    @staticmethod
    def store_four(target, i, *values):
        start = target.place(i)
        if start % 4:
            raise cudasim.SimulationError(f"store of four words to element {start}: not a whole multiple of 16 bytes")
        for k, value in enumerate(values):
            target[start + k] = value

    # --- a warp's instructions

    def load_matrices(self, source, i):
        row = _row(source, i)
        return self._together(row, lambda rows: [[rows[8 * m + t // 4][t % 4] for m in range(4)] for t in range(32)])

    def load_transposed(self, source, i):
        return self._together(_row(source, i), _transposed)

    def mma_tf32(self, *operands):
        return self._together(operands, lambda lanes: _multiply(lanes, _tf32))

    def mma_bf16(self, *operands):
        return self._together(operands, lambda lanes: _multiply(lanes, _bf16))

    def mma_f16(self, *operands):
        return self._together(operands, lambda lanes: _multiply(lanes, _f16))

    def _together(self, offer, exchange):
        caller = sys._getframe(2)
        return self.block.together((caller.f_code, caller.f_lasti), offer, exchange)

    # --- conversions

    @staticmethod
    def round_tf32(v):
        bits = np.float32(v).view(np.uint32)
        return bits if np.isnan(v) else (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)

    @staticmethod
    def to_bf16(v):
        bits = np.float32(v).view(np.uint32)
        if np.isnan(v):
            return np.uint16(0x7FFF)
        return np.uint16((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16))

    @staticmethod
    def to_f16(v):
        return np.float16(v).view(np.uint16)

    @staticmethod
    def from_bf16(v):
        return (np.uint32(v) << np.uint32(16)).view(np.float32)

    @staticmethod
    def from_f16(v):
        return np.float32(np.uint16(v).view(np.float16))


def _row(source, i):
    """The four words of a matrix's row."""
    start = source.place(i)
    if start % 4:
        raise cudasim.SimulationError(f"a matrix's row begins at element {start}, not a whole multiple of 16 bytes")
    return [source[start + k] for k in range(4)]


def _transposed(rows):
    """Each lane's words of four matrices of 8 x 8 numbers: two of a column."""
    halves = np.array(rows, np.uint32).view(np.uint16).reshape(4, 8, 8)
    turned = np.ascontiguousarray(halves.transpose(0, 2, 1)).view(np.uint32)  # matrix, column, pair of rows
    return [list(turned[:, t // 4, t % 4]) for t in range(32)]


def _tf32(words):
    return (words & np.uint32(0xFFFFE000)).view(np.float32)


def _bf16(words):
    halves = words.view(np.uint16).reshape(*words.shape[:-1], -1)
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _f16(words):
    return words.view(np.float16).reshape(*words.shape[:-1], -1)


def _multiply(lanes, numbers):
    """Each lane's part of c + a b; fragments as the PTX ISA draws them."""
    words = np.array([lane[:6] for lane in lanes], np.uint32)
    row, column = np.arange(32) // 4, np.arange(32) % 4
    a, b = np.empty((16, 8), np.uint32), np.empty((8, 8), np.uint32)  # b by columns
    for k in range(4):
        a[row + k % 2 * 8, column + k // 2 * 4] = words[:, k]
    for k in range(2):
        b[row, column + k * 4] = words[:, 4 + k]
    product = numbers(a).astype(np.float64) @ numbers(b).astype(np.float64).T
    parts = [product[row + k // 2 * 8, 2 * column + k % 2] for k in range(4)]
    return [tuple(np.float32(lanes[t][6 + k] + parts[k][t]) for k in range(4)) for t in range(32)]
