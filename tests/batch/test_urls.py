"""Batches from URLs and to URLs, with real workers."""

from __future__ import annotations

import json

import pytest

from convcli.batch.inputs import Selection, SourceName, find_images
from convcli.core.errors import ConvcliError

KEYS = [
    "a.png",
    "2024/b.png",
    "2024/jan/c.PNG",
    ".hidden.png",
    "2024/.x/d.png",
    "2024/",
    "notes.txt",
    "e.svg",
]


@pytest.fixture
def photos(s3, picture):
    """A bucket with images in folders, and what is not meant."""
    for key in KEYS:
        s3.put(f"photos/{key}", picture.read_bytes())
    return f"{s3.url}/photos"


def found(place: str, recursive: bool = True, **options: object) -> list[tuple[str, str]]:
    images = find_images([SourceName(place)], Selection(recursive, (".png",), **options))
    return [(image.path.split("/photos/")[1], image.folder) for image in images]


def test_what_a_url_stands_for(photos, s3):
    """A folder, with or without a slash and its subfolders, an object, or those that match a pattern."""
    every = [("2024/b.png", "2024"), ("2024/jan/c.PNG", "2024/jan"), ("a.png", "")]
    assert found(f"{photos}/") == found(photos) == every
    assert found(photos, recursive=False) == [("a.png", "")]
    assert found(f"{photos}/a.png") == [("a.png", "")]
    assert found(f"{photos}/*.png") == [("a.png", "")]
    assert found(f"{photos}/*/?.png") == [("2024/b.png", "")]
    assert found(f"{photos}/**/*.[pP][nN][gG]") == [(key, "") for key, _ in every]
    assert found(f"{photos}/2024/.x/*.png") == [("2024/.x/d.png", "")]
    assert found(photos, excluded=f"{photos}/2024") == [("a.png", "")]
    assert found(f"{photos}/missing.png") == [("missing.png", "")]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("{photos}/x*.png", "no object matches this pattern"),
        ("s3://no-such-bucket-{name}/", "cannot be listed: the bucket does not exist"),
        ("s3://*/a.png", "the name of a bucket cannot be a pattern"),
        ("http://host/folder/", "web servers list no files"),
        ("ftp://host/folder/", "unsupported protocol"),
    ],
)
def test_sources_that_are_refused(photos, s3, place, says):
    """In one line."""
    with pytest.raises(ConvcliError, match=says):
        found(place.format(photos=photos, name=s3.name))


def test_a_name_in_a_list_keeps_its_bucket_and_folders(s3):
    """Below the destination, as local names keep their folders."""
    names = [
        SourceName(f"{s3.url}/x/a*.png", from_list=True),
        SourceName("https://h/y/b.png?s=1", from_list=True),
    ]
    images = find_images(names, Selection(False, (".png",)))
    assert [image.folder for image in images] == [f"{s3.name}/x", "h/y"]


@pytest.mark.parametrize("kind", ["bucket to bucket", "bucket to folder", "folder to bucket"])
def test_a_batch_gives_the_bytes_of_a_local_one(run, s3, photos, picture, tmp_path, kind):
    """With the same names below the destination, whichever side is a bucket."""
    for key in KEYS:
        if not key.endswith("/"):
            (tmp_path / "in" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / key).write_bytes(picture.read_bytes())
    assert run("batch", tmp_path / "in", tmp_path / "wanted", "-r", "-k", "box3", "-q", "-j1").code == 0
    wanted = {
        str(path.relative_to(tmp_path / "wanted")): path.read_bytes()
        for path in (tmp_path / "wanted").rglob("*.*")
    }
    source = tmp_path / "in" if kind.startswith("folder") else f"{photos}/"
    place = tmp_path / "out" if kind.endswith("folder") else f"{s3.url}/out/"
    ran = run("batch", source, place, "-r", "-k", "box3", "-j2", "--report", tmp_path / "m.jsonl")
    assert ran.code == 0, ran.err
    assert "skipped files of unsupported formats: .svg (1)" in ran.err
    if kind.endswith("folder"):
        made = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.*")}
    else:
        made = {key.removeprefix("out/"): s3.get(key) for key in s3.listed() if key.startswith("out/")}
    assert made == wanted and len(made) == 3
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 4


