"""Batches: what goes where, past every failure; what is left after any stop; and how to go on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from convcli.batch import claims as claiming
from convcli.batch.batch import Batch, Limits
from convcli.batch.inputs import InputFile
from convcli.core.errors import OutputError
from convcli.files.input import Input
from convcli.formats import registry
from convcli.formats.header import Metadata
from convcli.kernels.library import load_kernel
from convcli.pipeline import job
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.conftest import SAMPLES

PROGRAM = shlex.quote(sys.executable)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SAMPLES.parent)}


def batch(*words: object, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "convcli", "batch", *map(str, words)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        cwd=cwd,
        check=False,
        timeout=60,
        **{"env": ENVIRONMENT, **options},
    )


def started(*words: object, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "convcli", "batch", *map(str, words)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def noise(seed: int, size: int = 24) -> bytes:
    """A PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size + 1, 3), np.uint8)
    return bytes(imagecodecs.png_encode(pixels))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of good, odd and broken pictures, in a tree."""
    folder = tmp_path / "in"
    (folder / "sub" / "deep").mkdir(parents=True)
    for index in range(5):
        (folder / f"{index}.png").write_bytes(noise(index))
    (folder / "sub" / "a.png").write_bytes(noise(7))
    (folder / "sub" / "deep" / "b.PNG").write_bytes(noise(8))
    (folder / "cut.png").write_bytes(noise(9)[:200])
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("left alone")
    (folder / ".hidden.png").write_bytes(noise(1))
    return folder


def made(folder: Path) -> dict[str, str]:
    """Every file of a tree, with the sum of its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict]:
    return [row for row in map(json.loads, path.read_text().splitlines()) if "batch" in row]


def inputs(path: Path) -> list[str]:
    """The inputs of a manifest's rows."""
    if path.suffix == ".jsonl":
        return [row["input"]["name"] for row in rows(path)]
    with path.open() as file:
        return [row["input"] for row in csv.DictReader(file)]


def test_a_folder_is_filtered_past_its_failures(album, tmp_path):
    """Good pictures are what apply makes of them, bad ones a line each, and the exit code tells."""
    ran = batch(album, tmp_path / "out", "-k", "box3")
    assert ran.returncode == 1
    *failures, last = ran.stderr.splitlines()
    assert sorted(line.split(": ")[1] for line in failures) == [f"{album}/cut.png", f"{album}/text.png"]
    assert last.startswith("convcli: 5 done, 0 skipped, 2 failed in ")
    assert ran.stdout == ""
    assert sorted(made(tmp_path / "out")) == [f"{index}.box3.png" for index in range(5)]
    for index in range(5):
        one = tmp_path / "one.png"
        words = ["apply", album / f"{index}.png", "-k", "box3", "-o", one, "-q", "--force"]
        subprocess.run([sys.executable, "-m", "convcli", *map(str, words)], check=True, env=ENVIRONMENT)
        assert one.read_bytes() == (tmp_path / "out" / f"{index}.box3.png").read_bytes()


def test_any_number_of_workers_makes_the_same(album, tmp_path):
    """Bytes do not depend on --jobs or --threads, nor does the order of the manifest."""
    found = []
    for number, options in enumerate((["-j", 1], ["-j", 3], ["-j", 2, "--threads", 2])):
        out, log = tmp_path / f"out{number}", tmp_path / f"{number}.jsonl"
        batch("-r", album, out, "-k", "gaussian5", "-k", "sobel-x", "--report", log, *options)
        found.append((made(out), [(row["input"]["name"], row["batch"]["part"]) for row in rows(log)]))
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) == 14


def test_options_mean_what_they_do_for_one_picture(album, tmp_path):
    """Maps that are combined, stacked or colored, of several kernels too: the files that apply writes."""
    two = ["-k", "sobel-x", "-k", "sobel-y"]
    for number, options in enumerate(
        (
            [*two, "--stack"],
            [*two, "--stack", "--format", "tiff", "--map", "raw"],
            [*two, "--combine", "l2", "--colormap", "viridis"],
            ["-k", "sobel-x", "--colormap", "diverging"],
        )
    ):
        batched, single = tmp_path / f"b{number}", tmp_path / f"a{number}"
        assert batch(album / "0.png", album / "1.png", batched, *options).returncode == 0
        words = ["apply", album / "0.png", album / "1.png", "-o", f"{single}/", "-q", *options]
        subprocess.run([sys.executable, "-m", "convcli", *map(str, words)], check=True, env=ENVIRONMENT)
        assert made(batched) == made(single)
        assert len(made(batched)) == 2
        again = batch(album / "0.png", album / "1.png", batched, *options)
        assert "2 of 2 outputs already exist" in again.stderr


