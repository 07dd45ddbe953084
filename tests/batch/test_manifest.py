"""The manifest of a batch: its rows, resuming from it, and files that are damaged or not manifests."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.batch.conftest import ENVIRONMENT, PROGRAM, made, noise, rows
from tests.conftest import SAMPLES


def inputs(path: Path) -> list[str]:
    """The inputs of a manifest's rows."""
    if path.suffix == ".jsonl":
        return [row["input"]["name"] for row in rows(path)]
    with path.open() as file:
        return [row["input"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_manifest_has_a_row_for_everything(batch, album, tmp_path, kind):
    """Reports in the order of the inputs, with sums of inputs and outputs, and the failures."""
    log = tmp_path / f"log.{kind}"
    batch(album, tmp_path / "out", "-k", "box3", "-k", "identity", "--report", log)
    if kind == "jsonl":
        entries = [
            {**row["batch"], "input": row["input"]["name"], "output": row.get("output", {}).get("name")}
            for row in rows(log)
        ]
    else:
        with log.open() as file:
            entries = list(csv.DictReader(file))
    assert [Path(row["input"]).name for row in entries] == [
        *(f"{index}.png" for index in range(5) for _ in range(2)),
        "cut.png",
        "text.png",
    ]
    for row in entries:
        assert bool(row["error"]) == (Path(row["input"]).name in ("cut.png", "text.png"))
        for side in ("input", "output"):
            if not row["error"]:
                data = Path(row[side]).read_bytes()
                assert row[f"{side}_sha256"] == hashlib.sha256(data).hexdigest()
                assert int(row[f"{side}_bytes"]) == len(data)


def test_the_csv_form_is_that_of_apply(batch, run, album, tmp_path):
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


def test_a_manifest_with_other_columns_is_continued(batch, album, tmp_path):
    """Rows are arranged under the columns of this version, and what they record stays done."""
    out, log = tmp_path / "out", tmp_path / "log.csv"
    batch(album, out, "-k", "box3", "--report", log)
    rows_before = list(csv.DictReader(io.StringIO(log.read_text())))
    names = [name for name in rows_before[0] if name not in ("uncovered", "frames")]
    with log.open("w", newline="") as file:
        writer = csv.DictWriter(file, names[::-1], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows_before)
    assert "0 done, 5 skipped" in batch(album, out, "-k", "box3", "--report", log, "--resume").err
    again = list(csv.DictReader(io.StringIO(log.read_text())))
    assert list(again[0]) == list(rows_before[0])
    assert again[0] == {**rows_before[0], "uncovered": "", "frames": ""}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_resume_does_what_is_not_done(batch, album, tmp_path, kind):
    """Unchanged results are skipped; lost outputs, changed inputs and failures are done again."""
    out, log = tmp_path / "out", tmp_path / f"log.{kind}"
    words = (album, out, "-k", "box3", "-k", "box5", "--report", log)
    batch(*words)
    before = made(out)
    (album / "cut.png").write_bytes(noise(9))
    (out / "2.box5.png").unlink()
    (out / "3.box3.png").write_bytes(b"spoilt")
    ran = batch(*words, "--resume")
    assert "3.box3.png: already exists" in ran.err, "a file with other bytes is not replaced"
    (out / "3.box3.png").unlink()
    untouched = (out / "0.box3.png").stat().st_mtime_ns
    ran = batch(*words, "--resume")
    assert "1 done, 5 skipped, 1 failed" in ran.err
    assert (out / "0.box3.png").stat().st_mtime_ns == untouched
    after = made(out)
    assert {name: after[name] for name in before} == before
    names = [Path(name).name for name in inputs(log)]
    assert names == sorted(names), "a resumed manifest is in the order of the inputs"
    (album / "4.png").write_bytes(noise(99))
    ran = batch(*words, "--resume")
    assert "2 results to redo (input changed: 2)" in ran.err
    assert "1 done, 5 skipped, 1 failed" in ran.err
    assert len(inputs(log)) == 13


def test_a_dry_run_shows_what_resuming_would_do(batch, album, tmp_path):
    """It lists what is still to do, and nothing that is done."""
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    batch(album, out, "-k", "box3", "--report", log)
    (out / "2.box3.png").unlink()
    before = log.read_bytes()
    ran = batch(album, out, "-k", "box3", "--report", log, "--resume", "-n")
    expected = [f"{album}/{name}.png → {out}/{name}.box3.png" for name in ("2", "cut")]
    assert ran.text.splitlines() == expected
    assert log.read_bytes() == before


def test_a_manifest_that_was_cut_is_resumed(batch, album, tmp_path):
    """The result of a last line that was cut anywhere is made again; junk is ignored."""
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    batch(album, out, "-k", "box3", "--report", log)
    before, text = made(out), log.read_bytes()
    for length in (0, 1, len(text) // 2, len(text) - 1):
        log.write_bytes(text[:length])
        ran = batch(album, out, "-k", "box3", "--report", log, "--resume")
        assert made(out) == before
        assert len(rows(log)) == 7, ran.err
    log.write_bytes(b'{"batch": 3}\nnull\n[]\n\xff\n' + text)
    assert "5 skipped" in batch(album, out, "-k", "box3", "--report", log, "--resume").err


def test_reports_on_standard_output_are_lines_of_json(batch, album, tmp_path):
    """The output of --report - is for jq; a reader that goes away is not an error."""
    ran = batch(album, tmp_path / "out", "-k", "box3", "--report", "-", "-q")
    assert len([json.loads(line) for line in ran.text.splitlines()]) == 8, "a first line and seven rows"
    command = f"{PROGRAM} -m convcli batch {album} {tmp_path}/two -k box3 --report - -q | head -c 1"
    subprocess.run(["bash", "-c", command], capture_output=True, env=ENVIRONMENT, check=False)
    assert len(made(tmp_path / "two")) == 5


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_odd_names_are_found_again(batch, tmp_path, kind):
    """Names that spreadsheets would run, with newlines and bytes that are no text: done is done."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index, name in enumerate([b"a\nb.png", b"a\\nb.png", b"\xff.png", b"=f.png", b"'=f.png", b"-d.png"]):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(noise(index))
    words = (folder, tmp_path / "out", "-k", "box3", "--report", tmp_path / f"log.{kind}")
    batch(*words)
    before = (tmp_path / f"log.{kind}").read_bytes()
    assert "0 done, 6 skipped" in batch(*words, "--resume").err
    assert (tmp_path / f"log.{kind}").read_bytes() == before


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
def test_damaged_rows_are_ignored(run, tmp_path, kind, change):
    """What they were about is done again, and the manifest is complete at the end."""
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
def test_other_files_are_not_taken_for_manifests(run, tmp_path, name, content):
    """--resume continues only manifests; an input, a list or an output is refused, with --force too."""
    (tmp_path / name).write_text(content)
    words = ["batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", tmp_path / name]
    ran = run(*words, "--resume")
    assert (ran.code, "is not a batch manifest" in ran.err, ran.err.count("\n")) == (2, True, 1)
    assert (tmp_path / name).read_text() == content and not (tmp_path / "out").exists()
    (tmp_path / name).write_text(f"{SAMPLES / 'scene.png'}\n")
    for sources in (["--from-file", tmp_path / name], [tmp_path / name]):
        for how in ("--resume", "--force"):
            ran = run("batch", *sources, tmp_path / "out", "-k", "box3", "--report", tmp_path / name, how)
            assert (ran.code, "read by this run or one of its outputs" in ran.err) == (
                2,
                True,
            )


def test_folders_and_pipes_are_not_manifests(run, tmp_path):
    """A folder and a pipe are refused at once."""
    (tmp_path / "a.jsonl").mkdir()
    os.mkfifo(tmp_path / "b.jsonl")
    places = {"a.jsonl": "is a folder", "b.jsonl": "is not a regular file", "no/c.csv": "does not exist"}
    for name, message in places.items():
        for how in ("--resume", "--force"):
            place = tmp_path / name
            ran = run("batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", place, how)
            assert (ran.code, message in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("how", ["--resume", "--force"])
def test_a_manifest_that_is_a_link_is_followed(run, tmp_path, how):
    """The target of the link is written and the link stays; without an option, it is refused."""
    log, link = tmp_path / "logs" / "log.jsonl", tmp_path / "log.jsonl"
    log.parent.mkdir()
    link.symlink_to("logs/log.jsonl")
    words = ["batch", SAMPLES / "scene.png", tmp_path / "out", "-k", "box3", "--report", link]
    for done in ("1 done, 0 skipped", "0 done, 1 skipped" if how == "--resume" else "1 done, 0 skipped"):
        assert done in run(*words, how).err
        assert link.is_symlink() and len(rows(log)) == 1
    assert "already exists (--resume continues it" in run(*words[:2], tmp_path / "new", *words[3:]).err
