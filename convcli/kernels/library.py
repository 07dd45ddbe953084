"""Where names are looked up: a person's folders, the shipped presets, files and typed text."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convcli.core.errors import KernelError, cut, literal, one_line, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.kernels import presets
from convcli.kernels.bank import WAYS, KernelSet, bank, combined, rotated
from convcli.kernels.kernel import TYPED, Kernel
from convcli.kernels.presets import plain
from convcli.kernels.readers import registry, rows

if TYPE_CHECKING:
    from convcli.kernels.families.base import Family

PATH_VARIABLE: Final = "CONVCLI_KERNEL_PATH"
PROJECT: Final = Path("kernels")
Places = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Where a project keeps kernels of its own; never read unasked."""
_KEPT: Final = (*registry.TREES, *registry.TABLES, ".mat", ".npy")
_MOST_NAMED: Final = 8
_NO_CONVOLUTIONS: Final = frozenset(
    (
        "median",
        "bilateral",
        "canny",
        "erode",
        "erosion",
        "dilate",
        "morphology",
        "threshold",
        "nlmeans",
        "despeckle",
    )
)
"""Filters of other tools that no kernel makes."""
_TURNED: Final = re.compile(r"(.+?)((?:@-?\d{1,6})+)", re.DOTALL)
_MOST_TURNS: Final = 8


def load_kernel(text: str | os.PathLike[str], *, kernel_path: Places = ()) -> Kernel:
    """The kernel that ``text`` names: a preset, a kernel file, or numbers.

    ``box3``, ``gaussian:1.5``, ``kirsch-e@90``, ``./mine.yaml``, ``mine.json:edge``,
    ``model.onnx:conv1.weight``, ``1 0 -1; 2 0 -2; 1 0 -1`` and ``3x3: 1,0,-1 2,0,-2 1,0,-1`` are all
    understood. Names match without regard to case, ``-`` and ``_``; ``kernel_path`` are folders in which
    names are looked up first.

    Raises:
        KernelError: an unknown name (with the nearest known ones), or what is wrong in a file or text.

    Warns:
        UserWarning: weights of four axes that may be in another order than the one they were read in.
    """
    kernel = library(kernel_path).kernel(text)
    for note in kernel.about.notes:
        warnings.warn(note, stacklevel=2)
    return kernel


@frozen
class Entry:
    """A preset of a list.

    Attributes:
        kernel: None where its file cannot be read, ``problem`` then says why.
        place: its folder, empty for those that are shipped.
        shadows: the places of others of the same name, which it hides.
    """

    name: str
    kernel: Kernel | None
    place: str = ""
    problem: str = ""
    shadows: tuple[str, ...] = ()


