"""What is generated for processors that are not there: emitted functions compiled, taken apart and counted, not run.

    python tests/codegen.py [processor ...]

prints what the innermost loops of each family of functions are made of, and exits with 1 where one breaks a rule of
`faults`. A processor gets a process of its own, as `simd.host` is read when the emitters are imported.
"""

from __future__ import annotations

import importlib
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir

from fastconv.simd import host
from fastconv.simd.host import Host

AVX512, AVX2 = ("AVX-512", 64, 32, True), ("AVX2", 32, 16, True)
SSE2, NEON = ("SSE2", 16, 16, False), ("NEON", 16, 32, True)
TARGETS = {
    "znver4": AVX512,
    "znver5": AVX512,
    "skylake-avx512": AVX512,
    "icelake-server": AVX512,
    "sapphirerapids": AVX512,
    "haswell": AVX2,
    "x86-64-v2": SSE2,
    "neoverse-n1": NEON,
    "neoverse-v2": NEON,
    "apple-m1": NEON,
}  # fmt: skip
PAIRS = {"znver4", "znver5", "sapphirerapids", "neoverse-v2"}  # processors that multiply pairs of bfloat16
FAMILIES = {
    "tile": "simd.microkernel:TILES",
    "rounded_tile": "simd.microkernel:ROUNDED_TILES",
    "filter": "simd.filter_tile:FILTERS",
    "depth": "simd.depth_sweep:SWEEPS",
    "depth_halves": "simd.depth_sweep:HALVES",
    "depth_wide": "simd.depth_sweep:WIDE",
    "depth_sums": "simd.depth_sums:SUMS",
    "winograd_input": "cpu.winograd.transforms:INPUT",
    "winograd_gradient": "cpu.winograd.transforms:GRADIENT",
    "winograd_filter": "cpu.winograd.transforms:FILTER",
    "winograd_output": "cpu.winograd.transforms:OUTPUT",
    "winograd_products": "cpu.winograd.products:PLANES",
    "winograd_weights": "cpu.winograd.transforms:WEIGHTS",
    "fft": "cpu.fft.transform:PASSES",
}


# Accesses to the stack for an instruction of arithmetic, at most, by registers: a transform has more values than these.
MOST_STACK = {
    "winograd_input": {32: 0.3, 16: 0.7},
    "winograd_gradient": {32: 0.25, 16: 0.5},
    "winograd_filter": {32: 0.15, 16: 0.25},
    "winograd_output": {32: 0.2, 16: 0.35},
    "winograd_weights": {32: 0.25, 16: 0.25},
    "fft": {32: 0.15, 16: 0.55},
    "depth": {32: 0.05, 16: 0.25},
    "depth_halves": {32: 0.05, 16: 0.25},
    "depth_wide": {32: 0.05, 16: 0.25},
    "depth_sums": {32: 0.05, 16: 0.25},  # arguments that a tile reads again, before its products and behind them
}


# The same of loops for tiles at the border of an image, which choose addresses or leave stores out.
MOST_BORDER = {
    "winograd_input": {32: 1.1, 16: 1.4},
    "winograd_gradient": {32: 1.1, 16: 1.6},
    "winograd_output": {32: 0.5, 16: 0.7},
}
JUMPS = 4  # of a loop that leaves stores out, at least: others of the output have one


DTYPES = {2: "bfloat16", 4: "float32", 8: "float64"}


