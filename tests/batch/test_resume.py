"""Resuming a batch: what is made again and what is not, whatever has changed; and forged manifests."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from convcli.batch import manifest as manifests
from convcli.batch import records
from convcli.batch.records import EarlierRuns, RecordedRow
from convcli.batch.rows import FileState, decode_name, encode_name
from convcli.pipeline import fingerprint as fingerprints
from tests.conftest import Run, decoded

SOME: dict[str, tuple[str, ...]] = {"a": ("-k", "box3"), "b": ("-k", "box3", "-k", "sharpen")}


def pixels(seed: int) -> bytes:
    """A small PNG."""
    return bytes(imagecodecs.png_encode(np.random.default_rng(seed).integers(0, 256, (9, 8), np.uint8)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two images in ``in``, and one in ``more``."""
    monkeypatch.chdir(tmp_path)
    for folder, count in (("in", 2), ("more", 1)):
        Path(folder).mkdir()
        for index in range(count):
            Path(folder, f"{index}.png").write_bytes(pixels(index))
    return tmp_path


@pytest.fixture(params=["jsonl", "csv"])
def log(request: pytest.FixtureRequest) -> str:
    return f"log.{request.param}"


@pytest.fixture
def resume(run: Run, log: str) -> Callable[..., str]:
    """Run a batch with ``--resume`` and return what it prints."""

    def resumed(*words: object, code: int = 0) -> str:
        ran = run("batch", *words, "--report", log, "--resume", "-j", 1)
        assert ran.code == code, ran.err
        return ran.err

    return resumed


def outcomes(log: str) -> list[tuple[str, str]]:
    """The input and the output of each row; no output where it failed."""
    if log.endswith("csv"):
        with Path(log).open() as file:
            return [(row["input"], row["output"]) for row in csv.DictReader(file)]
    rows = [json.loads(line) for line in Path(log).read_text().splitlines()]
    return [(row["input"]["name"], row.get("output", {}).get("name", "")) for row in rows if "batch" in row]


def times(folder: str) -> dict[str, int]:
    """When each file of a folder was put there."""
    return {path.name: path.stat().st_ctime_ns for path in Path(folder).iterdir()}


CHANGES: list[tuple[tuple[str, ...], tuple[str, ...], str, int]] = [
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3"), "0 done, 2 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "./out", "-k", "box3"), "0 done, 2 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "--stride", "1,1"), "0 done, 2 skipped", 2),
    (("in", "out/", "-k", "box3"), ("./in/../in", "out/", "-k", "box3"), "0 done, 2 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "other/", "-k", "box3"), "2 done, 0 skipped", 4),
    (("in", "out/", "-k", "box3"), ("in", "out/{stem}{suffix}", "-k", "box3"), "2 done, 0 skipped", 4),
    (("in", "out/", "-k", "box3"), ("in", "out/{stem}.{kernel}.tif", "-k", "box3"), "2 done, 0 skipped", 4),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "-k", "sharpen"), "2 done, 0 skipped", 4),
    (("in", "out/", "-k", "box3", "-k", "sharpen"), ("in", "out/", "-k", "sharpen"), "0 done, 2 skipped", 4),
    (("in", "out/", "-k", "box3"), ("in", "more", "out/{dir}/", "-k", "box3"), "3 done, 0 skipped", 5),
    (("in", "out/", "-k", "box3"), ("more", "other/", "-k", "box3"), "1 done, 0 skipped", 3),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "--bias", "9"), "2 done, 0 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "--depth", "16"), "2 done, 0 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "--png", "small"), "2 done, 0 skipped", 2),
    (("in", "out/", "-k", "box3"), ("in", "out/", "-k", "box3", "--format", "tiff"), "2 done, 0 skipped", 4),
    (("in", "out/", "-k", "kirsch"), ("in", "out/", "-k", "kirsch", "-j", "2"), "0 done, 2 skipped", 16),
    (
        ("in", "out/{stem}.npy", "-k", "sobel-x", "--flip"),
        ("in", "out/{stem}.npy", "-k", "sobel-x"),
        "2 done",
        2,
    ),
]


@pytest.mark.parametrize(("before", "after", "message", "rows"), CHANGES)
def test_what_differs_is_made_again_and_nothing_else(place, resume, log, before, after, message, rows):
    """Destination, template, kernels, options and format; the rows of the earlier run stay."""
    resume(*before)
    untouched = times("out") if Path("out").exists() else {}
    rows_before = outcomes(log)
    assert message in resume(*after)
    assert len(outcomes(log)) == rows and set(rows_before) <= set(outcomes(log))
    changed = [name for name, at in untouched.items() if times("out")[name] != at]
    assert bool(changed) == (rows == len(rows_before) and "0 done" not in message)
    assert "0 done" in resume(*after), "then there is nothing left to do"
    if not changed:
        assert "0 done" in resume(*before)


