"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..basics.structures import leaves

NARROW = 80, (0.56, 0.86)  # letters of a line, and which shares of them the columns but the last end at
WIDE = 98, (0.33, 0.57, 0.7)  # the same with a column for where a layer's inputs come from


def summary_lines(model: Any, width: int | None = None, expand_nested: bool = False) -> list[str]:
    """Layers, output shapes and numbers of weights, as lines of text; of a graph also what each layer takes."""
    connected = _connections(model)
    header = ["Layer (type)", "Output Shape", "Param #"]
    usual, shares = NARROW if connected is None else WIDE
    width = width or usual
    columns = [int(width * share) for share in shares]
    if connected is not None:
        header.append("Connected to")
    lines = [f'Model: "{model.name}"', "_" * width, _row(header, columns), "=" * width]
    for depth, layer in _layers(model, expand_nested):
        shape, origins = str(layer.output_shape) if layer.built else "?", [""]
        if connected is not None and id(layer) in connected:
            shape, origins = connected[id(layer)]
        count = f"{layer.count_params():,}" if layer.built else "? (not built)"
        cells = [f"{'| ' * depth}{layer.name} ({layer.kind})", shape, count, *origins[:1]]
        lines.append(_row(cells[: len(header)], columns))
        lines += [_row(["", "", "", origin], columns) for origin in origins[1:]]
    total = model.count_params()
    trainable = sum(w.size for w in model.trainable_weights)
    lines += [
        "=" * width,
        f"Total params: {total:,} ({_memory(4 * total)})",
        f"Trainable params: {trainable:,} ({_memory(4 * trainable)})",
        f"Non-trainable params: {total - trainable:,} ({_memory(4 * (total - trainable))})",
        "_" * width,
    ]
    return lines


def _layers(model: Any, expand_nested: bool, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """The layers, and where they are wanted those of models inside, with how deep they lie."""
    graph = model.graph if model.built else None
    is_listed = graph is None or not hasattr(model, "add")  # a stack leaves its input out
    for layer in graph.layers if graph is not None and is_listed else model.layers:
        yield depth, layer
        if expand_nested and hasattr(layer, "layers"):
            yield from _layers(layer, True, depth + 1)


def _connections(model: Any) -> dict[int, tuple[str, list[str]]] | None:
    """For each layer the shape that it makes and the names of what it takes; None where one follows on the other."""
    graph = model.graph if model.built else None
    if graph is None:
        return None
    taken = [symbol for call in graph.calls for symbol in call.inputs]
    if len({id(symbol) for symbol in taken}) == len(taken) == len(graph.calls) == len(graph.layers) - 1:
        return None
    found: dict[int, tuple[str, list[str]]] = {}
    for call in graph.calls:
        made = call.outputs
        shape = str(made.shape) if hasattr(made, "shape") else str([symbol.shape for symbol in leaves(made)])
        origins = found.setdefault(id(call.layer), (shape, []))[1]
        origins += [symbol.name for symbol in call.inputs]
    return found


def _row(cells: Sequence[str], columns: Sequence[int]) -> str:
    line = ""
    for cell, end in zip(cells, columns, strict=False):
        line = (line + cell)[: end - 1].ljust(end - 1) + " "
    return (line + cells[-1]).rstrip() if len(cells) > len(columns) else line.rstrip()


def _memory(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
