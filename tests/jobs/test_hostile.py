"""Jobs, options and places that are wrong: one line before anything is written, and never a traceback."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from convcli.core.errors import OutputError
from convcli.jobs.journal import Journal
from convcli.jobs.lock import NAME, PATIENCE
from tests.jobs.runs import is_clean
from tests.jobs.sources import read, zarr_array
from tests.jobs.test_faults import failure, one_line

pytest.importorskip("zarr")

PIXELS = np.random.default_rng(4).integers(0, 65536, (70, 90), np.uint16)


@pytest.fixture
def source(tmp_path):
    return zarr_array(tmp_path / "in.zarr", PIXELS, (32, 32))


REFUSED = {
    "--piece 0": "0",
    "--piece -5": "-5",
    "--piece 1,2,3": "1,2,3",
    "--piece x": "x",
    "--chunk 0": "0",
    "--chunk -1,4": "-1",
    "--shard 0": "0",
    "--chunk 32 --shard 48": "48",
    "--shard 7": "7",
    "--memory 0": "0",
    "--memory 1MB": "a worker may take 1 MB",
    "--map stretch:1%,99%": "--map",
    "--then relu": "--then",
    "--transposed": "--transposed",
    "--ignore {folder}/mask.png": "--ignore",
    "--format tiff -o {folder}/out.tif --cluster tcp://127.0.0.1:1": "zarr",
    "-o {folder}/out.tif --cluster tcp://127.0.0.1:1": "zarr",
    "-o - --cluster tcp://127.0.0.1:1": "",
    "-o term: --cluster tcp://127.0.0.1:1": "",
    "--sheet --cluster tcp://127.0.0.1:1": "--sheet",
    "--figure --cluster tcp://127.0.0.1:1": "--figure",
    "--sheet -o {folder}/out.zarr": "zarr holds results, not drawings",
    "-o {folder}/in.zarr --force": "source",
    "-o {folder}/in.zarr/out.zarr": "source",
    "-o {folder}/in.zarr/c/0": "",
    "--axes z=0": "z",
    "--axes y=0": "y",
    "--level 3": "level",
    "--level -1": "-1",
    "-k sobel-x": "2 kernels",
    "--cluster nonsense": "nonsense",
    "--cluster tcp://127.0.0.1:99999": "99999",
    "--cluster local:0": "local:0",
    "--cluster file:{folder}/none.json": "none.json",
    "--resume --force": "--resume",
    "--resume --job {folder}/job.json": "--job",
    "--job {folder}/job.json --cluster tcp://127.0.0.1:1": "--job",
}
"""Options that are refused with a word of the message."""


@pytest.mark.parametrize("words", REFUSED)
def test_options_that_are_refused(run, tmp_path, source, words):
    """Before a cluster is asked or anything is written, and with the option's name or value."""
    if "--cluster" in words:
        pytest.importorskip("distributed")
    (tmp_path / "mask.png").write_bytes(b"")
    given = words.format(folder=tmp_path).split()
    target = () if "-o" in given else ("-o", tmp_path / "out.zarr")
    before = sorted(tmp_path.rglob("*"))
    message = failure(run, "apply", source, "-k", "box3", "-q", *target, *given)
    assert REFUSED[words] in message
    assert sorted(tmp_path.rglob("*")) == before


def test_standard_input(run, tmp_path):
    """It is read by one process."""
    ran = run("apply", "-", "-k", "box3", "-o", tmp_path / "out.zarr", stdin=b"P5 1 1 255 0")
    assert ran.code == 2
    assert "standard input is read by one process" in one_line(ran.err)


def test_a_job_file_for_several_results(run, tmp_path, source):
    """A job has one source and one kernel."""
    job = tmp_path / "job.json"
    failure(run, "apply", source, "-k", "box3", "-k", "sobel-x", "-o", f"{tmp_path}/o/", "--job", job)
    other = shutil.copytree(source, tmp_path / "other.zarr")
    failure(run, "apply", source, other, "-k", "box3", "-o", f"{tmp_path}/o/", "--job", job)
    assert not job.exists()
    assert not (tmp_path / "o").exists()


SHAPES = [(1, 1), (1, 50), (50, 1), (2, 2), (5, 3), (33, 31)]