class Loop(NamedTuple):
    """An innermost loop: the member that it belongs to, and its instructions."""

    family: str
    itemsize: int
    member: tuple[int, ...]
    instructions: tuple[str, ...]

    def count(self, pattern: str) -> int:
        """Instructions that a pattern is found in."""
        return sum(bool(re.search(pattern, text)) for text in self.instructions)

    @property
    def stack(self) -> int:
        """Accesses to the stack."""
        return self.count(r"\(%rsp[,)]|\[sp[],]")

    @property
    def products(self) -> int:
        """Multiplications and multiply-adds of vectors, two of each pair of bfloat16 at once."""
        return self.count(r"^vf\w*[ps][sd]\s|^v?mul[ps][sd]\s|^f(mla|mls|mul)\s+v|^vdpbf16ps\s|^bfdot\s")

    @property
    def arithmetic(self) -> int:
        """These and additions, subtractions, maxima of vectors."""
        return self.products + self.count(r"^v?(add|sub|max|min)[ps][sd]\s|^f(add|sub|max\w*|neg)\s+v")

    @property
    def reads(self) -> int:
        """Numbers and vectors that are read from memory."""
        x86 = sum("(%" in text.rpartition(",")[0] and not text.startswith("lea") for text in self.instructions)
        return x86 + self.count(r"^ld") + self.count(r"^ldp")

    @property
    def conversions(self) -> int:
        """Numbers turned to another type, or unpacked for that."""
        return self.count(r"^v?p?cvt|^vpmov|^vpunpck|^b?fcvt|^[su]shll|^shl|^vpsll")

    @property
    def gathers(self) -> int:
        """Loads of lanes from many places."""
        return self.count(r"^vp?gather")


def members(name: str) -> tuple[object, list[tuple[int, ...]]]:
    """A family and the choices that its members are known by."""
    module, attribute = FAMILIES[name].split(":")
    family = getattr(importlib.import_module(f"fastconv.{module}"), attribute)
    return family, list(itertools.product(*family.choices.values()))


def emitted(family: object, keys: list[tuple[int, ...]], itemsize: int) -> ir.Module:
    """The members of a family as functions of a module, for the processor that `host` tells of."""
    from fastconv.simd.emit import I64, VOID, Lanes
    from fastconv.simd.family import NUMBERS, emitter

    module, kind = ir.Module(), Lanes(NUMBERS[itemsize], host.host().lanes(itemsize))
    types = {"uint16": ir.IntType(16), "float32": ir.FloatType(), "float64": ir.DoubleType(), "int64": I64}
    kinds = {name: types[kind.name].as_pointer() for name, kind in family.pointees(itemsize).items()}
    for key in keys:
        arguments = [kinds.get(name, I64) for name in family.arguments._fields]
        function = ir.Function(module, ir.FunctionType(VOID, arguments), "_".join(["member", *map(str, key)]))
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        emit = emitter(None, builder, kind, family.rounded, family.widened)
        family._body(emit, family.arguments(*function.args), *key)
        emit.builder.ret_void()
    return module


def assembly(module: ir.Module, processor: str) -> str:
    """What LLVM makes of a module for a processor, by the passes that Numba runs."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = "aarch64" if TARGETS[processor] is NEON else "x86_64"
    module.triple = f"{machine}-unknown-linux-gnu"
    target = llvm.Target.from_triple(module.triple)
    machine = target.create_target_machine(cpu=processor, opt=3, reloc="static", codemodel="default")
    module.data_layout = str(machine.target_data)
    compiled = llvm.parse_assembly(str(module))
    compiled.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(compiled, builder)
    return machine.emit_assembly(compiled)


class Block(NamedTuple):
    """Instructions that are run one after the other, and the blocks that may follow."""

    lines: list[str]
    following: list[int]


def blocks_of(text: str) -> list[Block]:
    """A function's assembly as blocks."""
    found, labels, jumps = [Block([], [])], {}, []
    falls = True
    for raw in text.splitlines()[1:]:
        line = re.split(r"\s*(?:#|//)", raw, maxsplit=1)[0].strip()
        label, jump = re.match(r"(\.L\w+):", line), re.match(r"(j\w+|b|b\.\w+|[ct]bn?z)\s(?:.*[ ,])?(\.L\w+)$", line)
        if label:
            labels[label[1]] = len(found)
        elif not line or line.startswith(".") or line.endswith(":"):
            continue
        else:
            found[-1].lines.append(line)
        if label or jump:
            if label and falls or jump and jump[1] not in ("jmp", "b"):
                found[-1].following.append(len(found))
            if jump:
                jumps.append((len(found) - 1, jump[2]))
            found.append(Block([], []))
        if label or line:
            falls = bool(label) or not re.match(r"(jmp|b|ret|br|ud2)\b(?!\.)", line)
    for source, label in jumps:
        found[source].following.append(labels[label])
    return found