def test_a_batch_is_resumed_by_the_etags_of_objects(run, s3, photos, picture, tmp_path):
    """What is unchanged is skipped; what depends on a changed input, or was changed itself, is made again."""
    command = ["batch", f"{photos}/", f"{s3.url}/out/", "-r", "-k", "box3", "-j1"]
    command += ["--report", str(tmp_path / "m.jsonl")]
    assert run(*command).code == 0
    made = {key: s3.get(key) for key in s3.listed() if key.startswith("out/")}
    ran = run(*command, "--resume")
    assert "0 done, 3 skipped, 0 failed" in ran.err
    s3.put("photos/a.png", picture.read_bytes() + b"more")
    s3.put("out/2024/b.box3.png", b"changed")
    ran = run(*command, "--resume")
    assert "2 results to redo (input changed: 1, output missing or changed: 1)" in ran.err
    assert (ran.code, "1 skipped" in ran.err) == (1, True)  # what others wrote is not replaced
    assert s3.get("out/2024/b.box3.png") == b"changed"
    assert run(*command, "--resume", "--force").code == 0
    assert {key: s3.get(key) for key in s3.listed() if key.startswith("out/")} == made


def test_what_exists_is_refused_before_any_work(run, s3, photos, tmp_path):
    """Results of earlier runs, results that are inputs, and destinations that nothing can be written to."""
    s3.put("out/a.box3.png", b"other")
    ran = run("batch", f"{photos}/", f"{s3.url}/out/", "-r", "-k", "box3")
    assert (ran.code, "1 of 3 outputs already exist, such as s3://" in ran.err) == (2, True)
    ran = run("batch", f"{photos}/", f"{photos}/{{stem}}{{suffix}}", "-k", "box3")
    assert "is the input itself (--force replaces it with the result)" in ran.err
    for place, says in {
        "https://host/out/": "web servers take no files",
        "memory://out/": "the memory of one process",
        f"{s3.url}/out/a.png": "must be a folder or a template",
    }.items():
        ran = run("batch", f"{photos}/", place, "-k", "box3")
        assert (ran.code, says in ran.err) == (2, True), ran.err
    ran = run("batch", f"{photos}/", tmp_path, "-k", "box3", "--report", f"{s3.url}/m.jsonl")
    assert (ran.code, "m.jsonl: a manifest grows by rows" in ran.err) == (2, True)
    assert [key for key in s3.listed() if not key.startswith("photos/")] == ["out/a.box3.png"]


def test_failures_are_reported_and_skipped(run, s3, photos, tmp_path):
    """An object that is no image, one that is missing, and two inputs with one result."""
    s3.put("photos/z.png", b"not an image")
    names = [f"{photos}/z.png", f"{photos}/none.png", f"{photos}/a.png", f"{photos}/2024/b.png"]
    ran = run("batch", *names, f"{s3.url}/out/{{kernel}}-{{stem}}.png", "-k", "box3", "-j1")
    assert ran.code == 1
    assert f"{photos}/none.png: does not exist" in ran.err
    assert f"{photos}/z.png: " in ran.err
    assert [key for key in s3.listed() if key.startswith("out/")] == ["out/box3-a.png", "out/box3-b.png"]


def test_storage_options_reach_the_workers(run, s3, photos, monkeypatch, tmp_path):
    """They are not in the environment, in arguments of processes or in the manifest."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    given = json.dumps({"endpoint_url": s3.endpoint, "secret": "test-secret", "key": "test-key"})
    command = ["batch", f"{photos}/", f"{s3.url}/out/", "-k", "box3", "-j1"]
    command += ["--storage-options", given]
    ran = run(*command, "--report", tmp_path / "m.jsonl")
    assert ran.code == 0, ran.err
    assert "test-secret" not in ran.err + (tmp_path / "m.jsonl").read_text()