def test_trees_patterns_and_lists(album, tmp_path):
    """-r keeps the tree; patterns, lists of names and -0 take what they name, each picture once."""
    batch("-r", album, tmp_path / "tree", "-k", "box3")
    assert {"sub/a.box3.png", "sub/deep/b.box3.PNG"} < set(made(tmp_path / "tree"))
    dotted = f"{album}/./1.png", f"{album}/sub/../2.png"
    batch(album / "[0-2].png", album / "1.png", *dotted, tmp_path / "some", "-k", "box3")
    assert sorted(made(tmp_path / "some")) == [f"{index}.box3.png" for index in range(3)]
    names = [f"{album}/3.png", f"{album}/4.png"]
    (tmp_path / "list").write_text("\n".join(names) + "\n")
    batch("--from-file", tmp_path / "list", tmp_path / "listed", "-k", "box3")
    ran = batch("-0", "-", tmp_path / "piped", "-k", "box3", input="\0".join(names))
    assert ran.returncode == 0
    assert made(tmp_path / "listed") == made(tmp_path / "piped")
    assert len(made(tmp_path / "piped")) == 2


def test_templates_and_a_dry_run(album, tmp_path):
    """-n shows every input with its output and does nothing; a template names the outputs."""
    ran = batch("-n", "-r", album, tmp_path / "{stem}-{kernel}.tif", "-k", "box3", "-k", "box5")
    assert ran.returncode == 1
    assert f"{album}/sub/a.png → {tmp_path}/sub/a-box5.tif" in ran.stdout.splitlines()
    assert len(ran.stdout.splitlines()) == 14 + 2
    assert "text.png: not a picture" in ran.stderr
    assert not list(tmp_path.rglob("*.tif"))
    batch(album / "0.png", tmp_path / "{stem}-{kernel}.tif", "-k", "box3")
    assert (tmp_path / "0-box3.tif").exists()


def test_kernels_of_one_name_are_numbered(run, tmp_path):
    """Two typed kernels, or one twice, have results of their own, in folders and beside the picture."""
    source = SAMPLES / "scene.png"
    kernels = ["-k", "1 0 -1", "-k", "1 2 1", "-k", "box3", "-k", "box3", "-q"]
    names = {f"scene.{name}.png" for name in ("inline", "inline-2", "box3", "box3-2")}
    for words in (["batch", source, tmp_path / "a"], ["apply", source, "-o", f"{tmp_path}/b/"]):
        ran = run(*words, *kernels)
        assert (ran.code, ran.err) == (0, "")
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    assert made(tmp_path / "a") == made(tmp_path / "b")