@frozen
class Library:
    """Where names are looked up: the folders of this run, the first first; what is shipped; the person's own.

    So a shipped name means the same on every machine, unless a run says otherwise.
    """

    folders: tuple[Path, ...]

    @cached_property
    def configured(self) -> tuple[Path, ...]:
        """The folder of the person's own presets, where there is one."""
        import platformdirs  # only names that are not shipped pay for this import

        folder = platformdirs.user_config_path("convcli") / "kernels"
        return (folder,) if folder.is_dir() else ()

    def kernel(self, text: str | os.PathLike[str]) -> Kernel:
        """The kernel that ``text`` names, as `load_kernel` says."""
        found = self.find(text)
        return found if isinstance(found, Kernel) else self._joined(found)

    def find(self, text: str | os.PathLike[str]) -> Kernel | KernelSet:
        """The same, where a set stays a set."""
        if not isinstance(text, (str, os.PathLike)):
            raise KernelError(f"kernel {literal(text)} is not a name, a file or a text of numbers")
        if not isinstance(text, str):
            return registry.read(Path(text))
        if "@" in text and (match := _TURNED.fullmatch(text)) and not registry.exists(text):
            return self._turned(match[1], re.findall(r"-?\d+", match[2]), text.strip())
        if ":" in text and text.lstrip()[:1].isdigit():
            from convcli.kernels.readers.foreign_text import is_imagemagick, parse_imagemagick

            if is_imagemagick(text):
                return parse_imagemagick(text, f"kernel {quoted(text)}", TYPED)
        if rows.is_table(text):
            return rows.parse_text(text)
        registry.check_foreign(text)
        if place := registry.split(text):
            return registry.read(*place)
        return registry.read(Path(text)) if os.sep in text else self._named(text)

    def _turned(self, name: str, angles: list[str], called: str) -> Kernel:
        """The kernel ``NAME`` of ``NAME@45@90``, turned by each angle."""
        if len(angles) > _MOST_TURNS:
            raise KernelError(f"{quoted(called)}: {len(angles)} turns; allowed: up to {_MOST_TURNS}")
        kernel, called = self.kernel(name), name.strip()
        for angle in angles:
            called = f"{called}@{angle}"
            kernel = rotated(kernel, int(angle), called)
        return kernel

    def _joined(self, found: KernelSet) -> Kernel:
        members = [self._member(found, name) for name in found.members]
        return bank(members, found.name, found.combine, found.about)

    def _member(self, found: KernelSet, name: str) -> Kernel:
        """A member of a set: a preset, numbers, or a file in the folder of the set's own."""
        match = _TURNED.fullmatch(name)
        base, turns = (match[1], match[2]) if match else (name, "")
        place = None if rows.is_table(base) else registry.split(base)
        if place is not None or os.sep in base:
            path, _ = place or (Path(base), None)
            file = (Path(found.folder) / path).resolve()
            if not found.folder or not place or not file.is_relative_to(Path(found.folder).resolve()):
                raise KernelError(
                    f"{found.name}: the member {quoted(name)} is not a kernel file in the set's own folder"
                )
            base = str(Path(found.folder) / base)
        if isinstance(self.find(base), KernelSet):
            raise KernelError(f"{found.name}: the member {quoted(name)} is a set itself")
        return self.kernel(base + turns)

    def _named(self, text: str) -> Kernel | KernelSet:
        name, _, arguments = (part.strip() for part in text.partition(":"))
        values = "" if arguments.casefold() in WAYS else arguments
        found = _own(self.folders, plain(name)) or presets.shipped(name, values)
        found = found or _own(self.configured, plain(name))
        if found is None and (instead := rows.size_hint(text)):
            raise KernelError(f"{quoted(text)}{instead}")
        if found is None:
            raise KernelError(f"no preset is called {quoted(text)}{self._hint(text)}")
        if arguments.casefold() not in WAYS:
            return found
        how = None if arguments.casefold() == "stack" else arguments.casefold()
        if isinstance(found, KernelSet):
            return replace(found, name=f"{found.name}:{arguments.casefold()}", combine=how)
        return combined(found, how)

    def _hint(self, text: str) -> str:
        if plain(text) in _NO_CONVOLUTIONS:
            return "; that is not a convolution, which is all that convcli computes"
        name, tag = plain(text), plain(text).removesuffix("s")
        alike = self._names(tag)
        if alike:
            more = f", … (`convcli kernels list --tag {tag}`)" if len(alike) > _MOST_NAMED else ""
            return f"; presets with that tag: {', '.join(alike[:_MOST_NAMED])}{more}"
        from convcli.kernels.families.registry import FAMILIES

        known = self._names()
        near = suggest(name, dict.fromkeys([*known, *FAMILIES]))
        near = near or suggest(name, [*presets.aliases(), *presets.SHORT])
        near = near or suggest(text.partition(":")[0].strip(), known)  # sobl-x, with its hyphen
        return (near or "; `convcli kernels` lists them") + _elsewhere(text)

    def _names(self, tag: str | None = None) -> list[str]:
        """Names of presets, or of those with a tag.

        Members of sets are not looked up: the hint for a missing one would ask for it again.
        """
        found: dict[str, Kernel | KernelSet | None]
        found = {name: presets.shipped(name, "") for name in presets.names()}
        for path in (path for folder in (*self.folders, *self.configured) for path in _kept(folder)):
            with suppress(KernelError):
                found.update(registry.kernels(path))
        return sorted(
            name for name, each in found.items() if tag is None or (each and tag in each.about.tags)
        )

    def entries(self, tag: str | None = None) -> list[Entry]:
        """Every preset that has a name of its own, by name, or those with a tag."""
        found: dict[str, Entry] = {}
        for folder in self.folders:
            for entry in self._kept_entries(folder):
                _add(found, entry)
        for name in presets.names():
            _add(found, Entry(name, self._shipped_kernel(name)))
        for folder in self.configured:
            for entry in self._kept_entries(folder):
                _add(found, entry)
        listed = sorted(found.values(), key=lambda entry: entry.name)
        return [each for each in listed if tag is None or (each.kernel and tag in each.kernel.about.tags)]

    def _shipped_kernel(self, name: str) -> Kernel:
        found = presets.shipped(name, "")
        assert found is not None
        return found if isinstance(found, Kernel) else Library(()).kernel(name)

    def _kept_entries(self, folder: Path) -> Iterator[Entry]:
        for path in _kept(folder):
            try:
                for name, found in registry.kernels(path).items():
                    kernel = found if isinstance(found, Kernel) else self._joined(found)
                    yield Entry(name, kernel, str(folder))
            except KernelError as error:
                yield Entry(path.stem, None, str(folder), str(error))

    def places(self) -> list[str]:
        """Where names are looked up beside the shipped ones, and where a project's own would be."""
        lines = [f"folder {one_line(str(folder))}: before the shipped ones" for folder in self.folders]
        lines += [f"folder {one_line(str(folder))}: after the shipped ones" for folder in self.configured]
        kept = len(_kept(PROJECT))
        if kept and PROJECT.resolve() not in [folder.resolve() for folder in self.folders]:
            lines.append(f"folder {PROJECT}: {kept} kernel files, left out without --kernel-path {PROJECT}")
        return lines


