"""What CONVCLI_NATIVE chooses, and what is said about it."""

from __future__ import annotations

import json

import pytest

from convcli.core.errors import ArgumentError
from convcli.native import loader
from tests.conftest import ROOT, forget_plans

BUILT = pytest.mark.skipif(loader.extension() is None, reason="the compiled extension is not in use")


@pytest.fixture
def chosen(monkeypatch):
    """Set the variable as if the process had started with it."""

    def choose(value: str) -> None:
        monkeypatch.setenv(loader.SWITCH, value)
        forget()

    def forget() -> None:
        loader._found.cache_clear()
        forget_plans()

    yield choose
    monkeypatch.undo()
    forget()
    loader.extension()  # the instruction set of the other tests


@BUILT
def test_every_instruction_set_by_name(chosen):
    """In any case; the first one is the default."""
    names = loader.extension().instruction_sets()
    assert names[-1] == "baseline"
    for name in names:
        chosen(name.upper())
        assert loader.instruction_set() == loader.description() == name
    chosen("")
    assert loader.instruction_set() == names[0]


def test_zero_turns_it_off(chosen, run):
    """Methods of the extension say that they need it, and the plan's last line why it is not in use."""
    chosen("0")
    assert loader.extension() is None and loader.instruction_set() is None
    text = run("plan", "9x9", "-k", "box3").text
    assert "direct     not applicable: it needs the compiled extension, which is off" in text
    assert text.endswith("  compiled extension: off (CONVCLI_NATIVE=0)\n")
    assert json.loads(run("plan", "9x9", "-k", "box3", "--report", "json").text)["instruction_set"] is None


@BUILT
def test_the_plan_names_the_instruction_set(chosen, run):
    """As text and as JSON."""
    chosen("baseline")
    assert run("plan", "9x9", "-k", "box3").text.endswith("\n  compiled extension: baseline\n")
    report = json.loads(run("plan", "9x9", "-k", "box3", "--report", "json").text)
    assert report["instruction_set"] == "baseline"


@BUILT
@pytest.mark.parametrize("value", ["1", "AVX9", "off", "baseline "])
def test_other_values_are_one_error(chosen, run, value, tmp_path):
    """Also for a folder, in which no image would succeed, and none is tried."""
    chosen(value)
    with pytest.raises(ArgumentError, match="; allowed on this processor: 0, "):
        loader.extension()
    ran = run("batch", ROOT / "samples", tmp_path / "out", "-k", "box3")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"convcli: CONVCLI_NATIVE is {value!r}; allowed")


def test_without_the_extension(chosen, monkeypatch):
    """It is said to be missing, or why it cannot be used; an instruction set cannot be chosen."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    def damaged(name: str) -> None:
        raise ImportError("invalid ELF header")

    monkeypatch.setattr(loader, "import_module", missing)
    chosen("")
    assert (loader.extension(), loader.description()) == (None, "not installed")
    chosen("AVX2")
    with pytest.raises(
        ArgumentError, match="is 'AVX2', but the compiled extension is not installed; allowed: 0"
    ):
        loader.extension()
    monkeypatch.setattr(loader, "import_module", damaged)
    chosen("")
    assert (loader.extension(), loader.description()) == (None, "not usable (invalid ELF header)")
    chosen("AVX2")
    with pytest.raises(ArgumentError, match="is 'AVX2', but the compiled extension is not usable"):
        loader.extension()


def test_other_commands_ignore_it(chosen, run):
    """A wrong value does not keep the help from being read."""
    chosen("wrong")
    assert run("--version").code == run("apply", "--help").code == run("kernels", "list").code == 0