@pytest.mark.parametrize(
    ("place", "kernels", "told"),
    [
        ("{stem}{suffix}", ["box3", "box5"], "the maps of 2 kernels would all be written to"),
        ("{stem}-{index}{suffix}", ["box3", "box5"], "the maps of 2 kernels would all be written to"),
        ("{stem}{suffix}", ["kirsch"], "kirsch gives 8 feature maps; the template needs {index}"),
    ],
)
def test_templates_that_tell_no_results_apart(run, tmp_path, place, kernels, told):
    """They are refused before any picture is read, dry runs too."""
    words = [word for kernel in kernels for word in ("-k", kernel)]
    for dry in ([], ["-n"]):
        ran = run("batch", SAMPLES / "scene.png", f"{tmp_path}/out/{place}", *words, *dry)
        assert (ran.code, told in ran.err, ran.err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_manifest_has_a_row_for_everything(album, tmp_path, kind):
    """Reports in the order of the inputs, with sums of inputs and outputs, and the failures."""
    log = tmp_path / f"log.{kind}"
    batch(album, tmp_path / "out", "-k", "box3", "-k", "identity", "--report", log)
    if kind == "jsonl":
        found = [
            {**row["batch"], "input": row["input"]["name"], "output": row.get("output", {}).get("name")}
            for row in rows(log)
        ]
    else:
        with log.open() as file:
            found = list(csv.DictReader(file))
    assert [Path(row["input"]).name for row in found] == [
        *(f"{index}.png" for index in range(5) for _ in range(2)),
        "cut.png",
        "text.png",
    ]
    for row in found:
        assert bool(row["error"]) == (Path(row["input"]).name in ("cut.png", "text.png"))
        for side in ("input", "output"):
            if not row["error"]:
                data = Path(row[side]).read_bytes()
                assert row[f"{side}_sha256"] == hashlib.sha256(data).hexdigest()
                assert int(row[f"{side}_bytes"]) == len(data)


def test_the_csv_form_is_that_of_apply(run, album, tmp_path):
    """Every cell of ``apply --report csv`` stands in a batch's manifest too, under the same name."""
    single, whole = tmp_path / "one.csv", tmp_path / "log.csv"
    words = ("-k", "sobel-x", "--stride", "4,3", "--padding", "valid")
    run(
        "apply", album / "0.png", *words, "-o", tmp_path / "0.png", "--report", "csv", "--report-file", single
    )
    batch(album, tmp_path / "out", *words, "--report", whole)
    one, row = (next(csv.DictReader(io.StringIO(path.read_text()))) for path in (single, whole))
    assert list(row)[: len(one)] == list(one)
    assert {"uncovered", "parameters", "multiply_adds"} <= set(one)
    changing = {"output", "seconds"}
    assert {key: row[key] for key in set(one) - changing} == {key: one[key] for key in set(one) - changing}


def test_a_manifest_of_other_columns_is_gone_on_with(album, tmp_path):
    """Rows are put under the columns of this version, and what they say is done stays done."""
    out, log = tmp_path / "out", tmp_path / "log.csv"
    batch(album, out, "-k", "box3", "--report", log)
    rows_before = list(csv.DictReader(io.StringIO(log.read_text())))
    names = [name for name in rows_before[0] if name not in ("uncovered", "frames")]
    with log.open("w", newline="") as file:
        writer = csv.DictWriter(file, names[::-1], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows_before)
    assert "0 done, 5 skipped" in batch(album, out, "-k", "box3", "--report", log, "--resume").stderr
    again = list(csv.DictReader(io.StringIO(log.read_text())))
    assert list(again[0]) == list(rows_before[0])
    assert again[0] == {**rows_before[0], "uncovered": "", "frames": ""}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_resume_does_what_is_not_done(album, tmp_path, kind):
    """What is as the manifest says is left; lost outputs, changed inputs and failures are done again."""
    out, log = tmp_path / "out", tmp_path / f"log.{kind}"
    words = (album, out, "-k", "box3", "-k", "box5", "--report", log)
    batch(*words)
    before = made(out)
    (album / "cut.png").write_bytes(noise(9))
    (out / "2.box5.png").unlink()
    (out / "3.box3.png").write_bytes(b"spoilt")
    ran = batch(*words, "--resume")
    assert "3.box3.png: already exists" in ran.stderr, "a file with other bytes is nobody's to replace"
    (out / "3.box3.png").unlink()
    untouched = (out / "0.box3.png").stat().st_mtime_ns
    ran = batch(*words, "--resume")
    assert "1 done, 5 skipped, 1 failed" in ran.stderr
    assert (out / "0.box3.png").stat().st_mtime_ns == untouched
    after = made(out)
    assert {name: after[name] for name in before} == before
    names = [Path(name).name for name in inputs(log)]
    assert names == sorted(names), "a resumed manifest is in the order of the inputs"
    (album / "4.png").write_bytes(noise(99))
    ran = batch(*words, "--resume")
    assert "2 results to redo (input changed: 2)" in ran.stderr
    assert "1 done, 5 skipped, 1 failed" in ran.stderr
    assert len(inputs(log)) == 13


def test_a_dry_run_shows_what_resuming_would_do(album, tmp_path):
    """Nothing that is done, and whatever is not."""
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    batch(album, out, "-k", "box3", "--report", log)
    (out / "2.box3.png").unlink()
    before = log.read_bytes()
    ran = batch(album, out, "-k", "box3", "--report", log, "--resume", "-n")
    due = [f"{album}/{name}.png → {out}/{name}.box3.png" for name in ("2", "cut")]
    assert ran.stdout.splitlines() == due
    assert log.read_bytes() == before


def test_a_manifest_that_was_cut_is_resumed(album, tmp_path):
    """The last line, cut anywhere by a killed run, is done again; junk is no row."""
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    batch(album, out, "-k", "box3", "--report", log)
    before, text = made(out), log.read_bytes()
    for length in (0, 1, 1500, len(text) // 2, len(text) - 1):
        log.write_bytes(text[:length])
        ran = batch(album, out, "-k", "box3", "--report", log, "--resume")
        assert made(out) == before
        assert len(rows(log)) == 7, ran.stderr
    log.write_bytes(b'{"batch": 3}\nnull\n[]\n\xff\n' + text)
    assert "5 skipped" in batch(album, out, "-k", "box3", "--report", log, "--resume").stderr


def test_refusals_before_anything_is_touched(album, tmp_path):
    """Outputs that all inputs share, that are inputs, or that exist; and commands that cannot be."""
    cases = {
        (
            album / "0.png",
            album / "1.png",
            f"{tmp_path}/out/{{kernel}}.png",
            "-k",
            "box3",
        ): "2 images would all",
        (album / "0.png", album / "{stem}.png", "-k", "box3"): "is the input itself (--force",
        (album / "*.gif", tmp_path / "out", "-k", "box3"): "no file matches this pattern",
        (album / "sub" / "deep", "-", "-k", "box3"): "not standard output",
        (tmp_path / "empty", tmp_path / "out", "-k", "box3"): "no images found in any SOURCE",
        (tmp_path / "out", "-k", "box3"): "needs a SOURCE and a DESTINATION",
        ("-k", "box3"): "needs a SOURCE and a DESTINATION",
        (album, album / "0.png", "-k", "box3"): "is a file; the DESTINATION (the last",
        (
            album,
            tmp_path / "out",
            "-k",
            "box3",
            "--report",
            "x.txt",
        ): "unknown suffix of a manifest; allowed: .jsonl",
        (album, tmp_path / "out", "-k", "box3", "--resume"): "--resume needs the manifest",
        (album, tmp_path / "out", "-k", "box3", "--max-memory", "much"): "'much' is not a number of bytes",
        (album, tmp_path / "out", "-k", "nonsense"): "nonsense",
    }
    (tmp_path / "empty").mkdir()
    for words, message in cases.items():
        ran = batch(*words)
        assert ran.returncode == 2, words
        assert message in ran.stderr
        assert ran.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()
    batch(album / "0.png", tmp_path / "out", "-k", "box3")
    ran = batch(album / "0.png", tmp_path / "out", "-k", "box3")
    assert (ran.returncode, "1 of 1 outputs already exist" in ran.stderr) == (2, True)


def test_results_may_lie_within_the_inputs(album):
    """The folder of the results is no source, however often it is run."""
    for _ in range(2):
        ran = batch("-r", album, album / "out", "-k", "box3", "--force")
        assert "7 done, 0 skipped, 2 failed" in ran.stderr
    assert not (album / "out" / "out").exists()


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
def test_of_two_inputs_with_one_output_the_first_wins(tmp_path, words):
    """By the order of the inputs, whatever the number of workers, whoever is faster; the other is told."""
    folder, out = rival_folder(tmp_path, 6), tmp_path / "out"
    batch(*sorted(folder.glob("*.gif")), tmp_path / "gifs", "-k", "box3")
    ran = batch(folder, out, "-k", "box3", *words)
    assert made(out) == made(tmp_path / "gifs")
    assert ran.returncode == 1 and "6 done, 0 skipped, 6 failed" in ran.stderr
    for index in range(6):
        told = f"{index}.png: its output {out}/{index}.box3.png is also that of {folder}/{index}.gif, which"
        assert ran.stderr.count(told) == 1
    names = [f"{index}.png" for index in range(6)] + [f"{index}.gif" for index in range(6)]
    batch(*(folder / name for name in names), tmp_path / "other", "-k", "box3", *words)
    assert made(tmp_path / "other") != made(out)
    dry = batch(folder, tmp_path / "dry", "-k", "box3", *words, "-n")
    assert (dry.returncode, dry.stderr.count("which comes first")) == (1, 6)


def claims(places: dict[str, list[str]], template: str, folds: tuple[bool, bool], monkeypatch) -> list[str]:
    """The inputs that are refused, of some whose headers lead to these places, in a folder that folds so."""
    sources = [InputFile(name) for name in places]
    wanted = Batch(sources, [Settings(load_kernel("box3"), output=OutputSpec(template))], Limits(1, 1, 2**30))
    monkeypatch.setattr(claiming, "name_folding", lambda folder: folds)
    found, refused = claiming.Claims(wanted), []
    by_number = {
        number: {found._key(Path(name)) for name in names} for number, names in enumerate(places.values())
    }
    monkeypatch.setattr(found, "_outputs", by_number.__getitem__)
    for source in sources:
        try:
            found.check(source, map(Path, places[source.path]))
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
    """Names that differ in case or Unicode form alone meet where the file system folds them, only there."""
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
    """Here they do not; nothing is left of the question, and a folder that cannot be written answers no."""
    (tmp_path / "x").touch()
    folds = (tmp_path / "X").exists(), False
    assert claiming.name_folding(str(tmp_path / "not" / "yet")) == folds
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert claiming.name_folding("/proc") == (False, False)


def test_stop_at_the_first_error(tmp_path):
    """--on-error stop begins nothing new, and says how much was not begun."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(30):
        (folder / f"{index:02}.png").write_bytes(b"" if index == 3 else noise(index))
    ran = batch(folder, tmp_path / "out", "-k", "box3", "--on-error", "stop", "-j", 1)
    assert ran.returncode == 1
    assert "1 failed, " in ran.stderr and "not started" in ran.stderr
    assert len(made(tmp_path / "out")) < 10


def slow_folder(tmp_path: Path, count: int = 8) -> Path:
    """Pictures that take a while with a large kernel by plain sums."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(count):
        (folder / f"{index}.png").write_bytes(noise(index, 300))
    return folder


SLOWLY = ("-k", "gaussian:12,size=41", "--method", "shift")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def wait_for_results(process: subprocess.Popen[bytes], out: Path, count: int = 2) -> None:
    end = time.monotonic() + 30
    while len(list(out.glob("*.png"))) < count:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)


def wait_until_open(process: subprocess.Popen[bytes], path: Path) -> None:
    """Wait until a worker reads a file."""
    end = time.monotonic() + 30
    while not any(path in opened(pid) for pid in children(process.pid)):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)