def catalog(found: Library, entries: Sequence[Entry], families: Sequence[Family]) -> dict[str, Any]:
    """Every fact of a list, as JSON types."""
    return {
        "kernels": [_facts(entry) for entry in entries],
        "families": [
            {"name": each.name, "usage": each.usage, "description": each.description, "tags": list(each.tags)}
            for each in families
        ],
        "folders": [str(folder) for folder in (*found.folders, *found.configured)],
    }


def has_words(texts: Sequence[str], words: Sequence[str]) -> bool:
    """Whether each of the words stands in one of the texts, without regard to case."""
    searched = "\n".join(texts).casefold()
    return all(word.casefold() in searched for word in words)


def _facts(entry: Entry) -> dict[str, Any]:
    own = {"name": entry.name, "folder": entry.place or None, "hides": list(entry.shadows)}
    kernel = entry.kernel
    if kernel is None:
        return {**own, "problem": entry.problem}
    about, (low, high) = kernel.about, kernel.bounds
    return {
        **own,
        "description": about.description,
        "source": about.source,
        "tags": list(about.tags),
        "aliases": list(about.aliases),
        "shape": list(kernel.tensor_shape),
        "sums": list(kernel.map_sums),
        "range": [low, high],
        "gain": float(about.gain) if about.gain else None,
        "combine": kernel.combine,
        "separable": kernel.factors is not None,
        "exact": kernel.exact is not None,
    }


def _own(folders: Sequence[Path], name: str) -> Kernel | KernelSet | None:
    """A person's own preset: by the name of its file, else by a name or an alias inside one."""
    for folder in folders:
        by_stem = {plain(path.stem): path for path in _kept(folder)}
        if name in by_stem:
            return registry.read(by_stem[name])
        for path in by_stem.values():
            for found in _readable(path):
                if name in map(plain, (found.name, *found.about.aliases)):
                    registry.note(path)
                    return found
    return None


def _add(found: dict[str, Entry], entry: Entry) -> None:
    key = plain(entry.name)
    if key in found:
        found[key] = replace(found[key], shadows=(*found[key].shadows, entry.place or "the shipped one"))
    else:
        found[key] = entry


def library(kernel_path: Places = ()) -> Library:
    """The folders that were given, and those of the environment; none of the working directory.

    Raises:
        KernelError: a folder that was given is none.
    """
    folders = [kernel_path] if isinstance(kernel_path, (str, os.PathLike)) else kernel_path
    try:
        given = [Path(folder) for folder in folders]
    except TypeError as error:
        raise KernelError(f"kernel path {literal(kernel_path)} is not a folder, or several") from error
    for folder in given:
        if not _is_folder(folder):
            raise KernelError(f"kernel path {cut(one_line(str(folder)))} is not a folder")
    named = [Path(folder) for folder in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if folder]
    return Library(tuple(dict.fromkeys([*given, *named])))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that the system does not take
        return False


def _kept(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in _KEPT and path.is_file())
    except OSError:
        return []


def _readable(path: Path) -> list[Kernel | KernelSet]:
    """The kernels of a file, none where it is faulty, which is said when the file itself is asked for."""
    try:
        return list(registry.kernels(path).values())
    except KernelError:
        return []


def _elsewhere(text: str) -> str:
    """A file of the name that was typed, which is taken only when it is asked for."""
    if text and registry.exists(text):
        return f"; a file of that name exists: ./{one_line(text)}"
    near = [path for path in _kept(PROJECT) if plain(path.stem) == plain(text)]
    return f"; {one_line(str(near[0]))} exists: name it so, or give --kernel-path {PROJECT}" if near else ""
