"""Names of places: what is a URL, what is compared, what is shown."""

from __future__ import annotations

import os

import pytest

from convcli.core.errors import StorageError, shown
from convcli.storage.urls import (
    Url,
    canonical,
    is_bucket,
    is_remote,
    is_url,
    joined,
    local,
    name_of,
    parent_of,
    place_of,
)


@pytest.mark.parametrize(
    ("name", "url", "remote"),
    [
        ("a.png", False, False),
        ("/a/b.png", False, False),
        ("./s3://a", False, False),
        ("C:\\a.png", False, False),
        ("c:/a", False, False),
        ("box3:a//b", False, False),
        ("s3://bucket/a", True, True),
        ("S3://bucket/a", True, True),
        ("https://host/a?b=c", True, True),
        ("file:///a/b", True, False),
    ],
)
def test_what_is_a_url(name, url, remote):
    """A protocol of two letters or more, and two slashes; a file's URL is not remote."""
    assert (is_url(name), is_remote(name)) == (url, remote)


SAME = [
    ("s3://b/a.png", "S3://b/a.png", "s3a://b/a.png"),
    ("s3://b/out", "s3://b/out/"),
    ("gs://b/a", "gcs://b/a"),
    ("az://c/a", "abfs://c/a", "abfss://c@account.dfs.core.windows.net/a"),
    ("memory://a/b", "memory:///a/b"),
    ("http://host/a", "http://HOST:80/a", "http://user:secret@host/a", "http://host/%61"),
]


@pytest.mark.parametrize("names", SAME, ids=[names[0] for names in SAME])
def test_names_of_one_place_have_one_canonical_text(names):
    """Protocols, hosts and slashes at the end are written in one way."""
    assert len({canonical(name) for name in names}) == 1


def test_names_of_different_places_differ():
    """Keys are taken as they are: escapes, double slashes, dots and cases are part of a name."""
    names = ["s3://b/a", "s3://B/a", "s3://b/A", "s3://b//a", "s3://b/%61", "s3://b/./a", "gs://b/a"]
    assert len({canonical(name) for name in names}) == len(names)
    assert canonical("https://h/a?x=1") != canonical("https://h/a?x=2")


def test_local_names_are_resolved(tmp_path, monkeypatch):
    """Relative paths, symbolic links and URLs of files lead to the same place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to("a b.png")
    names = ["a b.png", "link.png", str(tmp_path / "a b.png"), f"file://{tmp_path}/a%20b.png"]
    assert {canonical(name) for name in names} == {os.path.realpath(tmp_path / "a b.png")}
    assert local(f"file://localhost{tmp_path}/a%20b.png") == str(tmp_path / "a b.png")
    assert place_of(f"file://{tmp_path}/x") == tmp_path / "x"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sftp://host/a", "unsupported protocol sftp://"),
        ("file://host/a", "names a file of the machine host"),
        ("http://host:99999/a", "the port is not a number"),
    ],
)
def test_names_that_are_refused(name, says):
    """In one line that names the URL and what is allowed."""
    with pytest.raises(StorageError, match=says):
        canonical(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s3://b/a?b#c.png", "s3://b/a?b#c.png"),
        ("https://h/a.png?X-Amz-Signature=secret", "https://h/a.png?…"),
        ("https://user:secret@h/a.png", "https://…@h/a.png"),
        ("https://user:secret@h/a.png?sig=secret#secret", "https://…@h/a.png?…"),
        ("sftp://user:secret@h/a?secret", "sftp://…@h/a?…"),
        ("abfss://container@account/a", "abfss://container@account/a"),
        ("a?b.png", "a?b.png"),
        ("a\nb", "a\\nb"),
    ],
)
def test_what_is_shown_has_no_secrets(name, text):
    """Neither passwords nor the queries of web servers, which sign URLs; keys and paths stay as they are."""
    assert shown(name) == text


@pytest.mark.parametrize(
    ("name", "parent", "last"),
    [
        ("s3://b/x/a.png", "s3://b/x", "a.png"),
        ("s3://b/a.png", "s3://b", "a.png"),
        ("s3://b/x/", "s3://b", "x"),
        ("s3://b", "s3://b", "b"),
        ("https://h/x/a%20b.png?c=d/e", "https://h/x", "a b.png"),
        ("/x/a.png", "/x", "a.png"),
        ("a.png", "", "a.png"),
    ],
)
def test_parents_and_names(name, parent, last):
    """Of paths and URLs; the query of a web server's is no part of a name."""
    assert (parent_of(name), name_of(name)) == (parent, last)


def test_a_url_is_handled_like_a_path():
    """Parts of its name, and what is below it."""
    url = Url("s3://b/x/a.tar.png")
    assert (url.name, url.stem, url.suffix, str(url.parent)) == ("a.tar.png", "a.tar", ".png", "s3://b/x")
    assert str(url.parent / "c.png") == "s3://b/x/c.png"
    assert str(Url("s3://b/x/") / "c.png") == "s3://b/x/c.png"
    assert str(url.with_suffix(".svg")) == "s3://b/x/a.tar.svg"
    assert joined("s3://b/", "c", "d") == "s3://b/c/d"
    assert joined("memory://", "c") == "memory://c"
    assert is_bucket("s3://b/") and is_bucket("s3://b") and not is_bucket("s3://b/a")