@pytest.mark.parametrize("shape", SHAPES)
def test_small_images(run, tmp_path, shape):
    """One pixel, less than a kernel, less than a piece; chunks and shards of any size."""
    pixels = np.ascontiguousarray(PIXELS[: shape[0], : shape[1]])
    np.save(tmp_path / "in.npy", pixels)
    source = zarr_array(tmp_path / "in.zarr", pixels, (16, 16))
    sizes = (
        (),
        ("--chunk", "1"),
        ("--chunk", "7,5", "--shard", "14,5"),
        ("--piece", "1"),
        ("--piece", "10000"),
    )
    for kernel in ("box3", "gaussian5"):
        words = ("-k", kernel, "--padding", "same:symmetric", "-q", "-f")
        assert run("apply", tmp_path / "in.npy", "-o", tmp_path / "whole.npy", *words).code == 0
        for size in sizes if shape[0] < 10 else sizes[::2]:
            ran = run("apply", source, "-o", tmp_path / "out.zarr", *words, *size)
            assert (ran.code, ran.err) == (0, "")
            assert np.array_equal(read(tmp_path / "out.zarr"), np.load(tmp_path / "whole.npy"))
    message = failure(run, "apply", source, "-k", "box60", "--padding", "valid", "-o", tmp_path / "n.zarr")
    assert not (tmp_path / "n.zarr").exists(), message


def test_files_of_others_beside_a_target(run, tmp_path, source):
    """A folder that is called like a journal keeps what a journal does not have."""
    folder = tmp_path / "out.zarr.convcli"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for more in ((), ("--force",)):
        assert run("apply", source, "-k", "box3", "-o", tmp_path / "out.zarr", "-q", *more).code == 0
        assert [each.name for each in folder.iterdir()] == ["notes.txt"]