def test_the_result_is_that_of_a_run_from_scratch(place, resume, run, log):
    """What was made again by other options, of changed inputs and in any order: bytes and rows."""
    resume("in", "out/", "-k", "box3", "-k", "sharpen")
    Path("in/1.png").write_bytes(pixels(9))
    Path("in/2.png").write_bytes(pixels(2))
    printed = resume("in", "out/", "-k", "sharpen", "-k", "box3", "--bias", 4, "--linear")
    assert "4 results to redo (settings differ: 4)" in printed
    assert "3 done, 0 skipped" in printed
    run("batch", "in", "new/", "-k", "sharpen", "-k", "box3", "--bias", 4, "--linear", "--report", f"2{log}")
    for path in Path("new").iterdir():
        assert path.read_bytes() == Path("out", path.name).read_bytes()
    assert outcomes(log) == [(name, output.replace("new", "out")) for name, output in outcomes(f"2{log}")]


def test_an_upgrade_makes_again_what_may_be_other_bytes(place, resume, log, monkeypatch):
    """A new revision of the results makes them again, a new version does not, and neither is an error."""
    resume("in", "out/", "-k", "box3")
    monkeypatch.setattr(manifests, "__version__", "99.0")
    assert "0 done, 2 skipped" in resume("in", "out/", "-k", "box3")
    monkeypatch.setattr(fingerprints, "REVISION", fingerprints.REVISION + 1)
    printed = resume("in", "out/", "-k", "box3")
    assert "2 results to redo (made by a version of convcli whose results may differ: 2)" in printed
    assert "2 done, 0 skipped" in printed and len(outcomes(log)) == 2


