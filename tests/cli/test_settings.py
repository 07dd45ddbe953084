"""The options of a command line become settings by functions on values, without click."""

from __future__ import annotations

import click
import pytest

import convcli
from convcli.cli.arguments import OutputOptions, parse
from convcli.core.errors import ArgumentError
from convcli.kernels.kernel import Kernel, Layer
from convcli.pipeline.options import FilterOptions
from convcli.pipeline.resolving import resolve_padding, settings_of, settings_of_kernels
from convcli.pipeline.settings import Settings


def trained(padding: str = "1", bias: tuple[float, ...] = (0.5,)) -> Kernel:
    """A kernel that comes from a layer with stride 2."""
    layer = Layer("out, in, rows, columns", stride=(2, 2), padding=padding, bias=bias)
    return Kernel([[1, 2, 1]] * 3, layer=layer)


def given(**options: object) -> FilterOptions:
    """Options that are all on the command line."""
    return FilterOptions(**options, explicit=frozenset(options))


def test_defaults_are_those_of_the_settings():
    """Without options, every setting has its default; the stride of one number and of two are the same."""
    kernel = convcli.load_kernel("box3")
    settings, default = settings_of(FilterOptions(), kernel), Settings(kernel)
    fields = [name for name in Settings.__match_args__ if name != "kernel"]
    different = [name for name in fields if repr(getattr(settings, name)) != repr(getattr(default, name))]
    assert different == []


@pytest.mark.parametrize(
    ("options", "padding", "flip"),
    [
        (given(padding="valid"), "valid:zero", False),
        (given(padding="same:edge", flip=True), "same:edge", True),
        (given(like="keras"), "valid:zero", False),
        (given(like="torch", padding="1"), "1:zero", False),
        (given(like="scipy"), "full:zero", True),
        (given(like="scipy", flip=False), "full:zero", False),
        (given(like="opencv", padding="same:replicate"), "1,1:edge", False),
    ],
)
def test_padding_is_read_once_both_it_and_the_library_are_known(options, padding, flip):
    """The text, in this project's words or in the library's; without a text, the library's default."""
    resolved, flipped, note = resolve_padding(options, (3, 3))
    assert (str(resolved), flipped, bool(note)) == (padding, flip, options.like is not None)


@pytest.mark.parametrize(
    ("options", "stride", "padding"),
    [
        (given(layer=True), (2, 2), "1:zero"),
        (given(layer=True, stride=(3,)), (3,), "1:zero"),
        (given(layer=True, padding="valid"), (2, 2), "valid:zero"),
        (given(layer=True, like="torch"), (2, 2), "1:zero"),
        (given(), (1, 1), "same:reflect"),
    ],
)
def test_explicit_options_take_precedence_over_the_layer(options, stride, padding):
    """--layer fills in what the command line does not say."""
    settings = settings_of(options, trained())
    assert (settings.stride, str(settings.padding)) == (stride, padding)
    assert any("layer" in note for note in settings.notes)


@pytest.mark.parametrize(
    ("options", "kernels", "words"),
    [
        (given(layer=True), [convcli.load_kernel("box3")], "does not come from a layer"),
        (given(layer=True), [trained(padding="")], "--layer also needs --stride and --padding"),
        (given(stack=True, combine="l2"), [convcli.load_kernel("box3")], "--stack keeps the maps"),
        (given(padding="nonsense"), [convcli.load_kernel("box3")], "padding 'nonsense'"),
        (given(like="keras", padding="reflect"), [convcli.load_kernel("box3")], "has no padding"),
    ],
)
def test_contradictions(options, kernels, words):
    """Options that do not fit each other, the kernel or the library."""
    with pytest.raises(ArgumentError, match=words):
        settings_of_kernels(options, kernels)


def test_kernels_of_one_name_are_numbered():
    """Results are named after their kernels, so names differ."""
    box, other = (convcli.load_kernel(name) for name in ("box3", "box5"))
    settings = settings_of_kernels(FilterOptions(), [box, other, box, box])
    assert [setting.kernel.name for setting in settings] == ["box3", "box5", "box3-2", "box3-3"]
    assert len(settings_of_kernels(given(stack=True), [box, other])) == 1


def test_parse_knows_what_the_command_line_gives():
    """A value takes the parameters of its fields, and the names of the explicit ones."""
    made = []

    @click.command()
    @click.option("--stride", default="1")
    @click.option("--flip", is_flag=True)
    @click.option("--output")
    def command(**parameters: object) -> None:
        made.extend(parse(kind, parameters) for kind in (FilterOptions, OutputOptions))

    command.main(["--flip", "--output", "term:kitty"], standalone_mode=False)
    options, output = made
    assert (options.stride, options.flip, options.explicit) == ("1", True, {"flip", "output"})
    assert (output.terminal, output.draws) == ("kitty", True)