def test_files_and_links_in_place_of_a_target(run, tmp_path, source):
    """They stay, also with --force."""
    (tmp_path / "file.zarr").write_text("mine")
    (tmp_path / "lost.zarr").symlink_to("nowhere")
    (tmp_path / "link.zarr").symlink_to(shutil.copytree(source, tmp_path / "real.zarr"))
    for name in ("file", "lost", "link"):
        words = ("apply", source, "-k", "box3", "-o", tmp_path / f"{name}.zarr", "-q")
        assert "already exists" in failure(run, *words)
        assert "a file or a link" in failure(run, *words, "--force")
    assert (tmp_path / "file.zarr").read_text() == "mine"
    assert np.array_equal(read(tmp_path / "real.zarr"), PIXELS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("array", -1),
        ("rows_at", 5),
        ("rows_at", []),
        ("columns_at", 0),
        ("channels_at", 1),
        ("attributes", 3),
        ("path", "../other"),
        ("path", "/tmp/other"),
        ("path", 5),
        ("group", []),
    ],
)
def test_targets_that_are_damaged(run, tmp_path, job, name, value):
    """A job writes nothing outside its target, and its arrays are checked when it is read."""
    document = json.loads(job.read_text())
    document["targets"][0]["spec"][name] = value
    for file in (job, tmp_path / "out.zarr.convcli" / "job.json"):
        file.write_text(json.dumps(document))
    before = sorted(tmp_path.rglob("*"))
    for words in ("0/1", "--finish"):
        assert "a damaged job" in failure(run, "piece", job, words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_lock_that_was_lost(tmp_path):
    """A process that was stopped for so long that another one has taken its lock ends without touching it."""
    journal, other = Journal(str(tmp_path / "j")), Journal(str(tmp_path / "j"))
    with pytest.raises(OutputError, match="another process works"), journal.locked():
        lock = json.loads((tmp_path / "j" / NAME).read_text())
        (tmp_path / "j" / NAME).write_text(json.dumps({**lock, "time": lock["time"] - 2 * PATIENCE}))
        with other.locked():
            assert json.loads((tmp_path / "j" / NAME).read_text())["token"] != lock["token"]
            journal.flush()
    with journal.locked():
        journal.flush()
    assert not (tmp_path / "j").exists()


WRONG = (None, 5, "x", [], {}, [[]], {"a": 1}, -1, 10**30, True, 1.5)
SIZES = (0, -1, 10**30, [], [0, 0, 0], [1, 1], [1, -4, 4], [1, 10**30, 1], ["1", 2, 3], [1, 5, 7], None)
FIELDS = ("source", "selection", "identity", "targets", "settings", "method", "grid", "memory", "program")
SETTINGS = ("kernel", "padding", "stride", "mapping", "output", "ignore", "normalize", "nonsense", "method")


def changes():
    """Changes of a job's document, and of parts of it."""
    for name in FIELDS:
        for value in WRONG:
            yield f"{name}={value}", {name: value}
    for part in ("shape", "shard", "piece", "group"):
        for value in SIZES:
            yield f"grid.{part}={value}", {"grid": {part: value}}
    for part in SETTINGS:
        for value in (None, 0, "x", [], {}, [1, 2, 3], {"name": 1}, 10**30):
            yield f"settings.{part}={value}", {"settings": {part: value}}


@pytest.fixture
def job(run, tmp_path, source):
    """A job file whose targets were made."""
    file = tmp_path / "job.json"
    words = ("-k", "box3", "-o", tmp_path / "out.zarr", "--piece", "32")
    assert run("apply", source, *words, "--job", file).code == 0
    return file


def test_edited_jobs(run, tmp_path, job):
    """A job that was changed, even where its journal has the same, is refused or does what it says."""
    document = json.loads(job.read_text())
    begun = tmp_path / "out.zarr.convcli" / "job.json"
    for name, change in changes():
        ((key, value),) = change.items()
        is_part = key in ("grid", "settings") and isinstance(value, dict)
        parts = {key: {**document[key], **value} if is_part else value}
        text = json.dumps({**document, **parts})
        job.write_text(text)
        ran = run("piece", job, "0/4")
        assert ran.code in (1, 2), name
        one_line(ran.err)
        begun.write_text(text)
        for words in (("0/4",), ("--finish",)):
            ran = run("piece", job, *words)
            if ran.code:
                one_line(ran.err)
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", '"x"', '{"convcli job": 1}', '{"convcli job": 2}', "[" * 100_000, "\x00"],
)
def test_files_that_are_no_jobs(run, tmp_path, text):
    """One line."""
    (tmp_path / "job.json").write_text(text)
    for words in (("0/1",), ("--finish",)):
        assert "job.json: " in failure(run, "piece", tmp_path / "job.json", *words)


@pytest.mark.parametrize(
    "share", ["4/4", "-1/4", "0/0", "1", "x/y", "1/2/3", "0/-1", "0/99999999999999999999999", ""]
)
def test_shares_that_are_refused(run, job, share):
    """Only 0 to N − 1 of N, of N that is a number of processes."""
    failure(run, "piece", job, share)


def test_a_target_that_was_replaced(run, tmp_path, source, job):
    """A share does not write into another array, nor where there is none."""
    shutil.rmtree(tmp_path / "out.zarr")
    assert "out.zarr" in failure(run, "piece", job, "0/1")
    zarr_array(tmp_path / "out.zarr", PIXELS, (10, 10))
    assert "another array" in failure(run, "piece", job, "0/1")
    assert np.array_equal(read(tmp_path / "out.zarr"), PIXELS)


@pytest.mark.parametrize(
    "lock",
    [b"", b"{", b"[]", b"5", b'{"host": 5, "process": 99999999999999999999, "time": 1e400}', b"[" * 99_999,
     b'{"host": "x", "process": "y", "time": 0}', b'{"host": "x", "process": 5, "time": NaN}',
     b'{"host": "x", "process": -1, "time": 9e9}', b'{"host": null, "process": 1, "time": null}'],
)  # fmt: skip
def test_locks_that_are_damaged(run, tmp_path, source, lock):
    """They hold nothing."""
    folder = tmp_path / "out.zarr.convcli"
    folder.mkdir()
    (folder / "lock.json").write_bytes(lock)
    ran = run("apply", source, "-k", "box3", "-o", tmp_path / "out.zarr", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert is_clean(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "5",
        "[[]]",
        '[["clip"]]',
        '[["signed", "x", "y", [null, null]]]',
        "null",
        '[["signed", "1/0", null, [null, null]]]',
        "[]",
    ],
)
def test_ranges_that_are_damaged(run, tmp_path, source, text):
    """The range is found again."""
    words = ("apply", source, "-k", "sobel-x", "-o", tmp_path / "out.zarr", "-q", "--map", "signed")
    assert run(*words).code == 0
    before = read(tmp_path / "out.zarr")
    shutil.rmtree(tmp_path / "out.zarr")
    assert run(*words, "--job", tmp_path / "job.json").code == 0
    (tmp_path / "out.zarr.convcli" / "mappings.json").write_text(text)
    ran = run(*words, "--resume")
    assert (ran.code, ran.err) == (0, "")
    assert np.array_equal(read(tmp_path / "out.zarr"), before)


def test_plans(run, tmp_path, source):
    """Pieces are described without writing anything, and are not larger than the image."""
    before = sorted(tmp_path.rglob("*"))
    words = ("plan", source, "-k", "box3", "-o", tmp_path / "out.zarr", "--report", "json")
    facts = json.loads(run(*words).text)["job"]
    assert (facts["pieces"], facts["piece"], facts["passes"]) == (1, [1, 70, 90], 1)
    facts = json.loads(run(*words, "--piece", "32").text)["job"]
    assert (facts["pieces"], facts["piece"], facts["shard"]) == (9, [1, 32, 32], [1, 32, 32])
    assert (facts["written_objects"], facts["written_bytes"]) == (9, PIXELS.nbytes)
    assert sorted(tmp_path.rglob("*")) == before
