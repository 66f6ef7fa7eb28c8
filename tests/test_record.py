"""docs/measured: what a machine measured, as a file of its own and as a line of the README."""

import dataclasses
import math

import pytest

from fastconv.errors import InvalidArgument
from fastconv.measure import Entry, Peaks, Row, Timing, environment, parse_problem, record
from fastconv.measure.kernels import KernelRow
from fastconv.measure.means import means
from fastconv.measure.training import TrainingRow

FACTS = environment()


def entry(who, seconds, **options):
    return Entry(who, "direct" if who == "fastconv" else "way", 0.0, Timing((seconds,)), **options)


def row(ours, **rivals):
    """A layer of which each way of ours and each rival takes some seconds; those of packed rivals are in a list."""
    others = {
        name: [entry(name, t[0], prepared=True) if isinstance(t, list) else entry(name, t)]
        for name, t in rivals.items()
    }
    mine = {way: entry("fastconv", seconds) for way, seconds in ours.items()}
    return Row(parse_problem("n1c8h8w8_o8k3"), "direct", 1.0, mine, others)


def kernel(name, seconds, group="tile"):
    return KernelRow(group, name, "L1", "float32", "GFLOP/s", 1e9, 0.0, Timing((seconds,)), 2.0, None)


PARTS = {
    "layers": [
        row({"auto": 2.0, "plan": 1.0}, torch=4.0, scipy=8.0, onednn=[1.0]),
        row({"auto": 2.0}, torch=16.0, scipy=4.0),
    ],
    "kernel": [kernel("1x1", 1.0), kernel("2x2", 2.0), kernel("wide", 1.0, "depth sweep")],
    "train": [
        TrainingRow("lenet", "train", 64, {"train": entry("fastconv", 1.0)}, {"torch": [entry("torch", 1.5)]}, None),
        TrainingRow(
            "lenet", "predict", 64, {"predict": entry("fastconv", 1.0)}, {"torch": [entry("torch", 1.1)]}, None
        ),
    ],
}
PEAKS = [Peaks("float32", 2, 235.0, 38.0)]


def text_of(parts=None, busy=0.02, **changed):
    facts = {**FACTS, "threads": 2, "date": "2026-11-29T03:00:00+00:00", **changed}
    return record.written("fastconv bench --all --save", facts, PEAKS, PARTS if parts is None else parts, [None, busy])


def test_means_are_against_the_fastest_rival_of_each_row():
    found = {(mean.suite, mean.way): mean for mean in means(PARTS)}
    auto = found["layers", "auto"]
    assert (auto.rows, auto.mean, auto.least, auto.against) == (2, 2.0, 2.0, "torch, scipy")
    plan = found["layers", "plan"]
    assert (plan.rows, plan.mean, plan.against) == (1, 1.0, "torch, scipy, onednn")
    assert found["kernel", "tile"].least == 0.25
    assert found["kernel", "tile"].mean == pytest.approx(math.sqrt(0.125))
    assert {way for suite, way in found if suite == "train"} == {"train", "predict"}


def test_a_file_and_its_line(tmp_path):
    (path,) = record.save(tmp_path, text_of(), FACTS)
    assert path.name == f"{record.slug(FACTS)}.md"
    text = path.read_text()
    for held in (
        "| layers | auto | 2 | 2.00 | 2.00 | torch, scipy |",
        "235 GFLOP/s",
        "more than 10% of the machine in 0 of 1 measurements",
        "numpy",
        "conv:n1c8",
    ):
        assert held in text
    head, rule, line = record.machines_table(tmp_path).splitlines()
    assert head == "| machine | date | layers | kernel | train |"
    assert rule.count("---") == 5
    name = text.splitlines()[0].removeprefix("# ")
    assert line == f"| [{name}](docs/measured/{path.name}) | 2026-11-29 | 2.00 (2.00) | 0.35 (0.25) | 1.50 (1.50) |"


def test_every_row_is_in_the_file():
    lines = text_of().splitlines()
    assert sum(line.startswith("| conv:n1c8h8w8_o8k3s1p0 | NHWC | float32 |") for line in lines) == 3
    assert "| lenet | 64 | predict | 1000 | 1000 | 0% | 1100 | 1.10 |" in lines
    assert "| tile | 1x1 | L1 | float32 | 1.0 | GFLOP/s | 50% | 0% |" in lines
    prepared = next(line for line in lines if line.startswith("| conv") and "| auto: direct |" in line)
    assert prepared.endswith("| 4000 | 2.00 | 8000 | 4.00 | 1000 | - |")


def test_a_later_measurement_takes_the_place_of_an_earlier(tmp_path):
    record.save(tmp_path, text_of(), FACTS)
    record.save(tmp_path, text_of({"layers": PARTS["layers"]}, busy=0.4), FACTS)
    (other,) = record.save(tmp_path, text_of(), {**FACTS, "threads": 99})
    assert [path.name for path in sorted(tmp_path.iterdir())] == sorted([f"{record.slug(FACTS)}.md", other.name])
    table = record.machines_table(tmp_path)
    assert "2026-11-29, busy | 2.00 (2.00) | - | - |" in table
    assert len(table.splitlines()) == 4


def test_a_suite_without_rivals_has_no_mean(tmp_path):
    alone = {"layers": [dataclasses.replace(PARTS["layers"][0], rivals={})]}
    record.save(tmp_path, text_of(alone), FACTS)
    assert "layers" not in record.machines_table(tmp_path)


def test_the_readme_says_what_the_files_say(tmp_path):
    """Run ``python bench/machines.py`` where this fails."""
    before, after = record._around(record.README)
    held = record.README.read_text(encoding="utf-8")
    assert held == f"{before}{record.BEGIN}\n{record.machines_table(record.FOLDER)}\n{record.END}{after}"


def test_renewing_a_readme(tmp_path):
    readme, folder = tmp_path / "README.md", tmp_path / "measured"
    readme.write_text(f"above\n{record.BEGIN}\nold\n{record.END}\nbelow\n")
    record.renew(readme, folder)
    assert "| none yet | - |" in readme.read_text()
    folder.mkdir()
    record.save(folder, text_of(), FACTS)
    record.renew(readme, folder)
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith("\nbelow\n")
    assert "2.00 (2.00)" in text and "none yet" not in text and "old" not in text


def test_what_is_no_record_is_named(tmp_path):
    (tmp_path / "notes.md").write_text("# Notes\n")
    with pytest.raises(InvalidArgument, match="notes.md"):
        record.machines_table(tmp_path)
    (tmp_path / "README.md").write_text("no place\n")
    with pytest.raises(InvalidArgument, match="no place for the table"):
        record.renew(tmp_path / "README.md", tmp_path / "empty")


def test_outside_of_a_checkout_a_folder_must_be_named(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "README", tmp_path / "README.md")
    with pytest.raises(InvalidArgument, match="--save DIR"):
        record.check_folder("")
    assert record.check_folder(str(tmp_path / "a" / "b")).is_dir()
