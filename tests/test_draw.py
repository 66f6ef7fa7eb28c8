"""Pictures of graphs: what they hold, where it stands, and what is written."""

import sys

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import Tensor, draw, no_grad
from fastconv.autograd.drawing import GAP, HEIGHT, ROW, arranged
from fastconv.errors import InvalidArgument, MissingExtra


def network():
    w, b = Tensor(np.ones((2, 1, 3, 3)), requires_grad=True), Tensor(np.zeros(2), requires_grad=True)
    h = fc.conv2d(np.ones((4, 1, 5, 5)), w, b).relu()
    return (h * 2.0).mean() + (w**2).sum(), w, b


def test_a_graph_holds_operations_leaves_and_constants():
    loss, w, b = network()
    for _ in ("before backward", "and after it"):
        graph = draw(loss, w=w)
        named = {v.lines: v.kind for v in graph.vertices}
        assert named == {
            ("add", "one number"): "result",
            ("mean", "one number"): "operation",
            ("multiply 2.0", "(4, 2, 3, 3)"): "operation",
            ("relu", "(4, 2, 3, 3)"): "operation",
            ("conv2d", "(4, 2, 3, 3)"): "operation",
            ("sum", "one number"): "operation",
            ("power 2", "(2, 1, 3, 3)"): "operation",
            ("w", "(2, 1, 3, 3)"): "leaf",
            ("leaf", "(2,)"): "leaf",
            ("constant", "(4, 1, 5, 5)"): "constant",
        }
        words = [v.lines[0] for v in graph.vertices]
        assert sorted((words[a], words[b]) for a, b in graph.edges) == [
            ("constant", "conv2d"), ("conv2d", "relu"), ("leaf", "conv2d"), ("mean", "add"), ("multiply 2.0", "mean"),
            ("power 2", "sum"), ("relu", "multiply 2.0"), ("sum", "add"), ("w", "conv2d"), ("w", "power 2"),
        ]  # fmt: skip
        if loss.requires_grad and b.grad is None:
            loss.backward()


def test_graphvizs_text():
    x = Tensor([1.0], requires_grad=True)
    lines = draw(x * 2, x=x).dot.splitlines()
    assert lines[0] == "digraph {" and lines[-1] == "}"
    assert lines[2].startswith(r'  v0 [label="multiply 2\n(1,)", shape=box')
    assert lines[4] == "  v1 -> v0"


def test_layers_weights_have_their_names():
    layer = keras.layers.Dense(2)
    words = {v.lines[0] for v in draw(layer(np.ones((1, 3))).sum()).vertices}
    assert {layer.kernel.name, layer.bias.name} < words


def test_one_operand_used_twice_has_two_edges():
    x = Tensor([1.0], requires_grad=True)
    graph = draw(x * x)
    assert len(graph.vertices) == 2 and graph.edges == [(1, 0), (1, 0)]
    assert len(draw(x).vertices) == 1


def test_rows_follow_the_longest_way_and_boxes_do_not_meet():
    rng = np.random.default_rng(0)
    for count in (1, 2, 12, 40):
        edges = [(a, int(b)) for a in range(1, count) for b in set(rng.integers(0, a, 2).tolist())]
        widths = (rng.random(count) + 0.8).tolist()
        places, ways = arranged(widths, edges)
        for (a, b), way in zip(edges, ways, strict=True):
            assert places[a][1] >= places[b][1] + ROW - 1e-9
            assert way[0] == places[a] and way[-1] == places[b]
            assert len(way) == round((places[a][1] - places[b][1]) / ROW) + 1
        for i, (x, y) in enumerate(places):
            for j, (u, v) in enumerate(places[:i]):
                assert abs(y - v) > HEIGHT or abs(x - u) >= (widths[i] + widths[j]) / 2 + GAP - 1e-9


def test_files_are_what_their_names_say(tmp_path):
    pytest.importorskip("matplotlib")
    graph = draw(network()[0])
    for end, start in (
        (".png", b"\x89PNG"),
        (".svg", b"<?xml"),
        (".pdf", b"%PDF"),
        (".dot", b"digraph"),
        (".gv", b"digr"),
    ):
        graph.save(tmp_path / f"graph{end}")
        assert (tmp_path / f"graph{end}").read_bytes().startswith(start)
    assert graph._repr_svg_() == (tmp_path / "graph.svg").read_text()
    for wrong in (tmp_path / "graph.jpg", tmp_path, 5):
        with pytest.raises(InvalidArgument, match=r"ends in \.svg, \.png, \.pdf or \.dot"):
            graph.save(wrong)


def test_large_graphs_are_text_only(tmp_path):
    y = Tensor([1.0], requires_grad=True)
    for _ in range(500):
        y = y + 1
    graph = draw(y)
    with pytest.raises(InvalidArgument, match="has 501 parts, of which a picture holds 400; save it as .dot"):
        graph.save(tmp_path / "graph.svg")
    assert graph._repr_svg_() is None and graph.dot.count("add 1") == 500


def test_without_matplotlib(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:  # other tests have drawn
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("fastconv.autograd.drawing.is_available", lambda: False)
    graph = draw(network()[0])
    assert graph._repr_svg_() is None
    with pytest.raises(MissingExtra, match=r"pip install 'fastconv\[plots\]'"):
        graph.save(tmp_path / "graph.svg")
    assert not any(tmp_path.iterdir())
    assert "leaves" in repr(graph) and "matplotlib.pyplot" not in sys.modules


def test_what_has_no_graph():
    x = Tensor([1.0], requires_grad=True)
    with no_grad():
        y = x + 1
    for wrong, message in (
        (lambda: draw(y), "no graph of it was recorded"),
        (lambda: draw(np.ones(1)), "draw takes a tensor"),
        (lambda: draw(x + 1, x=5), "x is 5; expected a tensor"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            wrong()
