"""Of several inputs with one output, the first owns it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.batch import claims as claiming
from convcli.batch.batch import Batch, Limits
from convcli.batch.inputs import InputFile
from convcli.core.errors import OutputError
from convcli.kernels.library import load_kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.batch.conftest import made, noise


def rival_folder(tmp_path: Path, pairs: int) -> Path:
    """Pairs x.gif and x.png, both of which become x.box3.png, because a GIF cannot hold the result."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(pairs):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 25, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.gif")
        (folder / f"{index}.png").write_bytes(noise(index + 100))
    return folder


@pytest.mark.parametrize("words", [(), ("--force",), ("--force", "-j", 1), ("-j", 5, "--report", "-")])
def test_of_two_inputs_with_one_output_the_first_wins(batch, tmp_path, words):
    """By the order of the inputs, whatever the number of workers; the other fails with a message."""
    folder, out = rival_folder(tmp_path, 6), tmp_path / "out"
    batch(*sorted(folder.glob("*.gif")), tmp_path / "gifs", "-k", "box3")
    ran = batch(folder, out, "-k", "box3", *words)
    assert made(out) == made(tmp_path / "gifs")
    assert ran.code == 1 and "6 done, 0 skipped, 6 failed" in ran.err
    for index in range(6):
        message = (
            f"{index}.png: its output {out}/{index}.box3.png is also that of {folder}/{index}.gif, which"
        )
        assert ran.err.count(message) == 1
    names = [f"{index}.png" for index in range(6)] + [f"{index}.gif" for index in range(6)]
    batch(*(folder / name for name in names), tmp_path / "other", "-k", "box3", *words)
    assert made(tmp_path / "other") != made(out)
    dry = batch(folder, tmp_path / "dry", "-k", "box3", *words, "-n")
    assert (dry.code, dry.err.count("which comes first")) == (1, 6)


def claims(places: dict[str, list[str]], template: str, folds: tuple[bool, bool], monkeypatch) -> list[str]:
    """The inputs that are refused, given the outputs that their headers lead to and how the folder folds."""
    sources = [InputFile(name) for name in places]
    wanted = Batch(sources, [Settings(load_kernel("box3"), output=OutputSpec(template))], Limits(1, 1, 2**30))
    monkeypatch.setattr(claiming, "name_folding", lambda folder: folds)
    owners, refused = claiming.Claims(wanted), []
    by_number = {
        number: {owners._key(Path(name)) for name in names} for number, names in enumerate(places.values())
    }
    monkeypatch.setattr(owners, "_outputs", by_number.__getitem__)
    for source in sources:
        try:
            owners.check(source, map(Path, places[source.path]))
        except OutputError:
            refused.append(source.path)
    return refused


@pytest.mark.parametrize(
    ("folds", "refused"),
    [
        ((False, False), []),
        ((True, False), ["b/X.png", "b/E\u0301.png"]),
        ((False, True), ["b/e\u0301.png"]),
        ((True, True), ["b/X.png", "b/e\u0301.png", "b/E\u0301.png"]),
    ],
)
def test_names_that_a_file_system_takes_for_one(folds, refused, monkeypatch):
    """Names that differ only in case or Unicode form collide only if the file system folds them."""
    names = ["a/x.png", "b/X.png", "a/\u00e9.png", "b/e\u0301.png", "b/E\u0301.png", "a/y.png"]
    places = {name: [f"out/{Path(name).stem}.box3.png"] for name in names}
    assert claims(places, "out/", folds, monkeypatch) == refused


@pytest.mark.parametrize(
    ("template", "places", "refused"),
    [
        (
            "o/{stem}{frame}.png",
            {"a": ["o/a10.png", "o/a11.png"], "a1": ["o/a10.png"], "b": ["o/b0.png"]},
            ["a1"],
        ),
        ("o/{stem}.{suffix}", {"x.gif": ["o/x.png"], "x.png": ["o/x.png"], "x.npy": ["o/x.npy"]}, ["x.png"]),
        ("o/{stem}{suffix}", {"x.a": ["o/x.a"], "x.b": ["o/x.b", "o/x.a"], "x.c": ["o/x.b"]}, ["x.b"]),
    ],
)
def test_what_an_input_that_fails_would_have_written_is_free(template, places, refused, monkeypatch):
    """Frames and suffixes are known from headers; only an input that is not refused itself owns a place."""
    assert claims(places, template, (False, False), monkeypatch) == refused


def test_file_systems_are_asked_whether_they_fold(tmp_path):
    """Here they do not; the test file is removed, and for a read-only folder the answer is no."""
    (tmp_path / "x").touch()
    folds = (tmp_path / "X").exists(), False
    assert claiming.name_folding(str(tmp_path / "not" / "yet")) == folds
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert claiming.name_folding("/proc") == (False, False)
