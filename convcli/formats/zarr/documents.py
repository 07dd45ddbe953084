"""The metadata documents of a store: arrays, groups and the levels of a pyramid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from convcli.core.errors import ArgumentError, ImageError, literal, one_line, quoted
from convcli.core.frozen import frozen
from convcli.formats.zarr.facts import ArrayFacts, array_facts
from convcli.formats.zarr.library import path_key
from convcli.formats.zarr.objects import LARGEST_DOCUMENT, Objects, checked_key

MOST_LEVELS: Final = 64
STATE: Final = "convcli"
"""The attribute that says whether an array is complete."""
_MOST_NAMES: Final = 10


@frozen(eq=False)
class Node:
    """An array or a group.

    Attributes:
        path: within the store, empty for its root.
        zarr_format: 2 or 3.
        document: ``zarr.json``, ``.zarray`` or ``.zgroup``.
        attributes: of the node.
        is_array: whether it is an array.
    """

    path: str
    zarr_format: int
    document: Mapping[str, Any]
    attributes: Mapping[str, Any]
    is_array: bool

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes of an OME image; empty where it does not name them."""
        stated = self.image.get("axes") if self.image is not None else None
        if not isinstance(stated, list):
            return ()
        names = [axis.get("name") if isinstance(axis, Mapping) else axis for axis in stated]
        return tuple(name for name in names if isinstance(name, str))

    @property
    def image(self) -> Mapping[str, Any] | None:
        """The first image that OME-Zarr describes; None where there is none."""
        first = (self.multiscales or [None])[0]
        return first if isinstance(first, Mapping) else None

    @property
    def multiscales(self) -> list[Any] | None:
        """The images that OME-Zarr describes: 0.5 within ``ome``, older ones directly."""
        ome = self.attributes.get("ome")
        stated = (ome if isinstance(ome, Mapping) else self.attributes).get("multiscales")
        return stated if isinstance(stated, list) else None


@frozen(eq=False)
class Located:
    """The array that is read.

    Attributes:
        array: its node.
        group: the node of the OME image that it is a level of, or of the group that holds nothing else.
        level: the number of the level.
        facts: of the array.
    """

    array: Node
    group: Node | None
    level: int
    facts: ArrayFacts

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes, by the OME image or by the array."""
        names = self.group.axes if self.group is not None else ()
        return names if len(names) == len(self.facts.shape) else self.facts.names

    @property
    def placing_attributes(self) -> Mapping[str, Any]:
        """The attributes of the array, with those of its group that it does not state itself.

        Those of a group are about its largest array, so that smaller levels have only their own.
        """
        group = self.group.attributes if self.group is not None and self.level == 0 else {}
        return {**group, **self.array.attributes}


def document_at(objects: Objects, key: str) -> Mapping[str, Any] | None:
    """A JSON document, or None if there is none.

    Raises:
        ImageError: it is too long, or no JSON object.
    """
    data = objects.read(key, LARGEST_DOCUMENT)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"damaged zarr: {one_line(key)} is not JSON") from error
    if not isinstance(document, dict):
        raise ImageError(f"damaged zarr: {one_line(key)} is {literal(document)}; allowed: an object")
    return document


def node_at(objects: Objects, path: str) -> Node | None:
    """The node at a path, or None."""
    document = document_at(objects, path_key(path, "zarr.json"))
    if document is not None:
        if document.get("zarr_format") != 3:
            raise ImageError(f"zarr with format {literal(document.get('zarr_format'))}; allowed: 2 and 3")
        is_array = document.get("node_type") != "group"
        return Node(path, 3, document, _mapping(document.get("attributes")), is_array)
    for name in (".zarray", ".zgroup"):
        document = document_at(objects, path_key(path, name))
        if document is not None:
            if document.get("zarr_format") != 2:
                raise ImageError(f"zarr with format {literal(document.get('zarr_format'))}; allowed: 2 and 3")
            attributes = document_at(objects, path_key(path, ".zattrs"))
            return Node(path, 2, document, attributes or {}, name == ".zarray")
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def located(objects: Objects, level: int | None = None) -> Located:
    """The array that a store holds: itself, a level of its OME image, or its only array.

    Args:
        objects: of the store.
        level: of a pyramid; None for the first.

    Raises:
        ImageError: there is no Zarr, or more than one array.
        ArgumentError: there is no such level.
    """
    node = node_at(objects, "")
    if node is None:
        raise ImageError("not a Zarr array or group: neither zarr.json, .zarray nor .zgroup is there")
    if node.is_array:
        return _array(node, None, _first(level, "an array without levels"))
    image = node if node.multiscales else _single_image(objects, node)
    if image is not None:
        return _level(objects, image, level or 0)
    folders = objects.folder.folders()
    members = [found for name in folders[:_MOST_NAMES] if (found := node_at(objects, name))]
    if len(members) == 1 and members[0].is_array and len(folders) <= _MOST_NAMES:
        return _array(members[0], node, _first(level, "an array without levels"))
    raise ImageError(_choice([member.path for member in members], len(folders) > _MOST_NAMES))


def _first(level: int | None, what: str) -> int:
    if level:
        raise ArgumentError(f"--level {level}: {what} has only level 0")
    return 0


def _array(node: Node, group: Node | None, level: int) -> Located:
    return Located(node, group, level, array_facts(node.document, node.attributes))


def _single_image(objects: Objects, node: Node) -> Node | None:
    """The image of a file that bioformats2raw wrote with one image."""
    ome = _mapping(node.attributes.get("ome"))
    layout = node.attributes.get("bioformats2raw.layout", ome.get("bioformats2raw.layout"))
    if layout is None:
        return None
    first, second = (node_at(objects, name) for name in ("0", "1"))
    if first is None or not first.multiscales:
        return None
    if second is not None and second.multiscales:
        raise ImageError("a group of several images; choose one by its path, such as /0")
    return first


def datasets(image: Node) -> list[Mapping[str, Any]]:
    """The levels of an OME image.

    Raises:
        ImageError: they are missing or too many.
    """
    first = _mapping((image.multiscales or [None])[0])
    levels = first.get("datasets")
    if not isinstance(levels, list) or not 1 <= len(levels) <= MOST_LEVELS:
        count = len(levels) if isinstance(levels, list) else 0
        raise ImageError(f"OME-Zarr with {count} levels; allowed: 1 to {MOST_LEVELS}")
    return [_mapping(level) for level in levels]


def _level(objects: Objects, image: Node, level: int) -> Located:
    levels = datasets(image)
    if not 0 <= level < len(levels):
        raise ArgumentError(f"--level {level}: there are levels 0 to {len(levels) - 1}")
    path = levels[level].get("path")
    if not isinstance(path, str):
        raise ImageError(f"damaged OME-Zarr: level {level} has the path {literal(path)}")
    node = node_at(objects, path_key(image.path, checked_key(path.removesuffix("/"))))
    if node is None or not node.is_array:
        raise ImageError(f"damaged OME-Zarr: there is no array at {quoted(path)}, its level {level}")
    return _array(node, image, level)


def _choice(names: list[str], are_more: bool) -> str:
    """What to do with a group."""
    if not names:
        return "a Zarr group without arrays"
    shown = ", ".join(one_line(name) for name in names)
    return f"a Zarr group; choose one of its members by adding its path: {shown}{' and others' * are_more}"


def is_complete(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of an array do not say that it is still being written."""
    state = attributes.get(STATE)
    return not isinstance(state, Mapping) or state.get("complete") is not False
