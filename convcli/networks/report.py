"""A network as a table of its nodes, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.core.numerals import grouped, with_minus
from convcli.core.tables import SCHEMA, table
from convcli.networks.effects import Opaque
from convcli.networks.fields import Field, receptive_fields
from convcli.networks.graph import Network, Node, Sizes

_WIDTH: Final = 100  # characters of a line of the table
_NAME, _OPERATION = 12, 30  # least and most characters of a column
_GAP: Final = 2
_SIDES: Final = "><<<>><<<"
"""How each column is aligned."""


@frozen(eq=False)
class Line:
    """A line of the table: a node, and the activations after it that are not lines of their own.

    Attributes:
        node: whose name and numbers the line has.
        activations: operators of single values that follow it alone.
    """

    node: Node
    activations: tuple[str, ...] = ()


def lines(network: Network) -> list[Line]:
    """The nodes that change a shape, join tensors or have parameters.

    Functions of single values, such as Relu, are put into the line of the node before them if nothing else
    reads that node's result, and are left out otherwise.
    """
    readers: dict[str, int] = {}
    for node in network.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    made: list[Line] = []
    by_output: dict[str, int] = {}
    for node in network.nodes:
        if node.plain:
            index = by_output.get(node.inputs[0])
            if index is not None and readers[node.inputs[0]] == 1 and node.inputs[0] not in network.outputs:
                made[index] = Line(made[index].node, (*made[index].activations, node.operator))
                by_output |= dict.fromkeys(node.outputs, index)
            continue
        made.append(Line(node))
        by_output |= dict.fromkeys(node.outputs, len(made) - 1)
    return made


def as_text(network: Network) -> str:
    """The table of a network, with totals."""
    fields = receptive_fields(network)
    rows = [_header(network)]
    rows += [_row(place, line, network, fields) for place, line in enumerate(lines(network), 1)]
    facts = [
        ("input", f"{one_line(network.input)}, {_tuple_text(network.sizes[network.input])} {network.layout}"),
        *(("output", text) for text in _outputs(network)),
        ("parameters", grouped(parameter_count(network.nodes))),
        ("multiply-adds", _total_text(network)),
        *(("legend", text) for text in _legend(network)),
        *(("note", note) for note in (*network.notes, *_unknown_notes(fields))),
    ]
    return f"{network.place}\n{''.join(_aligned(rows))}\n{table(facts)}"


def _header(network: Network) -> tuple[str, ...]:
    order = network.layout[1:]
    return "", "node", "operation", f"output {order}", "params", "mult-adds", "field", "jump", "offset"


def _row(place: int, line: Line, network: Network, fields: dict[str, Field]) -> tuple[str, ...]:
    node, field = line.node, fields[line.node.outputs[0]]
    operation = " ".join(filter(None, (node.operator, node.details)))
    return (
        str(place),
        one_line(node.name),
        one_line(" + ".join((operation, *line.activations))),
        _sizes_text(network.sizes[node.outputs[0]]),
        grouped(node.parameter_count) if node.parameter_count else "",
        "?" if node.multiply_adds is None else short(node.multiply_adds) if node.multiply_adds else "",
        "?" if field.size is None else "×".join(map(str, field.size)),
        "?" if field.unknown else _pair_text(field.jump),
        "?" if field.unknown else _pair_text(field.offset),
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines of at most `_WIDTH` characters if that is possible; long names lose their beginning."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = sum(widths) - widths[1] - widths[2] + _GAP * len(widths)
    operation = min(widths[2], _OPERATION)
    name = min(widths[1], max(_WIDTH - others - operation, _NAME))
    widths[1], widths[2] = name, min(widths[2], max(_WIDTH - others - name, operation))
    for row in rows:
        cells = [row[0], _end(row[1], widths[1]), _start(row[2], widths[2]), *row[3:]]
        text = (" " * _GAP).join(
            f"{cell:{side}{width}}" for cell, width, side in zip(cells, widths, _SIDES, strict=True)
        )
        yield f"  {text}".rstrip() + "\n"


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def _start(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def short(count: int) -> str:
    """A count to four digits: ``118.0 M``; small ones in full."""
    if count < 10_000:
        return str(count)
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count / 1000:.4g} k"


def _sizes_text(sizes: Sizes | None) -> str:
    """The sizes of a tensor without its batch."""
    return "?" if sizes is None else "×".join("?" if size is None else str(size) for size in sizes[1:])


def _tuple_text(sizes: Sizes | None) -> str:
    return "?" if sizes is None else f"({', '.join('?' if size is None else str(size) for size in sizes)})"


def _pair_text(values: tuple[Fraction, ...] | None) -> str:
    """A number for both axes if they are equal; empty if there is none."""
    if values is None:
        return ""
    texts = [number_text(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else "×".join(texts)


def offset_text(field: Field) -> str:
    """The center of the first value's field, ``0.5`` or ``(0.5, 2)``, in pixels; empty if there is none."""
    text = _pair_text(field.offset)
    return f"({text.replace('×', ', ')})" if "×" in text else text


