"""The images of a large batch in lists of a few hundred, each of which is one task and has one shard of rows.

A list has a label that keeps its place: ``000123``, or ``000123.001`` for a list that was inserted behind it.
On resuming, images are listed again. The first image of each earlier list begins that list again, wherever it
now is, so that images that were added or removed change the lists around them and no other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from convcli.batch.inputs import InputFile
from convcli.batch.listing import ListedImage
from convcli.core.frozen import frozen

SIZE: Final = 500
"""Images of a list."""

LARGEST: Final = 2 * SIZE
"""Images of a list whose names are so alike that it is not divided among them."""

KEY: Final = 16
"""Hexadecimal digits of keys and states."""

UNFINISHED: Final = "0" * KEY
"""The state of a list of which something failed, or that was not completed."""

Label = tuple[int, ...]


@frozen
class WorkList:
    """Some images in order.

    Attributes:
        key: of the first image.
        state: of the images and what is done with them; lists of equal state have equal results.
        before: labels of the lists of earlier runs that may have had these images.
    """

    label: Label
    images: tuple[InputFile, ...]
    key: str
    state: str
    before: tuple[Label, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it."""
        first, last = (image.path for image in (self.images[0], self.images[-1]))
        return f"{first} to {last}" if first != last else first


def key_of(image: InputFile) -> str:
    """By which the first image of a list is recognized."""
    return _digest([image.path])


def label_text(label: Label) -> str:
    """``000123.001``; texts followed by ``-`` are in the order of the labels."""
    return ".".join([f"{label[0]:06}", *(f"{number:03}" for number in label[1:])])


def label_of(text: str) -> Label:
    """The label of a text."""
    return tuple(map(int, text.split(".")))


class Labels:
    """Gives labels to lists.

    Args:
        taken: those of earlier runs.
    """

    def __init__(self, taken: Collection[Label] = ()) -> None:
        self.taken = set(taken)

    def after(self, label: Label | None) -> Label:
        """A new label behind one: the next number, or if that is taken, a number below it."""
        number = -1 if label is None else label[0]
        following: Label = (number + 1,)
        if following in self.taken:
            following = self.below((max(number, 0),))
        self.taken.add(following)
        return following

    def below(self, label: Label) -> Label:
        """A new label below one."""
        number = 1
        while (*label, number) in self.taken:
            number += 1
        self.taken.add((*label, number))
        return (*label, number)


def work_lists(
    images: Iterable[ListedImage], settings: str, starts: dict[str, Label] | None = None, size: int = SIZE
) -> Iterator[WorkList]:
    """The lists of some images, made while they are taken.

    Images of a folder whose names are alike up to the first dot stay together, because their results could
    have one name.

    Args:
        settings: text of everything besides the images that results depend on.
        starts: the labels of earlier lists by the keys of their first images.
    """
    starts = dict(starts or {})
    order = sorted(starts.values())
    labels = Labels(order)
    label: Label | None = None
    part = list[ListedImage]()
    for listed in images:
        known = starts.pop(key_of(listed.image), None) if starts else None
        if part and (known is not None or _is_full(part, listed, size)):
            assert label is not None
            yield _work_list(label, part, settings, _between(order, label, known))
            label, part = known or labels.after(label), []
        elif not part:
            label = known or labels.after(label)
        part.append(listed)
    if part and label is not None:
        yield _work_list(label, part, settings, _between(order, label, None, open_end=True))


def _is_full(part: list[ListedImage], following: ListedImage, size: int) -> bool:
    if len(part) < size:
        return False
    return len(part) >= LARGEST or _stem(part[-1].image) != _stem(following.image)


def _stem(image: InputFile) -> tuple[str, str]:
    folder, name = os.path.split(image.path)
    return folder, name.partition(".")[0]


def _between(
    order: list[Label], label: Label, following: Label | None, open_end: bool = False
) -> tuple[Label, ...]:
    """The earlier lists whose images may be in a list that ends before ``following``, or anywhere."""
    behind = [entry for entry in order if entry >= _known(order, label)]
    if following is None:
        return tuple(behind if open_end else behind[:2])
    return tuple(entry for entry in behind if entry < following)


def _known(order: list[Label], label: Label) -> Label:
    """The earlier label that a new one is behind, or the label itself."""
    return max((entry for entry in order if entry <= label), default=label)


def _work_list(label: Label, part: list[ListedImage], settings: str, before: tuple[Label, ...]) -> WorkList:
    images = tuple(listed.image for listed in part)
    texts = [settings, *(text for each in part for text in (each.image.path, each.image.folder, each.stamp))]
    state = _digest(texts) if all(listed.stamp for listed in part) else UNFINISHED
    return WorkList(label, images, key_of(images[0]), state, before)


def divided(work: WorkList, labels: Labels, parts: int) -> list[WorkList]:
    """A list in several, with labels below its own."""
    size = -(-len(work.images) // parts)
    pieces = [work.images[start : start + size] for start in range(0, len(work.images), size)]
    return [
        WorkList(labels.below(work.label), piece, key_of(piece[0]), UNFINISHED, work.before)
        for piece in pieces
    ]


def _digest(texts: list[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:KEY]
