"""``convcli shape``: sizes without a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options

if TYPE_CHECKING:
    from convcli.geometry import Geometry


@click.command()
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]")
@click.option(
    "-k",
    "--kernel",
    required=True,
    metavar="ROWSxCOLUMNS[xMAPS]|KERNEL",
    help="The window's size, or a kernel.",
)
@options.kernel_path
@options.convolution
@click.option("--report", type=click.Choice(["text", "json"], case_sensitive=False), default="text")
def shape(size: str, kernel: str, **given: Any) -> None:
    """The shape of a feature map, with its formula, without a picture.

    \b
      convcli shape 512x512 --kernel 3x3 --stride 2,1 --padding valid
    """
    from convcli.geometry import geometry, parse_sizes

    rows, columns, channels = (*parse_sizes("size", size, (2, 3), "x×"), 1)[:3]
    window, inputs, maps = _window(kernel)
    if inputs not in (None, channels):
        raise click.BadParameter(
            f"it takes {inputs} input channels, the picture has {channels}", param_hint="--kernel"
        )
    found = geometry((rows, columns), window, given["stride"], given["padding"], given["dilation"])
    shapes = (1, rows, columns, channels), (1, *found.output, maps or channels)
    if given["report"] == "json":
        from convcli.report import to_json

        click.echo(to_json(_as_dict(found, given, shapes)))
    else:
        click.echo(_as_text(found, given, shapes), nl=False)


def _window(text: str) -> tuple[tuple[int, ...], int | None, int | None]:
    """(rows, columns) of ``3x3`` or of a kernel, and its channels in and out where it says them."""
    import re

    from convcli.geometry import parse_sizes

    if re.fullmatch(r"-?\d+([x×]-?\d+)*", text.strip().casefold()):
        numbers = parse_sizes("kernel", text, (1, 2, 3), "x×")
        if len(numbers) == 1:
            return numbers * 2, None, None
        return numbers[:2], None, numbers[2] if len(numbers) == 3 else None
    kernel = options.load(text)
    layered = kernel.weights.ndim == 4 and not kernel.combine
    if not layered:
        return kernel.size, None, None
    return kernel.size, kernel.tensor_shape[2], kernel.maps


def _as_text(found: Geometry, given: dict[str, Any], shapes: tuple[tuple[int, ...], ...]) -> str:
    from convcli.report import geometry_lines, table, to_nchw

    window = " × ".join(str(axis.kernel) for axis in found.axes)
    lines = [
        ("input", f"{shapes[0]} NHWC, {to_nchw(shapes[0])} NCHW"),
        ("kernel", f"{window}, covers {' × '.join(str(axis.extent) for axis in found.axes)}"),
        *geometry_lines(found, _padding_text(given)),
        ("output", f"{shapes[1]} NHWC, {to_nchw(shapes[1])} NCHW"),
        *_other_paddings(found, given),
    ]
    return table(lines)


def _padding_text(given: dict[str, Any]) -> str:
    source = click.get_current_context().get_parameter_source("padding")
    by_default = source is not None and source.name == "DEFAULT"
    return f"{given['padding']}{' (the default; layers often use valid)' if by_default else ''}"


def _other_paddings(found: Geometry, given: dict[str, Any]) -> list[tuple[str, str]]:
    """What the named amounts of padding would give."""
    from convcli.geometry import geometry
    from convcli.padding import Padding

    parts = []
    for amount in ("valid", "same", "full"):
        try:
            other = geometry(found.input, found.kernel, given["stride"], Padding(amount), given["dilation"])
        except ValueError:
            continue
        parts.append(f"{amount} {'×'.join(map(str, other.output))}")
    return [("paddings", ", ".join(parts))]


def _as_dict(found: Geometry, given: dict[str, Any], shapes: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    from convcli.report import SCHEMA, axes_dict, to_nchw

    return {
        "schema": SCHEMA,
        "padding": str(given["padding"]),
        "axes": axes_dict(found),
        "uncovered": found.uncovered,
        **{
            name: {"nhwc": list(shape), "nchw": list(to_nchw(shape))}
            for name, shape in zip(("input", "output"), shapes, strict=True)
        },
    }
