"""What tests/codegen.py finds in generated code: nothing in ours, and what is planted. All processors: make codegen."""

import subprocess
import sys
from pathlib import Path

import codegen
import pytest

from fastconv.simd import host
from fastconv.simd.family import Family

SCRIPT = Path(codegen.__file__)
ZEN = host.Host("znver4", *codegen.AVX512)


def examined(*processors):
    return subprocess.run([sys.executable, SCRIPT, *processors], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("processor", ["sapphirerapids", "haswell", "neoverse-v2"])
def test_loops_keep_to_the_rules(processor):
    done = examined(processor)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(processor) == sum(bool(codegen.itemsizes(name, processor)) for name in codegen.FAMILIES)


def test_unknown_processors_are_named():
    done = examined("znver4", "z80")
    assert done.returncode == 2 and "unknown: z80; known are znver4, " in done.stderr


def planted(monkeypatch, rows, hidden):
    """The loop of a tile of `rows` by 2 vectors, with its rows' addresses hidden from LLVM or not."""
    monkeypatch.setattr(host, "host", lambda: ZEN)
    family = Family("planted", "depth a a_row a_step b b_step c", elements="a b c", rows=(rows,), vectors=(2,))

    def body(emit, arg, rows, vectors):
        def step(k, *values):
            a, b, sums = (*values[:2], values[2:]) if hidden else (arg.a, arg.b, values)
            if not hidden:
                a, b = emit.at(a, (k, arg.a_step)), emit.at(b, (k, arg.b_step))
            columns = [emit.load(emit.at(b, j * emit.lanes)) for j in range(vectors)]
            numbers = [emit.broadcast(emit.at(a, (i, arg.a_row))) for i in range(rows)]
            return [
                emit.multiply_add(number, column, sums[i * vectors + j])
                for i, number in enumerate(numbers)
                for j, column in enumerate(columns)
            ]

        along = [(arg.a, arg.a_step), (arg.b, arg.b_step)] if hidden else []
        sums = emit.repeat(arg.depth, [emit.zero] * (rows * vectors), step, along)
        for i, value in enumerate(sums):
            emit.store(value, emit.at(arg.c, i * emit.lanes))

    family.member(body)
    text = codegen.assembly(codegen.emitted(family, [(rows, 2)], 4), "znver4")
    ((key, part),) = codegen.functions(text)
    (lines,) = codegen.innermost(part)
    return codegen.Loop("tile", 4, key, lines)


def test_sums_that_do_not_fit_are_found(monkeypatch):
    loop = planted(monkeypatch, rows=20, hidden=True)
    assert loop.products == 40 and loop.stack > 8
    assert any("accesses to the stack" in fault for fault in codegen.faults(loop, ZEN))


def test_addresses_that_llvm_makes_its_own_of_are_found(monkeypatch):
    """The fault that the micro-kernel had: each row's address in a register of its own, until sums leave theirs."""
    loop = planted(monkeypatch, rows=14, hidden=False)
    assert loop.products == 28 and loop.stack > 0
    assert any("accesses to the stack" in fault for fault in codegen.faults(loop, ZEN))


def test_a_small_tile_is_fine(monkeypatch):
    assert not codegen.faults(planted(monkeypatch, rows=4, hidden=True), ZEN)


def test_gathers_missing_products_and_missing_members_are_found():
    lines = ("vgatherdps (%rax,%zmm1), %zmm0 {%k1}", "vfmadd231ps %zmm0, %zmm1, %zmm2", "jne .LBB0_1")
    found = codegen.faults(codegen.Loop("tile", 4, (2, 2), lines), ZEN)
    assert any("gathers" in fault for fault in found) and any("1 products, expected 4" in fault for fault in found)
    assert any("expected 1" in text for text in codegen.missing("depth", []))


def test_conversions_and_missing_pairs_are_found():
    """A tile of bfloat16 multiplies what it loads; a processor that has the instruction has the tile."""
    lines = (
        "vpmovzxwd (%rax), %zmm0",
        "vpslld $16, %zmm0, %zmm0",
        "vfmadd231ps (%rcx), %zmm0, %zmm2",
        "jne .L1",
    )
    found = codegen.faults(codegen.Loop("tile", 2, (1, 1), lines), ZEN)
    assert any("2 conversions" in fault for fault in found)
    fine = ("vbroadcastss (%rax), %zmm0", "vdpbf16ps (%rcx), %zmm0, %zmm2", "jne .L1")
    assert not codegen.faults(codegen.Loop("tile", 2, (1, 1), fine), ZEN)
    assert codegen.itemsizes("tile", "znver4") == (2, 4, 8) and codegen.itemsizes("tile", "haswell") == (4, 8)
    assert any("bfloat16" in text for text in codegen.missing("tile", [], (2, 4, 8)))


def test_loops_are_told_from_code_that_is_out_of_line():
    """A jump back from behind the end of a function is no loop: its target can be reached without what lies between."""
    text = """member_1:
        testq %rax, %rax
        je .LBB0_3
    .LBB0_1:
        vaddps %zmm0, %zmm1, %zmm1
        decq %rax
        jne .LBB0_1
    .LBB0_2:
        ret
    .LBB0_3:
        vmulps %zmm0, %zmm1, %zmm1
        jmp .LBB0_2
    """
    assert codegen.innermost(text) == [("vaddps %zmm0, %zmm1, %zmm1", "decq %rax", "jne .LBB0_1")]