def opened(pid: int) -> list[Path]:
    """What a process has open; nothing once it has ended."""
    try:
        return [link.resolve() for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_at_any_moment_a_batch_can_go_on(tmp_path, number):
    """No part of an output, no orphan; a resumed run ends with the bytes of an undisturbed one."""
    folder = slow_folder(tmp_path)
    batch(folder, tmp_path / "whole", *SLOWLY)
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    words = (folder, out, *SLOWLY, "--report", log)
    process = started(*words, cwd=tmp_path)
    wait_for_results(process, out)
    workers = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert b"Traceback" not in err
    assert workers and all(gone(worker) for worker in workers)
    whole = made(tmp_path / "whole")
    part = made(out)
    assert part.items() <= whole.items() and len(part) < len(whole)
    ran = batch(*words, "--resume")
    assert ran.returncode == 0, ran.stderr
    assert made(out) == whole
    assert len(rows(log)) == len(whole)


def test_a_worker_that_dies_costs_one_picture(tmp_path):
    """It is reported with its signal, and the batch goes on."""
    folder = slow_folder(tmp_path)
    log = tmp_path / "log.jsonl"
    process = started(folder, tmp_path / "out", *SLOWLY, "--report", log, "-j", 2, cwd=tmp_path)
    wait_for_results(process, tmp_path / "out")
    os.kill(children(process.pid)[-1], signal.SIGKILL)  # behind the monitor
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.count(b"its worker process was killed by SIGKILL") == 1
    assert b"7 done, 0 skipped, 1 failed" in err
    assert sum(bool(row["batch"]["error"]) for row in rows(log)) == 1
    assert len(made(tmp_path / "out")) == 7


def test_names_of_every_kind(tmp_path):
    """Newlines, dashes in front, bytes that are no text, 255 bytes: each filtered, or refused in one line."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [
        b"a\nb.png",
        b"-k.png",
        b"\xff\xfe.png",
        b"=1+1.png",
        b" .png",
        b"x" * 251 + b".png",
        b"{stem}.png",
    ]
    for index, name in enumerate(names):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(noise(index))
    log = tmp_path / "log.csv"
    ran = batch(folder, out, "-k", "box3", "--report", log)
    assert ran.stderr.splitlines()[-1].startswith("convcli: 6 done, 0 skipped, 1 failed")
    assert "File name too long" in ran.stderr
    assert len(ran.stderr.splitlines()) == 2
    assert len(made(out)) == 6
    ran = batch(folder, out, "-k", "box3", "--report", log, "--resume")
    assert "1 failed" in ran.stderr
    ran = batch("-0", "-", tmp_path / "two", "-k", "box3", input="-k.png\0a\nb.png\0", cwd=folder)
    assert sorted(made(tmp_path / "two")) == ["-k.box3.png", "a\nb.box3.png"]


def test_a_list_of_another_kind(tmp_path):
    """A list with NULs that is not said to have them is refused, whether its names have folders or not."""
    for text in ("in/a.png\0in/b.png\0", "in/a.png\0", "a.png\0b.png\0"):
        ran = batch("-", tmp_path / "out", "-k", "box3", input=text, cwd=tmp_path)
        told = "convcli: the list contains NUL bytes, as find -print0 writes them; use -0 to read it\n"
        assert (ran.returncode, ran.stderr) == (2, told)


def test_results_of_an_earlier_run_beside_the_images(tmp_path):
    """They are in the folder, so they count as images; a list that leaves them out goes on."""
    (tmp_path / "a.png").write_bytes(noise(1))
    words = ["{dir}/{stem}-new{suffix}", "-k", "box3", "--report", "log.jsonl"]
    assert batch(".", *words, cwd=tmp_path).returncode == 0
    ran = batch(".", *words, "--resume", cwd=tmp_path)
    assert (ran.returncode, "exclude it with a list or pattern" in ran.stderr) == (2, True)
    ran = batch("-", *words, "--resume", cwd=tmp_path, input="./a.png\n")
    assert (ran.returncode, "0 done, 1 skipped" in ran.stderr) == (0, True)


def test_links(tmp_path):
    """Links to folders are not followed within a tree, so that a loop ends; broken links are failures."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(noise(1))
    (folder / "loop").symlink_to(folder)
    (folder / "b.png").symlink_to(folder / "a.png")
    (folder / "c.png").symlink_to(folder / "nothing.png")
    ran = batch("-r", folder, tmp_path / "out", "-k", "box3")
    assert "c.png: No such file or directory" in ran.stderr
    assert sorted(made(tmp_path / "out")) == ["a.box3.png", "b.box3.png"]


def test_two_batches_into_one_folder(tmp_path):
    """Whoever comes second is refused file by file; every file is whole, and one manifest has one writer."""
    folder = slow_folder(tmp_path, 16)
    batch(folder, tmp_path / "whole", *SLOWLY)
    both = [started(folder, tmp_path / "out", *SLOWLY, "--force", cwd=tmp_path) for _ in range(2)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    assert made(tmp_path / "out") == made(tmp_path / "whole")
    log = tmp_path / "log.jsonl"
    first = started(folder, tmp_path / "logged", *SLOWLY, "--report", log, cwd=tmp_path)
    wait_for_results(first, tmp_path / "logged", 1)
    second = batch(folder, tmp_path / "logged", *SLOWLY, "--report", log, "--resume")
    assert "another run is writing to it" in second.stderr
    assert first.wait(60) == 0
    first.communicate()
    assert len(rows(log)) == 16


def test_a_monstrous_picture_does_not_bring_down_the_rest(tmp_path):
    """What needs more than --max-memory is refused; what needs more than a worker's share waits."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(6):
        (folder / f"{index}.png").write_bytes(noise(index))
    (folder / "large.png").write_bytes(imagecodecs.png_encode(np.zeros((6000, 5000), np.uint8), level=1))
    (folder / "huge.png").write_bytes(imagecodecs.png_encode(np.zeros((20000, 15000), np.uint8), level=1))
    ran = batch(folder, tmp_path / "out", "-k", "box3", "--max-memory", "200M", "-j", 2)
    assert "huge.png: needs about" in ran.stderr and "allowed: 200 MB (--max-memory)" in ran.stderr
    assert "7 done, 0 skipped, 1 failed" in ran.stderr
    assert (tmp_path / "out" / "large.box3.png").exists()


@pytest.mark.parametrize(
    "prefix",
    [
        "ulimit -n 32",
        "ulimit -v 1000000",
        "unset HOME TMPDIR; export LC_ALL=C",
        "umask 077",
        "exec 2>&-",
        "exec >&-",
    ],
)
def test_odd_surroundings(album, tmp_path, prefix):
    """Few descriptors, little memory, no home, closed streams: the same results."""
    command = f"{prefix}; {PROGRAM} -m convcli batch {album} {tmp_path}/out -k gaussian5 -q"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, env=ENVIRONMENT, check=False)
    assert ran.returncode == 1
    assert len(made(tmp_path / "out")) == 5, ran.stderr
    mode = (tmp_path / "out" / "0.gaussian5.png").stat().st_mode & 0o777
    assert mode == (0o600 if "umask" in prefix else 0o644)


def test_a_folder_that_is_gone_is_no_hindrance(album, tmp_path):
    """A working directory that was deleted matters to relative names alone."""
    place = tmp_path / "place"
    place.mkdir()
    command = f"cd {place}; rmdir {place}; {PROGRAM} -m convcli batch {album} {tmp_path}/out -k box3 -q"
    subprocess.run(["bash", "-c", command], capture_output=True, env=ENVIRONMENT, check=False)
    assert len(made(tmp_path / "out")) == 5


def test_full_disks(album, tmp_path):
    """Outputs that do not fit are failures, one line each, and leave nothing; so is a manifest."""
    command = f"ulimit -f 1; {PROGRAM} -m convcli batch {album} {tmp_path}/out -k box3"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert ran.stderr.count("File too large") == 5
    assert made(tmp_path / "out") == {}
    command = f"{PROGRAM} -m convcli batch {album} {tmp_path}/two -k box3 --report - > /dev/full"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert "standard output: No space left on device" in ran.stderr


def test_reports_on_standard_output_are_lines_of_json(album, tmp_path):
    """--report - is what jq reads; a reader that goes away is no error."""
    ran = batch(album, tmp_path / "out", "-k", "box3", "--report", "-", "-q")
    assert len([json.loads(line) for line in ran.stdout.splitlines()]) == 8, "a first line and seven rows"
    command = f"{PROGRAM} -m convcli batch {album} {tmp_path}/two -k box3 --report - -q | head -c 1"
    subprocess.run(["bash", "-c", command], capture_output=True, env=ENVIRONMENT, check=False)
    assert len(made(tmp_path / "two")) == 5


def test_an_input_that_is_replaced_meanwhile_is_a_failure(tmp_path):
    """Renamed over while it is computed: what is written would not be what the manifest says was read."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0.png").write_bytes(noise(0, 900))
    (tmp_path / "new.png").write_bytes(noise(50, 300))
    slower = ("-k", "gaussian:20,size=81", "--method", "shift")
    process = started(folder, tmp_path / "out", *slower, "--report", tmp_path / "log.jsonl", cwd=tmp_path)
    wait_until_open(process, folder / "0.png")
    (tmp_path / "new.png").rename(folder / "0.png")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"0.png: it changed while it was read" in err
    assert made(tmp_path / "out") == {}


def test_results_without_a_row_are_taken_by_another_number_of_workers(tmp_path):
    """Bytes of large pictures do not depend on workers, so that a resumed run finds its own."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.png").write_bytes(noise(index, 900))
    log = tmp_path / "log.jsonl"
    words = (folder, tmp_path / "out", "-k", "gaussian:5", "--method", "shift", "--report", log)
    batch(*words, "-j", 1)
    before = made(tmp_path / "out")
    lines = (tmp_path / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_text("".join(lines[:1] + lines[2:]))
    ran = batch(*words, "-j", 2, "--threads", 3, "--resume")
    assert "1 done, 2 skipped, 0 failed" in ran.stderr, ran.stderr
    assert made(tmp_path / "out") == before


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_odd_names_are_found_again(tmp_path, kind):
    """Names that spreadsheets would run, with newlines and bytes that are no text: done is done."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index, name in enumerate([b"a\nb.png", b"a\\nb.png", b"\xff.png", b"=f.png", b"'=f.png", b"-d.png"]):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(noise(index))
    words = (folder, tmp_path / "out", "-k", "box3", "--report", tmp_path / f"log.{kind}")
    batch(*words)
    before = (tmp_path / f"log.{kind}").read_bytes()
    assert "0 done, 6 skipped" in batch(*words, "--resume").stderr
    assert (tmp_path / f"log.{kind}").read_bytes() == before


def test_pipes_and_devices_in_a_folder_are_failures(tmp_path):
    """Nobody waits for a pipe that was found, in a batch or a dry run."""
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    (folder / "b.png").write_bytes(noise(1))
    for dry in ([], ["-n"]):
        ran = batch(folder, tmp_path / "out", "-k", "box3", *dry)
        assert (ran.returncode, "a.png: not a file" in ran.stderr) == (1, True)
        (tmp_path / "out" / "b.box3.png").unlink(missing_ok=True)


def test_workers_are_replaced_after_many_tasks(tmp_path, monkeypatch):
    """What a library leaks ends with its worker, and no task is lost when one retires."""
    from convcli.batch import processes
    from convcli.batch.pool import TaskFailure, TaskResult

    monkeypatch.setattr(processes, "MOST_TASKS", 3)
    with processes.ProcessPool(2, lambda task: lambda: (task, os.getpid()), lambda task: task, 0) as pool:
        found: list[TaskResult | TaskFailure] = []
        for number in range(20):
            while not pool.ready():
                found += pool.events(0.1)
            pool.submit(number, number)
        while pool.running:
            found += pool.events(0.1)
    assert sorted(answer.value[0] for answer in found) == list(range(20))
    pids = [answer.value[1] for answer in found]
    assert max(map(pids.count, pids)) == 3


def test_idle_workers_end_for_a_large_task():
    """Before a picture that has to be alone, what the others hold is given back, and no task is lost."""
    from convcli.batch import processes
    from convcli.batch.pool import TaskFailure, TaskResult

    def work(task: int):
        time.sleep(0.05)
        return os.getpid

    with processes.ProcessPool(3, work, lambda task: task, 0) as pool:
        found: list[TaskResult | TaskFailure] = []
        for number in range(6):
            while not pool.ready():
                found += pool.events(0.1)
            pool.submit(number, number)
        while pool.running:
            found += pool.events(0.1)
        assert len(pool.workers) == 3
        pool.shrink()
        assert len(pool.workers) == 1
        assert pool.ready()
        pool.submit(6, 6)
        while pool.running:
            found += pool.events(0.1)
    assert len(found) == 7 and len({answer.value for answer in found}) == 3


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("suffix", ["bmp", "png", "jpg", "tif", "webp", "gif", "avif", "npy"])
def test_pictures_take_the_memory_that_was_planned(suffix, tmp_path):
    """--max-memory goes by estimates: none is far below or above what a worker takes."""
    rows, columns = np.mgrid[:1700, :2000]
    pixels = np.stack([rows * 2 // 7 + columns, rows ^ columns, columns // 3], axis=-1).astype(np.uint8)
    path = tmp_path / f"large.{suffix}"
    wanted = registry.format_of_suffix(path.suffix)
    path.write_bytes(wanted.encode(pixels, Metadata(subsampling="420")))
    settings = Settings(load_kernel("box3"), threads=1, output=OutputSpec(f"{tmp_path}/out/"))
    with Input.open(str(path)) as opened:
        ((_, [task]),) = job.planned_results(str(path), opened, [settings])
        planned = task.memory / 10**6
    words = [sys.executable, "-m", "convcli", "batch", "-q", path, tmp_path / "out", "-k", "box3"]
    limits = ["-k", "sobel-x", "-j", "1", "--threads", "1", "--max-memory", f"{planned + 2}M"]
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words), *limits],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    taken = int(ran.stdout) * 1024 / 10**6
    assert 0.4 * planned < taken < 1.2 * planned + 15


def mutated(path: Path, change) -> str:
    """A manifest with something else in it."""
    text = change(path.read_text())
    path.write_text(text)
    return text


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: re.sub(r"(output_sha256.*?)[0-9a-f]{9}", r"\1zzz", text, count=1),
        lambda text: re.sub(r"\d{9,}", "1e999", text, count=1),
        lambda text: re.sub(r"\d{9,}", "99999999999999999999", text, count=1),
        lambda text: text.replace('"parts": 1', '"parts": 99999999999', 1).replace(
            ",0,1,", ",0,99999999999,", 1
        ),
        lambda text: text.replace('"parts": 1', '"parts": null', 1).replace(",0,1,", ",0,,", 1),
        lambda text: text.replace('"batch"', '"bitch"', 1).replace(",0,1,", ",x,y,", 1),
        lambda text: text + "[" * 100_000 + "\n",
        lambda text: text + '"' + "x" * 200_000 + '"\n',
        lambda text: text + "\0\x80,,\n",
        lambda text: text[:-3],
    ],
)
def test_damaged_rows_are_rows_of_nothing(run, tmp_path, kind, change):
    """What they were about is done again, and the manifest is whole at the end."""
    log, out = tmp_path / f"log.{kind}", tmp_path / "out"
    words = ["batch", SAMPLES / "scene.png", SAMPLES / "color.png", out, "-k", "box3", "--report", log]
    assert run(*words, "-q").code == 0
    whole, results = len(log.read_text().splitlines()), made(out)
    mutated(log, change)
    ran = run(*words, "--resume")
    assert ran.code == 0 and "0 failed" in ran.err, ran.err
    assert len(log.read_text().splitlines()) == whole and made(out) == results
    assert "0 done" in run(*words, "--resume").err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "precious,data\n1,2\n"),
        ("a.csv", "1,2,1"),
        ("a.jsonl", '{"mine": 1}\n'),
        ("a.jsonl", "\x89PNG"),
    ],
)
def test_what_is_no_manifest_is_left_as_it_is(run, tmp_path, name, content):
    """--resume goes on with manifests alone; an input, a list or an output is none, with --force too."""
    (tmp_path / name).write_text(content)
    words = ["batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", tmp_path / name]
    ran = run(*words, "--resume")
    assert (ran.code, "is not the manifest of a batch" in ran.err, ran.err.count("\n")) == (2, True, 1)
    assert (tmp_path / name).read_text() == content and not (tmp_path / "out").exists()
    (tmp_path / name).write_text(f"{SAMPLES / 'scene.png'}\n")
    for given in (["--from-file", tmp_path / name], [tmp_path / name]):
        for how in ("--resume", "--force"):
            ran = run("batch", *given, tmp_path / "out", "-k", "box3", "--report", tmp_path / name, how)
            assert (ran.code, "read by this run or one of its outputs" in ran.err) == (
                2,
                True,
            )