def innermost(text: str) -> list[tuple[str, ...]]:
    """The instructions of a function's loops that hold no other; a loop is a jump back to a block that dominates it."""
    blocks = blocks_of(text)
    before: list[set[int]] = [set() for _ in blocks]
    for i, block in enumerate(blocks):
        for j in block.following:
            before[j].add(i)
    everything = set(range(len(blocks)))
    dominators = [{0}, *(set(everything) for _ in blocks[1:])]
    changed = True
    while changed:
        changed = False
        for i in range(1, len(blocks)):
            new = {i} | set.intersection(*(dominators[j] for j in before[i])) if before[i] else {i}
            changed, dominators[i] = changed or new != dominators[i], new
    found: dict[int, set[int]] = {}
    for i, block in enumerate(blocks):
        for header in set(block.following) & dominators[i]:
            body, waiting = {header}, [i]
            while waiting:
                j = waiting.pop()
                if j not in body:
                    body.add(j)
                    waiting += before[j]
            found.setdefault(header, set()).update(body)
    inner = [body for header, body in found.items() if not any(h != header and h in body for h in found)]
    return [tuple(line for i in sorted(body) for line in blocks[i].lines) for body in inner]


def functions(text: str) -> list[tuple[tuple[int, ...], str]]:
    """The members in an assembly."""
    parts = re.split(r"(?m)^(?=member_)", text)[1:]
    return [(tuple(map(int, part[: part.index(":")].split("_")[1:])), part) for part in parts]


def itemsizes(name: str, processor: str) -> tuple[int, ...]:
    """Bytes of the elements that a family is for: tiles multiply bfloat16 where the processor does."""
    if name in ("depth_halves", "depth_wide"):
        return (2,)
    pairs = (2,) if name in ("tile", "rounded_tile") and processor in PAIRS else ()
    return pairs if name == "rounded_tile" else (*pairs, 4, 8)


def loops(name: str, processor: str) -> list[Loop]:
    """The innermost loops of a family that carry products, for each dtype."""
    family, keys = members(name)
    found = []
    for itemsize in itemsizes(name, processor):
        for key, text in functions(assembly(emitted(family, keys, itemsize), processor)):
            found += [Loop(name, itemsize, key, lines) for lines in innermost(text)]
    return [loop for loop in found if loop.products or name.startswith(("winograd", "fft")) and loop.arithmetic]


