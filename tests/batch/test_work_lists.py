"""Lists of images: how a stream is divided, and how lists of earlier runs are found again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from convcli.batch import listing
from convcli.batch.inputs import InputFile, Selection, SourceName, find_images
from convcli.batch.listing import ListedImage, listed_images, sorted_names
from convcli.batch.spool import Spool
from convcli.batch.work_lists import UNFINISHED, Labels, divided, key_of, label_of, label_text, work_lists
from convcli.core.errors import ArgumentError


def images(*names: str, stamp: str = "1 2 3") -> list[ListedImage]:
    return [ListedImage(InputFile(name), stamp) for name in names]


def numbered(first: int, last: int) -> list[str]:
    return [f"in/{number:03}.png" for number in range(first, last)]


def starts_of(lists) -> dict:
    """What a later run knows of the lists of an earlier one."""
    return {work.key: work.label for work in lists}


def contents(lists) -> dict[str, list[str]]:
    return {label_text(work.label): [image.path for image in work.images] for work in lists}


def test_a_stream_is_divided_evenly():
    """Lists have a size, labels in order, the key of their first image, and a state of their own."""
    lists = list(work_lists(images(*numbered(0, 10)), "settings", size=4))
    assert contents(lists) == {
        "000000": numbered(0, 4),
        "000001": numbered(4, 8),
        "000002": numbered(8, 10),
    }
    assert [work.key for work in lists] == [key_of(work.images[0]) for work in lists]
    assert len({work.state for work in lists}) == 3


@pytest.mark.parametrize(
    ("names", "parts"),
    {
        "one stem in a folder": (["a.png", "b.jpg", "b.png", "b.x.png", "c.png"], [4, 1]),
        "one stem in two folders": (["x/a.png", "x/b.png", "y/b.png", "y/c.png"], [2, 2]),
        "too many of one stem": ([f"a.{number:04}.png" for number in range(1500)], [1000, 500]),
    }.values(),
)
def test_names_that_are_alike_stay_together(names, parts):
    """Images that may have results of one name are in one list, where the first of them is preferred."""
    assert [len(work.images) for work in work_lists(images(*names), "", size=2)] == parts


@pytest.mark.parametrize(
    "changed",
    [
        images(*numbered(0, 3), "in/0021.png"),
        images(*numbered(0, 4), stamp="1 2 4"),
        images("in/a.png", *numbered(1, 4)),
    ],
)
def test_a_state_is_of_names_and_stamps(changed):
    """Another image, stamp or settings are another state; without a stamp, a list has none."""
    (before,) = work_lists(images(*numbered(0, 4)), "settings")
    (same,) = work_lists(images(*numbered(0, 4)), "settings")
    (after,) = work_lists(changed, "settings")
    (other,) = work_lists(images(*numbered(0, 4)), "other settings")
    (unknown,) = work_lists(images(*numbered(0, 4), stamp=""), "settings")
    assert same.state == before.state != UNFINISHED
    assert len({before.state, after.state, other.state, unknown.state}) == 4
    assert unknown.state == UNFINISHED


RESUMED = {
    "the same": (numbered(0, 12), {"000000": 4, "000001": 4, "000002": 4}),
    "one more in a list": (
        [*numbered(0, 5), "in/0041.png", *numbered(5, 12)],
        {"000000": 4, "000001": 4, "000001.001": 1, "000002": 4},
    ),
    "one more at the end": (numbered(0, 13), {"000000": 4, "000001": 4, "000002": 4, "000003": 1}),
    "one before all": (
        ["in/.png", *numbered(0, 12)],
        {"000000.001": 1, "000000": 4, "000001": 4, "000002": 4},
    ),
    "one less": ([*numbered(0, 5), *numbered(6, 12)], {"000000": 4, "000001": 3, "000002": 4}),
    "the first of a list less": (
        [*numbered(0, 4), *numbered(5, 12)],
        {"000000": 4, "000000.001": 3, "000002": 4},
    ),
    "a list less": ([*numbered(0, 4), *numbered(8, 12)], {"000000": 4, "000002": 4}),
}


@pytest.mark.parametrize("name", RESUMED)
def test_lists_are_found_again(name):
    """What is added or removed changes the lists around it alone; the others have their labels and states."""
    names, sizes = RESUMED[name]
    earlier = list(work_lists(images(*numbered(0, 12)), "", size=4))
    resumed = list(work_lists(images(*names), "", starts_of(earlier), size=4))
    assert {label_text(work.label): len(work.images) for work in resumed} == sizes
    unchanged = {work.state for work in earlier} & {work.state for work in resumed}
    assert len(unchanged) >= len(earlier) - 2
    for work in resumed:
        own = {image.path for image in work.images}
        where = {before.label for before in earlier if own & {image.path for image in before.images}}
        assert where <= {*work.before}, "the rows of earlier runs are looked for where they are"


def test_a_run_that_was_cut_off_goes_on_with_its_numbers():
    """Lists that were not reached get the numbers that they would have had."""
    earlier = list(work_lists(images(*numbered(0, 40)), "", size=4))
    known = starts_of([earlier[0], earlier[1], earlier[4]])
    resumed = list(work_lists(images(*numbered(0, 40)), "", known, size=4))
    assert [(work.label, work.state) for work in resumed] == [(work.label, work.state) for work in earlier]


def test_labels_sort_as_texts():
    """Names of shards are in the order of their labels."""
    labels = [(0,), (0, 1), (0, 1, 7), (0, 2), (1,), (12,), (12, 1)]
    texts = [f"{label_text(label)}-0123" for label in labels]
    assert texts == sorted(texts)
    assert [label_of(text.partition("-")[0]) for text in texts] == labels


def test_a_list_is_divided_below_its_label():
    """Down to single images."""
    (work,) = work_lists(images(*numbered(0, 10)), "")
    parts = divided(work, Labels([work.label]), 4)
    assert [len(part.images) for part in parts] == [3, 3, 3, 1]
    assert [label_text(part.label) for part in parts] == [f"000000.00{number}" for number in range(1, 5)]
    assert {part.state for part in parts} == {UNFINISHED}


@pytest.mark.parametrize("recursive", [False, True])
def test_a_stream_has_the_images_and_order_of_a_whole_listing(album, recursive, monkeypatch):
    """Also if folders are sorted in parts; of every file that was listed there is a stamp."""
    monkeypatch.setattr(listing, "SORTED", 2)
    names = [SourceName(str(album)), SourceName(str(album / "sub" / "*.png"))]
    whole = find_images(names, Selection(recursive, {".png"}))
    stream = list(listed_images(names, Selection(recursive, {".png"})))
    assert [listed.image for listed in stream][: len(whole)] == whole
    assert all(listed.stamp for listed in stream)


def test_the_folder_of_results_and_links_to_folders_are_left_out(album):
    """As in a whole listing."""
    (album / "loop").symlink_to(album)
    found = listed_images([SourceName(str(album))], Selection(True, {".png"}, str(album / "sub")))
    assert {Path(listed.image.path).parent for listed in found} == {album}


@pytest.mark.parametrize(
    ("name", "message"), [("none*.png", "no file matches this pattern"), ("closed", "Permission denied")]
)
def test_what_cannot_be_listed(tmp_path, name, message, monkeypatch):
    """One line says why."""
    (tmp_path / "closed").mkdir()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listing.os, "scandir", refuse)
    with pytest.raises(ArgumentError, match=message):
        list(listed_images([SourceName(str(tmp_path / name))], Selection(False, {".png"})))


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
def test_names_are_sorted_in_parts(count, monkeypatch):
    """Temporary files hold what is more."""
    monkeypatch.setattr(listing, "SORTED", 3)
    pairs = [(f"{(7 * number) % 11}\udc80", "stamp") for number in range(count)]
    assert list(sorted_names(iter(pairs))) == sorted(pairs)


def test_a_spool_hands_over_all_lists_and_the_error():
    """In order; what ends the listing ends the batch."""
    lists = list(work_lists(images(*numbered(0, 20)), "", size=3))
    with Spool(iter(lists)) as spool:
        assert list(spool) == lists
        assert (spool.images, spool.is_complete) == (20, True)

    def failing():
        yield lists[0]
        raise ArgumentError("gone")

    with Spool(failing()) as spool, pytest.raises(ArgumentError, match="gone"):
        list(spool)


def test_memory_does_not_grow_with_the_number_of_images():
    """Twenty times as many names take at most 20 MB more."""

    def peak(count: int) -> int:
        stream = (
            ListedImage(InputFile(f"s3://bucket/some/folder/{n:09}.png"), "100 etag") for n in range(count)
        )
        with Spool(work_lists(stream, "settings")) as spool:
            assert sum(len(work.images) for work in spool) == count
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    few = peak(10_000)
    assert peak(200_000) - few < 20 * 1024