def number_text(value: Fraction) -> str:
    """``32``, ``0.5``, ``1/3``."""
    decimal = f"{float(value):.4g}"
    return with_minus(decimal if Fraction(decimal) == value else str(value))


def _outputs(network: Network) -> Iterator[str]:
    for name in network.outputs:
        yield f"{one_line(name)}, {_tuple_text(network.sizes.get(name))}"


def parameter_count(nodes: Iterable[Node]) -> int:
    """The number of trained values of some nodes; those that several share count once."""
    trained: dict[str, int] = {}
    for node in nodes:
        trained |= node.parameters
    return sum(trained.values())


def multiply_adds(network: Network) -> tuple[int, bool]:
    """The products of all nodes whose shapes are known, and whether these are all nodes."""
    known = [node.multiply_adds for node in network.nodes if node.multiply_adds is not None]
    return sum(known), len(known) == len(network.nodes)


def _total_text(network: Network) -> str:
    total, complete = multiply_adds(network)
    return f"{'' if complete else 'at least '}{grouped(total)}"


def _unknown_notes(fields: dict[str, Field]) -> list[str]:
    """Why receptive fields are unknown, once for each reason."""
    reasons = dict.fromkeys(field.unknown for field in fields.values() if field.unknown)
    return [f"receptive fields are unknown (?) from a node on: {one_line(reason)}" for reason in reasons]


_LETTERS: Final = (("s", "stride"), ("d", "dilation"), ("g", "groups"), ("↑", "factor"))


def _legend(network: Network) -> list[str]:
    """What the letters in operations mean, those that occur."""
    words = [word for node in network.nodes for word in node.details.split()]
    marks = {word[0] for word in words if word[1:2].isdigit()}
    used = [f"{letter} {meaning}" for letter, meaning in _LETTERS if letter in marks]
    return [", ".join(used)] if used else []


def as_dict(network: Network) -> dict[str, Any]:
    """The network as JSON types, with all its nodes."""
    fields = receptive_fields(network)
    total, complete = multiply_adds(network)
    return {
        "schema": SCHEMA,
        "model": network.place,
        "input": {**_tensor(network.input, network), "layout": network.layout},
        "nodes": [_node_dict(node, network, fields) for node in network.nodes],
        "outputs": [_tensor(name, network) for name in network.outputs],
        "parameters": parameter_count(network.nodes),
        "multiply_adds": total if complete else None,
        "notes": [*network.notes, *_unknown_notes(fields)],
    }


def _tensor(name: str, network: Network) -> dict[str, Any]:
    return {"name": name, "sizes": _listed(network.sizes.get(name))}


def _node_dict(node: Node, network: Network, fields: dict[str, Field]) -> dict[str, Any]:
    field, sizes = fields[node.outputs[0]], network.sizes[node.outputs[0]]
    return {
        "name": node.name,
        "operator": node.operator,
        "known": not isinstance(node.effect, Opaque),
        "details": node.details,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "sizes": _listed(sizes),
        "parameters": node.parameter_count,
        "multiply_adds": node.multiply_adds,
        "receptive_field": _listed(field.size),
        "jump": _floats(field.jump),
        "offset": _floats(field.offset),
    }


def _listed(sizes: Sequence[int | None] | None) -> list[int | None] | None:
    return None if sizes is None else list(sizes)


def _floats(values: tuple[Fraction, ...] | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]