def tile_faults(loop: Loop, unit: Host) -> Iterator[str]:
    """The micro-kernel: a vector of b for each column, a number of a for each row, and their products."""
    rows, vectors = loop.member
    bases = -(-rows // 4)
    if loop.products != rows * vectors:
        yield f"{loop.products} products, expected {rows * vectors}"
    if loop.reads != rows + vectors:
        yield f"reads memory {loop.reads} times, expected {rows + vectors}"
    if loop.conversions:
        yield f"{loop.conversions} conversions"
    spread = 3 if unit.isa in ("SSE2", "NEON") else 1  # instructions that put a number into all lanes
    most = loop.products * (1 if unit.fma else 3) + rows * spread + vectors + bases + 6
    if len(loop.instructions) > most:
        yield f"{len(loop.instructions)} instructions, expected at most {most}"


def depth_faults(loop: Loop, unit: Host) -> Iterator[str]:
    """The sweep: every product of a whole tile, and of one at the border, whose first ones may be the same."""
    from fastconv.simd.depth_tile import SHAPES

    tile = SHAPES[loop.member[0]]
    expected = tile.taps**2 * tile.rows * tile.cols
    if not 2 * (expected - tile.cols) <= loop.products <= 2 * expected:
        yield f"{loop.products} products, expected {expected} for either kind of tile"


def without_choice(loop: Loop) -> Loop:
    """The part of a loop's instructions, of those between jumps, that has most products and chooses no address."""
    parts: list[list[str]] = [[]]
    for text in loop.instructions:
        parts[-1].append(text)
        if re.match(r"(j\w+|b|b\.\w+|[ct]bn?z)\s", text):
            parts.append([])
    found = [loop._replace(instructions=tuple(part)) for part in parts]
    return max((part for part in found if not part.count(r"^cmov|^csel")), key=lambda part: part.products)


def filter_faults(loop: Loop, unit: Host) -> Iterator[str]:
    """The filter tile: a vector of x for each column, a number or vector of w for each row of a range."""
    _, vectors = loop.member
    rows, rest = divmod(loop.products, vectors)
    if rest or loop.reads != rows + vectors:
        yield f"{loop.products} products of {loop.reads} values read, expected {vectors} + {rows}"


def at_border(loop: Loop) -> bool:
    """Whether a loop of Winograd's transforms is for tiles that are not whole."""
    if loop.family == "winograd_output":
        return loop.count(r"^(j\w+|b\.\w+|[ct]bn?z)\s") >= JUMPS
    return bool(loop.count(r"^cmov|^csel"))


OWN = {
    "tile": tile_faults,
    "rounded_tile": tile_faults,
    "winograd_products": tile_faults,
    "depth": depth_faults,
    "depth_halves": depth_faults,
    "depth_wide": depth_faults,
    "depth_sums": depth_faults,
    "filter": filter_faults,
}


def faults(loop: Loop, unit: Host) -> list[str]:
    """What is wrong with a loop."""
    found = [*OWN[loop.family](loop, unit)] if loop.family in OWN else []
    most = MOST_STACK.get(loop.family, {unit.registers: 0.0})[unit.registers]
    if loop.family in MOST_BORDER and at_border(loop):
        most = MOST_BORDER[loop.family][unit.registers]
    if loop.family.startswith("depth"):  # at the border of an image addresses are chosen, more than there are registers
        loop = without_choice(loop)
    if loop.stack > most * loop.arithmetic:
        found.append(f"{loop.stack} accesses to the stack for {loop.arithmetic} of arithmetic, at most {most} each")
    if loop.gathers:
        found.append(f"{loop.gathers} gathers")
    return found


def missing(name: str, found: list[Loop], sizes: tuple[int, ...] = (4, 8)) -> Iterator[str]:
    """Members that have too few loops: one each, for the filter tile one for each range of rows."""
    from fastconv.simd.filter_tile import FILTER_ROWS

    least = FILTER_ROWS * (FILTER_ROWS + 1) // 2 if name == "filter" else 1
    counts = Counter((loop.itemsize, loop.member) for loop in found)
    for itemsize, member in itertools.product(sizes, members(name)[1]):
        if counts[itemsize, member] < least:
            yield f"{name}{member} {DTYPES[itemsize]}: {counts[itemsize, member]} loops, expected {least}"


def examine(processor: str) -> list[str]:
    """Print what each family is made of; returns what is wrong. Only for a process that has imported no emitter."""
    unit = Host(processor, *TARGETS[processor], pairs=processor in PAIRS)
    host.host = lambda: unit
    wrong = []
    for name in (name for name in FAMILIES if itemsizes(name, processor)):
        found = loops(name, processor)
        wrong += [f"{processor} {text}" for text in missing(name, found, itemsizes(name, processor))]
        for loop in found:
            where = f"{processor} {name}{loop.member} {DTYPES[loop.itemsize]}"
            wrong += [f"{where}: {fault}" for fault in faults(loop, unit)]
        count, arithmetic, stack = (
            sum(values) for values in zip(*((len(x.instructions), x.arithmetic, x.stack) for x in found), strict=True)
        )
        print(
            f"{processor:15} {name:18} {len(found):4} loops {count:6} instructions, {arithmetic:5} of arithmetic, "
            f"{stack:4} accesses to the stack"
        )
    return wrong


def main(processors: list[str]) -> int:
    """Examine one processor here, several in processes of their own."""
    unknown = [name for name in processors if name not in TARGETS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if len(processors) == 1:
        wrong = examine(*processors)
        print("\n".join(wrong), file=sys.stderr)
        return 1 if wrong else 0
    return max(subprocess.run([sys.executable, __file__, name], check=False).returncode for name in processors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(TARGETS)))