def test_places_that_no_manifest_can_be_at(run, tmp_path):
    """A folder and a pipe are refused at once."""
    (tmp_path / "a.jsonl").mkdir()
    os.mkfifo(tmp_path / "b.jsonl")
    places = {"a.jsonl": "is a folder", "b.jsonl": "is not a regular file", "no/c.csv": "does not exist"}
    for name, told in places.items():
        for how in ("--resume", "--force"):
            place = tmp_path / name
            ran = run("batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", place, how)
            assert (ran.code, told in ran.err) == (2, True), ran.err


def test_what_cannot_be_finished_is_lost_alone():
    """For want of memory, say; the others do not wait for it."""
    from convcli.batch import processes
    from convcli.batch.pool import TaskFailure, TaskResult

    def work(task: int):
        def finish() -> int:
            if task == 1:
                raise MemoryError
            return task

        return finish

    with processes.ProcessPool(1, work, lambda task: task, 0) as pool:
        found: list[TaskResult | TaskFailure] = []
        for number in range(4):
            while not pool.ready():
                found += pool.events(0.1)
            pool.submit(number, number)
        while pool.running:
            found += pool.events(0.1)
    assert sorted((type(event).__name__, event.number) for event in found) == [
        ("TaskFailure", 1),
        ("TaskResult", 0),
        ("TaskResult", 2),
        ("TaskResult", 3),
    ]