def test_results_that_decide_over_the_revision(place, run):
    """If these pixels change, raise `REVISION` in convcli/batch/fingerprint.py."""
    rows, columns = np.mgrid[:90, :80]
    drawn = np.stack([rows * columns * step // 7 % 256 for step in (1, 3, 5)], axis=-1).astype(np.uint8)
    Path("drawn.png").write_bytes(imagecodecs.png_encode(drawn))
    data = b""
    for kernel in ("box3", "sharpen", "sobel-x", "gaussian5", "prewitt-y"):
        for options in ((), ("--stride", "2", "--padding", "1"), ("--map", "stretch")):
            words = ["drawn.png", "-k", kernel, *options, "-o", "a.png", "-f", "-q"]
            assert run("apply", *words).code == 0
            data += decoded(Path("a.png")).tobytes()
    total = hashlib.sha256(data).hexdigest()[:16]
    assert (fingerprints.REVISION, total) == (3, "daeedfd15f23e3da")  # exact on every machine


def test_only_what_an_earlier_run_wrote_is_replaced(place, resume, log):
    """A result that has been changed since, and a file without a row, are left alone."""
    resume("in", "out/", "-k", "box3")
    Path("out/0.box3.png").write_bytes(b"precious")
    Path("out/1.sharpen.png").write_bytes(b"mine")
    printed = resume("in", "out/", "-k", "box3", "-k", "sharpen", "--bias", "1", code=1)
    assert printed.count("already exists") == 2
    assert Path("out/0.box3.png").read_bytes() == b"precious"
    assert Path("out/1.sharpen.png").read_bytes() == b"mine"
    resume("in", "out/", "-k", "box3", "-k", "sharpen", "--bias", "1", "--force")
    assert Path("out/0.box3.png").read_bytes() != b"precious"


def test_a_run_that_was_killed_does_not_forget_whose_files_are_there(place, resume, log):
    """Until a result is made again its row stays, so that a later run may still replace the file."""
    resume("in", "out/", "-k", "box3")
    Path("in/0.png").write_bytes(b"no image")
    printed = resume("in", "out/", "-k", "box3", "--bias", "1", code=1)
    assert "1 done, 0 skipped, 1 failed" in printed
    assert sorted(outcomes(log)) == [
        ("in/0.png", ""),
        ("in/0.png", "out/0.box3.png"),
        ("in/1.png", "out/1.box3.png"),
    ]
    Path("in/0.png").write_bytes(pixels(5))
    assert "1 done, 1 skipped, 0 failed" in resume("in", "out/", "-k", "box3", "--bias", "1")
    assert len(outcomes(log)) == 2


def test_failures_are_tried_again_and_forgotten_when_they_are_over(place, resume, log):
    """Even by a run that does not involve the failed image."""
    Path("in/bad.png").write_bytes(b"no image")
    resume("in", "out/", "-k", "box3", code=1)
    resume("more", "other/", "-k", "box3")
    assert ("in/bad.png", "") in outcomes(log)
    Path("in/bad.png").write_bytes(pixels(4))
    assert "1 done, 2 skipped" in resume("in", "out/", "-k", "box3")
    assert outcomes(log) == [
        ("more/0.png", "other/0.box3.png"),
        *((f"in/{name}.png", f"out/{name}.box3.png") for name in (0, 1, "bad")),
    ]


def test_a_result_that_changes_its_format_is_found_again(place, resume):
    """Of an input that now holds what its own format cannot, the rows that were made last count."""
    for kind, bits in ((np.uint8, 8), (np.uint16, 12)):
        Path("in/v.jpg").write_bytes(imagecodecs.jpeg8_encode(np.ones((9, 8), kind), bitspersample=bits))
        for message in ("1 done, 0 skipped", "0 done, 1 skipped"):
            assert message in resume("in/v.jpg", "out/", "-k", "box3")
    assert sorted(times("out")) == ["v.box3.jpg", "v.box3.png"]


@pytest.mark.parametrize("kernels", [("box3",), ("kirsch",)])
def test_frames_in_files_of_their_own(place, resume, kernels):
    """Each frame has rows of its own, and a lost one is made again."""
    frames = np.random.default_rng(1).integers(0, 256, (4, 9, 8, 1), np.uint8)
    np.save("in/v.npy", frames)
    words = ("in/v.npy", "out/{stem}-{frame:02}-{kernel}.{index}.tif", "-k", *kernels, "--frames", "-3:")
    resume(*words)
    assert len(times("out")) == 3 * (1 if kernels == ("box3",) else 8)
    assert "0 done, 1 skipped" in resume(*words)
    next(Path("out").glob("v-02-*")).unlink()
    assert "output missing or changed: 1" in resume(*words)
    assert "1 done" in resume(*words[:-2]), "and frames that were not asked for before"


def test_times_that_were_put_back_hide_no_change(place, resume):
    """A file that was written in place, with its size and time as they were, is seen by its ctime."""
    resume("in", "out/", "-k", "box3")
    for name in ("in/0.png", "out/1.box3.png"):
        facts, data = Path(name).stat(), bytearray(Path(name).read_bytes())
        data[-1] ^= 1
        with Path(name).open("r+b") as file:
            file.write(data)
        os.utime(name, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    printed = resume("in", "out/", "-k", "box3", "-n")
    assert "input changed: 1, output missing or changed: 1" in printed


def test_an_input_that_changes_while_it_is_read(tmp_path):
    """The time of the last change counts, whatever the others say."""
    from convcli.core.errors import ImageError
    from convcli.files.input import Input

    path = tmp_path / "a.png"
    path.write_bytes(pixels(1))
    with Input.open(str(path)) as opened:
        opened.check_unchanged()
        facts = path.stat()
        time.sleep(0.02)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with pytest.raises(ImageError, match="changed while it was being read"):
            opened.check_unchanged()


def test_an_input_whose_other_links_are_replaced_while_it_is_read(tmp_path):
    """In place, each of several hard links is filtered; that changes the times of the others."""
    from convcli.core.errors import ImageError
    from convcli.files.input import Input

    path, other = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(pixels(1))
    other.hardlink_to(path)
    with Input.open(str(path)) as opened:
        time.sleep(0.02)
        other.unlink()
        opened.check_unchanged()
        path.write_bytes(pixels(2))
        with pytest.raises(ImageError, match="changed while it was being read"):
            opened.check_unchanged()


def test_touched_and_moved_files_are_not_made_again(place, resume):
    """Other times, same bytes."""
    resume("in", "out/", "-k", "box3")
    os.utime("in/0.png")
    for folder in ("in", "out"):
        shutil.copytree(folder, f"{folder}2")
        shutil.rmtree(folder)
        Path(f"{folder}2").rename(folder)
    assert "0 done, 2 skipped" in resume("in", "out/", "-k", "box3")


def forged(log: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first row of a manifest."""
    if log.endswith("csv"):
        with Path(log).open() as file:
            rows = list(csv.DictReader(file))
        row: dict[str, Any] = {"input": {"name": decode_name(rows[0]["input_name"])}, "batch": dict(rows[0])}
        row["output"] = {"name": decode_name(rows[0]["output_name"])}
        change(row)
        rows[0] = {**row["batch"], "input_name": json.dumps(row["input"]["name"])}
        rows[0]["output_name"] = json.dumps(row["output"]["name"])
        with Path(log).open("w", newline="", errors="surrogatepass") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return
    lines = Path(log).read_text().splitlines()
    row = json.loads(lines[1])
    change(row)
    Path(log).write_text("\n".join([lines[0], json.dumps(row), *lines[2:], ""]))


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(
    "name", ["pipe", "/dev/zero", "/dev/tty", "/proc/kmsg", "\0", "a\0b", "\ud800", "in", "x" * 9999, ""]
)
def test_names_in_forged_rows_are_not_opened(place, resume, log, name, side):
    """Pipes, devices, other files and names that no file can have: the result is made again at once."""
    resume("in", "out/", "-k", "box3")
    os.mkfifo("pipe")
    forged(log, lambda row: row[side].update(name=name))
    printed = resume("in", "out/", "-k", "box3")
    assert "1 done, 1 skipped, 0 failed" in printed
    assert "0 done, 2 skipped" in resume("in", "out/", "-k", "box3")


@pytest.mark.parametrize("which", ["in/0.png", "out/0.box3.png"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(place, resume, which):
    """The pipe has replaced a file that a row describes."""
    resume("in", "out/", "-k", "box3")
    Path(which).unlink()
    os.mkfifo(which)
    printed = resume("in", "out/", "-k", "box3", code=1)
    assert "0 done, 1 skipped, 1 failed" in printed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("output_sha256", 5),
        ("output_sha256", None),
        ("part", -1),
        ("part", 10**30),
        ("parts", 0),
        ("parts", 10**30),
        ("parts", [1]),
        ("input_bytes", -1),
        ("input_mtime_ns", "x"),
        ("input_ctime_ns", 1e999),
        ("settings", None),
        ("settings", "\ud800"),
        ("settings", {}),
        ("error", "\ud800\0"),
        ("error", {"a": []}),
    ],
)
def test_damaged_facts_are_never_more_than_work(place, resume, log, key, value):
    """They cause no traceback and no error, and after one more run nothing is left to do."""
    resume("in", "out/", "-k", "box3")
    forged(log, lambda row: row["batch"].update({key: value}))
    assert "0 failed" in resume("in", "out/", "-k", "box3")
    assert "0 done, 2 skipped" in resume("in", "out/", "-k", "box3")
    assert len(outcomes(log)) == 2


def test_a_row_about_nothing_decides_nothing(place, resume, log):
    """Rows of other outputs, other inputs and another size of the first line are kept and left alone."""
    resume("in", "out/", "-k", "box3")
    Path("in/0.png").rename("gone.png")
    assert "0 done, 1 skipped" in resume("in", "out/", "-k", "box3")
    assert ("in/0.png", "out/0.box3.png") in outcomes(log), "the file is still there"


def test_manifests_of_any_size_take_little_memory(place, resume, log, monkeypatch):
    """Lines longer than a row are skipped, and files larger than a manifest can be are refused."""
    monkeypatch.setattr(records, "LONGEST_LINE", 2**14)
    resume("in", "out/", "-k", "box3")
    text = Path(log).read_bytes()
    head, *rest = text.splitlines(keepends=True)
    Path(log).write_bytes(head + b"x" * 50_000 + b"\n" + b"".join(rest) + b"\0" * 100_000)
    assert "0 done, 2 skipped" in resume("in", "out/", "-k", "box3")
    Path(log).write_bytes(b"\0" * 100_000)
    assert "is not a batch manifest; nothing was changed" in resume("in", "out/", "-k", "box3", code=2)
    monkeypatch.setattr(manifests, "LARGEST", 99_999)
    assert "allowed: 99999" in resume("in", "out/", "-k", "box3", code=2)
    assert Path(log).read_bytes() == b"\0" * 100_000


def test_manifests_of_the_first_schema_are_resumed(place, run):
    """Their rows were whole reports with one sum for all kernels: results are made again, and it says why."""
    run("batch", "in", "more", "out/{dir}/", "-k", "box3", "--report", "log.jsonl")
    head, *lines = map(json.loads, Path("log.jsonl").read_text().splitlines())
    (recipe,) = head["manifest"]["settings"].values()
    old = []
    for row in lines:
        facts = {key: value for key, value in row["batch"].items() if "ctime" not in key} | {
            "settings": "0" * 16
        }
        old.append(
            {"schema": 1, **row, **recipe, "kernel": {**row["kernel"], **recipe["kernel"]}, "batch": facts}
        )
    Path("log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    ran = run("batch", "in", "out/{dir}/", "-k", "box3", "--report", "log.jsonl", "--resume")
    assert (ran.code, "2 done, 0 skipped, 0 failed" in ran.err) == (0, True)
    assert "2 results to redo (made by a version of convcli whose results may differ: 2)" in ran.err
    head, *lines = map(json.loads, Path("log.jsonl").read_text().splitlines())
    assert [row["input"]["name"] for row in lines] == ["more/0.png", "in/0.png", "in/1.png"]
    assert [row.get("schema") for row in lines] == [1, None, None]


def test_a_row_over_its_first_line_is_the_report_of_apply(place, run):
    """Stating shared values once loses nothing, and keeps rows small."""
    options = ("-k", "random:5x5x1x20", "--stride", "2", "--channels", "each")
    run("batch", "in", "out/", *options, "--report", "log.jsonl", "-j", 1)
    run(
        "apply",
        "in/0.png",
        "in/1.png",
        "-o",
        "one/",
        *options,
        "--report",
        "json",
        "--report-file",
        "one.jsonl",
    )
    head, *rows = map(json.loads, Path("log.jsonl").read_text().splitlines())
    whole = [json.loads(line) for line in Path("one.jsonl").read_text().splitlines()]
    assert len(rows) == len(whole) == 40
    for row, report in zip(rows, whole, strict=True):
        shared = head["manifest"]["settings"][row.pop("batch")["settings"]]
        merged = {"schema": 1, **shared, **row, "kernel": {**shared["kernel"], **row["kernel"]}}
        del merged["options"]
        for volatile in ("seconds", "plan"):
            del merged[volatile], report[volatile]
        report["output"]["name"] = report["output"]["name"].replace("one/", "out/")
        assert merged == report
    assert max(map(len, Path("log.jsonl").read_text().splitlines()[1:])) < 3000


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "a b/ü.png",
        "=1+1",
        "-d",
        "'=f",
        "a\nb",
        "a\\nb",
        "\udcff%41",
        "x;=y",
        '"a"',
        " ",
        "\x1b[31m",
        "\u202e",
    ],
)
def test_names_in_cells_are_plain_and_can_be_read_back(name):
    """Letters and digits stay as they are; nothing else can mean anything to a spreadsheet or a terminal."""
    cell = encode_name(name)
    assert decode_name(cell) == name
    assert cell.isprintable() and not re.search(r"^[-=+@'\" ]|[;,\"=\t]", cell)
    assert (cell == name) == (name in ("a.png", "a b/ü.png"))
    assert decode_name(json.dumps(name)) == name, "as earlier versions wrote it"


def test_cells_are_not_json(place, run):
    """Names stand in a CSV manifest without quotes around quotes."""
    run("batch", "in", "out/", "-k", "box3", "--report", "log.csv")
    assert '"' not in Path("log.csv").read_text()


def recorded(
    place: int, output: str = "o", part: int = 0, parts: int = 1, size: int = 1, name: str = "i"
) -> RecordedRow:
    state = FileState(size, 0, 0, "")
    return RecordedRow(place, name, "s", output, 0, 0, part, parts, state, state)


@pytest.mark.parametrize(
    ("rows", "offsets"),
    [
        ([recorded(0), recorded(1)], [1]),
        ([recorded(0, part=0, parts=2), recorded(1, part=1, parts=2)], [0, 1]),
        (
            [
                recorded(0, part=0, parts=2),
                recorded(1, part=1, parts=2),
                recorded(2, part=0, parts=2, size=2),
            ],
            [2],
        ),
        ([recorded(0, part=1, parts=2), recorded(1)], [1]),
        ([recorded(0, "o"), recorded(1, "p"), recorded(2, "./o")], [1, 2]),
        ([recorded(0, name="x"), recorded(1, name="y")], [1]),
        ([RecordedRow(0, "i"), recorded(1)], [1]),
        ([recorded(0), RecordedRow(1, "i")], [0, 1]),
        ([RecordedRow(0, "i"), RecordedRow(1, "i"), RecordedRow(2, "j")], [1, 2]),
    ],
)
def test_the_last_rows_about_a_file_count(rows, offsets):
    """One output has the rows of one result; a failure lasts until the input is in a later row."""
    assert [row.offset for row in EarlierRuns(rows).rows] == offsets
