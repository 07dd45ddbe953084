"""The contract of folders, for local ones and for every store at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convcli.core.errors import ConvcliError
from convcli.storage.folder import Folder, open_folder
from tests.servers import PAGE

KINDS = ["local", "file", "memory", "s3", "quirky_s3"]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that does not exist yet."""
    match request.param:
        case "local":
            return open_folder(str(tmp_path / "below" / "journal"))
        case "file":
            return open_folder(f"file://{tmp_path}/below/journal/")
        case "memory":
            pytest.importorskip("fsspec")
            return open_folder(f"memory://{tmp_path.name}/journal/")
        case server:
            return open_folder(f"{request.getfixturevalue(server).url}/below/journal/")


def test_a_new_folder_is_empty(folder):
    """It does not exist, has no names, and reading or deleting in it changes nothing."""
    assert not folder.exists
    assert list(folder.names()) == []
    assert folder.read("nothing") is None
    folder.delete("nothing")
    folder.remove()


def test_files_are_replaced_by_write_but_not_by_create(folder):
    """`write` replaces; `create` refuses with False and leaves what is there."""
    folder.write("a", b"one")
    folder.write("a", b"two")
    assert folder.read("a") == b"two"
    assert folder.create("b/c", b"new")
    assert not folder.create("b/c", b"other")
    assert not folder.create("a", b"other")
    assert (folder.read("a"), folder.read("b/c")) == (b"two", b"new")
    assert folder.create("empty", b"")
    assert folder.read("empty") == b""


def test_names_are_sorted_and_filtered_by_prefix(folder):
    """Names of subfolders too, in the order of their bytes, which is that of S3's pages."""
    names = ["a-b", "a.b", "a/b", "a/b/c", "b", "part-1", "part-10", "part-2"]
    names.remove("a/b")  # a file and a folder of the same name are possible in stores only
    for name in names:
        folder.write(name, b"x")
    assert list(folder.names()) == sorted(names)
    assert list(folder.names("part-1")) == ["part-1", "part-10"]
    assert list(folder.names("a/b")) == ["a/b/c"]
    assert list(folder.names("a")) == ["a-b", "a.b", "a/b/c"]
    assert list(folder.names("zzz")) == []


def test_files_are_deleted_one_by_one_or_all(folder):
    """`delete` removes one file, `remove` all of them."""
    for name in ("a", "b/c", "b/d"):
        folder.write(name, b"x")
    folder.delete("b/c")
    assert list(folder.names()) == ["a", "b/d"]
    assert folder.exists
    folder.remove()
    assert not folder.exists


def test_a_store_without_exclusive_writes_is_found_out(quirky_s3):
    """A store that overwrites silently is known as such, and leaves no probe behind."""
    folder = open_folder(f"{quirky_s3.url}/journal")
    assert folder.create("a", b"x")
    assert not folder.create("a", b"y")
    assert not folder.honors_exclusive
    assert quirky_s3.listed() == ["journal/a"]


def test_a_store_with_exclusive_writes_is_found_out(s3):
    """A store that refuses to overwrite is known as such."""
    folder = open_folder(f"{s3.url}/journal")
    assert folder.honors_exclusive
    assert s3.listed() == []


def test_many_names_come_in_pages(s3):
    """More names than one page has are listed in order, and the first before the last page is requested."""
    folder = open_folder(s3.url)
    names = [f"part-{number:05}" for number in range(2 * PAGE + 5)]
    for name in names:
        s3.put(name, b"")
    assert list(folder.names()) == names


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("ftp://host/a", "unsupported protocol ftp:// (supported: s3, s3a, gs"),
        ("file://host/a", "names a file of the machine host"),
    ],
)
def test_places_that_are_refused(place, says):
    """Protocols that are not supported are refused at once."""
    with pytest.raises(ConvcliError) as caught:
        open_folder(place).read("a")
    assert says in str(caught.value)


def test_a_folder_where_a_file_is_refuses(tmp_path):
    """Errors name the file and what was being done."""
    (tmp_path / "file").write_bytes(b"")
    reads: Callable[[], object] = lambda: open_folder(str(tmp_path / "file")).write("a", b"x")  # noqa: E731
    with pytest.raises(ConvcliError, match="file/a: cannot be written: "):
        reads()


def test_parts_of_files_are_read(folder):
    """From a place on or from the end, fewer where the file ends; None where there is no file."""
    folder.write("a", bytes(range(100)))
    assert folder.part("a", 10, 5) == bytes(range(10, 15))
    assert folder.part("a", 95, 10) == bytes(range(95, 100))
    assert folder.part("a", 0, 1000) == bytes(range(100))
    assert folder.part("a", -8, 8) == bytes(range(92, 100))
    assert folder.part("a", -8, 3) == bytes(range(92, 95))
    assert folder.part("a", -200, 200) == bytes(range(100))
    assert folder.part("none", 0, 5) is None and folder.part("none", -5, 5) is None


def test_folders_are_listed(folder):
    """The folders directly in a folder, and nothing of what is in them."""
    assert folder.folders() == []
    for name in ("b/1", "a/deep/2", "a/3", "file"):
        folder.write(name, b"x")
    assert folder.folders() == ["a", "b"]


def test_unfinished_files_are_swept(tmp_path):
    """What a killed process left in any subfolder is deleted, and nothing else."""
    folder = open_folder(str(tmp_path))
    folder.write("a/b", b"x")
    (tmp_path / "a" / ".convcli-0123456789ab.tmp").write_bytes(b"half")
    assert folder.sweep() == 1 and folder.sweep() == 0
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
