"""``convcli kernels``: list, show and export presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.files import STREAM

if TYPE_CHECKING:
    from convcli.kernel import Kernel


@click.group(invoke_without_command=True)
@click.pass_context
def kernels(context: click.Context) -> None:
    """List the presets, show one, or export it.

    \b
      convcli kernels
      convcli kernels show sobel-x
      convcli kernels export gaussian5 --format csv
    """
    if context.invoked_subcommand is None:
        context.invoke(list_)


@kernels.command("list")
@click.option("--tag", metavar="TAG", help="Only presets with this tag, such as edge or blur.")
def list_(tag: str | None = None) -> None:
    """Every preset, with its size and its sum."""
    from convcli.presets import FAMILIES, tagged
    from convcli.rational import text_of

    found = tagged(tag)
    if not found:
        raise click.BadParameter(f"no preset has the tag {tag!r}", param_hint="--tag")
    width = max(len(kernel.name) for kernel in found)
    for kernel in found:
        size = f"{kernel.size[0]}×{kernel.size[1]}"
        total = f"sum {text_of(kernel.sum)}" if not kernel.combine else f"{kernel.combine} of {kernel.maps}"
        also = f" (also {', '.join(kernel.about.aliases)})" if kernel.about.aliases else ""
        click.echo(f"{kernel.name:<{width}}  {size:<5} {total:<8}  {kernel.about.description}{also}")
    if tag is None:
        click.echo("\nWith numbers of your own:")
        for family in FAMILIES.values():
            click.echo(f"  {family.usage}: {family.description}")


@kernels.command()
@click.argument("kernel", type=options.Parsed("KERNEL", options.load))
def show(kernel: Kernel) -> None:
    """The matrix of KERNEL, its sum, its range, and whether it is separable."""
    from convcli.kernelview import facts, matrices
    from convcli.report import table

    title = f"{kernel.name}: {kernel.about.description}" if kernel.about.description else kernel.name
    click.echo(title)
    for heading, lines in matrices(kernel):
        click.echo("")
        if heading:
            click.echo(f"  {heading}")
        for line in lines:
            click.echo(f"    {line}")
    click.echo("\n" + table(facts(kernel)), nl=False)


@kernels.command()
@click.argument("kernel", type=options.Parsed("KERNEL", options.load))
@click.option(
    "--format", "format_name", type=click.Choice(["yaml", "csv"]), help="Default: OUT's suffix, or yaml."
)
@click.option("-o", "--output", metavar="OUT", default="-", help="A file; standard output by default.")
@options.force
def export(kernel: Kernel, **given: Any) -> None:
    """Write KERNEL as a file that --kernel reads back exactly."""
    from pathlib import Path

    from convcli import drafts, kernelfile

    chosen = given["format_name"] or ("csv" if given["output"].lower().endswith(".csv") else "yaml")
    text = kernelfile.WRITERS[chosen](kernel)
    if given["output"] == STREAM:
        click.echo(text, nl=False)
        return
    target = Path(given["output"])
    drafts.Ledger().claim(target, given["force"])
    drafts.write(target, text.encode(), given["force"])
