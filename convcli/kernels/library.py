"""What a kernel's name means: a preset of the user's folders, a shipped one, a file, or numbers."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convcli.core.errors import KernelError, cut, literal, one_line, quoted, shown, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.paths import has_folder
from convcli.core.patterns import pattern
from convcli.kernels import presets
from convcli.kernels.added import added_names, added_preset, added_presets
from convcli.kernels.bank import COMBINE_CHOICES, KernelSet, bank, combined
from convcli.kernels.kernel import TYPED, Kernel
from convcli.kernels.presets import plain
from convcli.kernels.readers import registry, rows
from convcli.kernels.readers.axis_order import ORDERS, UNKNOWN, WeightsOrder
from convcli.kernels.transform import rotated
from convcli.storage.urls import is_url

if TYPE_CHECKING:
    from convcli.kernels.families.base import Family

PACKAGE: Final = "package "
"""What the origin of presets of other packages begins with."""
PATH_VARIABLE: Final = "CONVCLI_KERNEL_PATH"
PROJECT: Final = Path("kernels")
"""Where projects keep kernels of their own; only read if a run names it."""
Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_MOST_NAMES: Final = 8  # of a hint
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
"""Filters of other tools that are not convolutions."""
_ROTATED: Final = pattern(r"(.+?)((?:@-?\d{1,6})+)", re.DOTALL)
_MOST_ROTATIONS: Final = 8
OPERATORS: Final = frozenset("*+-/()")
"""Characters without which a text is no expression."""


def load_kernel(
    text: str | os.PathLike[str], *, kernel_path: Folders = (), order: str | None = None
) -> Kernel:
    """The kernel that ``text`` names: a preset, a kernel file, or numbers.

    ``box3``, ``gaussian:1.5``, ``kirsch-e@90``, ``./mine.yaml``, ``mine.json:edge``,
    ``model.onnx:conv1.weight``, ``1 0 -1; 2 0 -2; 1 0 -1`` and ``3x3: 1,0,-1 2,0,-2 1,0,-1`` all work, and
    expressions of them: ``box3*box3``, ``gaussian:1-gaussian:2``, ``1/16*[1 2 1; 2 4 2; 1 2 1]``. Names match
    without regard to case, ``-`` and ``_``.

    Args:
        kernel_path: folders of kernel files in which names are looked up first.
        order: of the four axes of weights in .npy, .npz and .safetensors files: ``"hwio"`` (rows, columns,
            in, out), ``"oihw"`` (out, in, rows, columns), or None for what their shape tells.

    Raises:
        KernelError: an unknown name (with the nearest known ones), what is wrong in a file or text, or
            weights that may be in either order.

    Warns:
        UserWarning: the shape of weights tells another order than that of the file's format.
    """
    if order is not None and not (isinstance(order, str) and order in ORDERS):
        raise KernelError(f"order {literal(order)} is not one of {', '.join(ORDERS)}, or None")
    kernel = library(kernel_path, WeightsOrder(order)).kernel(text)
    for note in kernel.about.notes:
        warnings.warn(note, stacklevel=2)
    return kernel


@frozen
class Entry:
    """A preset in a list.

    Attributes:
        kernel: None if its file cannot be read; ``problem`` then says why.
        folder: of its file, or the package that adds it; empty for shipped presets.
        hides: the folders of presets of the same name, which it takes precedence over.
    """

    name: str
    kernel: Kernel | None
    folder: str = ""
    problem: str = ""
    hides: tuple[str, ...] = ()

    def has_tag(self, tag: str) -> bool:
        """Whether its kernel can be read and has this tag."""
        return self.kernel is not None and tag in self.kernel.about.tags


@frozen
class Library:
    """Where names are looked up: the run's folders in order, the shipped presets, the user's own folder.

    A shipped name means the same on every machine, unless a run says otherwise.
    """

    folders: tuple[Path, ...]
    order: WeightsOrder = UNKNOWN

    @cached_property
    def configured(self) -> tuple[Path, ...]:
        """The folder of presets in the user's configuration, if it exists."""
        import platformdirs  # imported only for names that are not shipped

        folder = platformdirs.user_config_path("convcli") / "kernels"
        return (folder,) if folder.is_dir() else ()

    def kernel(self, text: str | os.PathLike[str]) -> Kernel:
        """The kernel that ``text`` names, as for `load_kernel`."""
        return self._one(self.find(text))

    def find(self, text: str | os.PathLike[str]) -> Kernel | KernelSet:
        """The same, but a set stays a set."""
        if not isinstance(text, (str, os.PathLike)):
            raise KernelError(f"kernel {literal(text)} is not a name, a file or numbers as text")
        if not isinstance(text, str):
            return registry.read(Path(text), order=self.order)
        if is_url(text):
            raise KernelError(
                f"{shown(text)}: kernels are read from local files; download it, and give the file"
            )
        if OPERATORS.isdisjoint(text):
            return self._simple(text)
        from convcli.kernels import expressions

        if expressions.is_certain(text) and not registry.exists(text):
            return self._expression(text) or self._simple(text)
        try:
            return self._simple(text)
        except KernelError as error:
            kernel = self._expression(text, error)
            if kernel is None:
                raise
            return kernel

    def _expression(self, text: str, error: KernelError | None = None) -> Kernel | None:
        """The kernel of an expression; None if the text is none, or if ``error`` says more than its own."""
        from convcli.kernels import expressions

        try:
            return expressions.evaluated(text, self._known, lambda name: self._one(self._simple(name)))
        except KernelError as reason:
            if error is None or expressions.is_meant(text) or expressions.is_better(reason, error):
                raise
            return None

    def _known(self, name: str) -> Kernel | None:
        """The kernel of a name or an existing file; None for other texts."""
        path_and_member = registry.split(name)
        path = path_and_member[0] if path_and_member else Path(name) if has_folder(name) else None
        if path is not None:
            return self._one(self._simple(name)) if registry.exists(str(path)) else None
        if rows.is_table(name) or "*" in name or "+" in name:
            return None
        try:
            return self._one(self._simple(name, hint=False))
        except KernelError:
            return None

    def _one(self, found: Kernel | KernelSet) -> Kernel:
        return found if isinstance(found, Kernel) else self._joined(found)

    def _simple(self, text: str, hint: bool = True) -> Kernel | KernelSet:
        """What a text without operators stands for."""
        if "@" in text and (match := _ROTATED.fullmatch(text)) and not registry.exists(text):
            return self._rotated(match[1], re.findall(r"-?\d+", match[2]), text.strip())
        if ":" in text and text.lstrip()[:1].isdigit():
            from convcli.kernels.readers.magick import is_magick, parse

            if is_magick(text):
                return parse(text, f"kernel {quoted(text)}", TYPED)
        if rows.is_table(text):
            return rows.parse_text(text)
        registry.check_foreign(text)
        if path_and_member := registry.split(text):
            return registry.read(*path_and_member, self.order)
        return registry.read(Path(text), order=self.order) if has_folder(text) else self._named(text, hint)

    def _rotated(self, name: str, angles: list[str], text: str) -> Kernel:
        """The kernel ``NAME`` of ``NAME@45@90``, rotated by each angle."""
        if len(angles) > _MOST_ROTATIONS:
            raise KernelError(f"{quoted(text)}: {len(angles)} rotations; allowed: up to {_MOST_ROTATIONS}")
        kernel, full_name = self._one(self._simple(name)), name.strip()
        for angle in angles:
            full_name = f"{full_name}@{angle}"
            kernel = rotated(kernel, int(angle), full_name)
        return kernel

    def _joined(self, kernel_set: KernelSet) -> Kernel:
        members = [self._member(kernel_set, name) for name in kernel_set.members]
        return bank(members, kernel_set.name, kernel_set.combine, kernel_set.about)

    def _member(self, kernel_set: KernelSet, name: str) -> Kernel:
        """A member of a set: a preset, numbers, or a file in the folder of the set's own file."""
        match = _ROTATED.fullmatch(name)
        base, rotations = (match[1], match[2]) if match else (name, "")
        path_and_member = None if rows.is_table(base) else registry.split(base)
        if path_and_member is not None or has_folder(base):
            path, _ = path_and_member or (Path(base), None)
            if not path_and_member or not _lies_in(kernel_set.folder, path):
                raise KernelError(
                    f"{kernel_set.name}: the member {quoted(name)} "
                    "is not a kernel file in the set's own folder"
                )
            base = str(Path(kernel_set.folder) / base)
        found_by = self._simple if path_and_member else self.find  # an expression could name other files
        if isinstance(found_by(base), KernelSet):
            raise KernelError(f"{kernel_set.name}: the member {quoted(name)} is a set itself")
        return self._one(found_by(base + rotations))

    def _named(self, text: str, hint: bool) -> Kernel | KernelSet:
        name, _, arguments = (part.strip() for part in text.partition(":"))
        choice = arguments.casefold()
        values = "" if choice in COMBINE_CHOICES else arguments
        preset = _own(self.folders, plain(name)) or presets.shipped(name, values)
        preset = preset or _own(self.configured, plain(name)) or added_preset(name, values)
        if preset is None and (advice := rows.size_hint(text)):
            raise KernelError(f"{quoted(text)}{advice}")
        if preset is None:
            raise KernelError(f"unknown kernel {quoted(text)}{self._hint(text) if hint else ''}")
        if choice not in COMBINE_CHOICES:
            return preset
        how = None if choice == "stack" else choice
        if isinstance(preset, KernelSet):
            text = f"The maps of {preset.name}, {f'combined by {how}' if how else 'each on its own'}"
            about = preset.about if how == preset.combine else replace(preset.about, description=text)
            return replace(preset, name=f"{preset.name}:{choice}", combine=how, about=about)
        return combined(preset, how)

    def _hint(self, text: str) -> str:
        if plain(text) in _NO_CONVOLUTIONS:
            return "; this filter is not a convolution, so convcli does not offer it"
        name, tag = plain(text), plain(text).removesuffix("s")
        tagged = self._names(tag)
        if tagged:
            more = f", … (`convcli kernels list --tag {tag}`)" if len(tagged) > _MOST_NAMES else ""
            return f"; kernels with that tag: {', '.join(tagged[:_MOST_NAMES])}{more}"
        from convcli.kernels.families.registry import FAMILIES

        known = self._names()
        near = suggest(name, dict.fromkeys([*known, *FAMILIES, *added_names(text)]))
        near = near or suggest(name, [*presets.aliases(), *presets.SHORT])
        near = near or suggest(text.partition(":")[0].strip(), known)  # sobl-x, with its hyphen
        return (near or "; `convcli kernels list` lists all names") + _elsewhere(text)

    def _names(self, tag: str | None = None) -> list[str]:
        """Names of presets, or of those with a tag.

        Members of sets are not looked up: the hint for a missing one would look it up again.
        """
        kernels: dict[str, Kernel | KernelSet | None]
        kernels = {name: presets.shipped(name, "") for name in presets.names()}
        for path in (path for folder in (*self.folders, *self.configured) for path in _kernel_files(folder)):
            with suppress(KernelError):
                kernels.update(registry.kernels(path))
        return sorted(
            name for name, kernel in kernels.items() if tag is None or (kernel and tag in kernel.about.tags)
        )

    def entries(self, tag: str | None = None) -> list[Entry]:
        """All presets, or those with a tag, sorted by name."""
        by_name: dict[str, Entry] = {}
        for folder in self.folders:
            for entry in self._folder_entries(folder):
                _add(by_name, entry)
        for name in presets.names():
            _add(by_name, Entry(name, self._shipped_kernel(name)))
        for folder in self.configured:
            for entry in self._folder_entries(folder):
                _add(by_name, entry)
        for name, package, found in added_presets():
            kernel, problem = (None, found) if isinstance(found, str) else (found, "")
            _add(by_name, Entry(name, kernel, f"{PACKAGE}{package}", problem))
        entries = sorted(by_name.values(), key=lambda entry: entry.name)
        return [entry for entry in entries if tag is None or entry.has_tag(tag)]

    def _shipped_kernel(self, name: str) -> Kernel:
        preset = presets.shipped(name, "")
        assert preset is not None
        return preset if isinstance(preset, Kernel) else Library(()).kernel(name)

    def _folder_entries(self, folder: Path) -> Iterator[Entry]:
        for path in _kernel_files(folder):
            try:
                for name, preset in registry.kernels(path).items():
                    kernel = preset if isinstance(preset, Kernel) else self._joined(preset)
                    yield Entry(name, kernel, str(folder))
            except KernelError as error:
                yield Entry(path.stem, None, str(folder), str(error))

    def places(self) -> list[str]:
        """A line for each folder in which names are looked up, and for a project's folder that is not."""
        lines = [
            f"folder {one_line(str(folder))}: searched before the built-in kernels" for folder in self.folders
        ]
        lines += [
            f"folder {one_line(str(folder))}: searched after the built-in kernels"
            for folder in self.configured
        ]
        count = len(_kernel_files(PROJECT))
        if count and PROJECT.resolve() not in [folder.resolve() for folder in self.folders]:
            lines.append(f"folder {PROJECT}: {count} kernel files, not read without --kernel-path {PROJECT}")
        return lines


def catalog(
    library_: Library, entries: Sequence[Entry], families: Sequence[tuple[str, Family]]
) -> dict[str, Any]:
    """A list of presets and of families with their packages, as JSON types."""
    return {
        "kernels": [_facts(entry) for entry in entries],
        "families": [
            {
                "name": family.name,
                "usage": family.usage,
                "description": family.description,
                "tags": list(family.tags),
                "origin": origin or None,
            }
            for origin, family in families
        ],
        "folders": [str(folder) for folder in (*library_.folders, *library_.configured)],
    }


def has_words(texts: Sequence[str], words: Sequence[str]) -> bool:
    """Whether each word occurs in one of the texts, without regard to case."""
    searched = "\n".join(texts).casefold()
    return all(word.casefold() in searched for word in words)


def _facts(entry: Entry) -> dict[str, Any]:
    own = {"name": entry.name, "folder": entry.folder or None, "hides": list(entry.hides)}
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
    """A preset in the user's folders: by the name of its file, else by a name or an alias inside one."""
    for folder in folders:
        by_stem = {plain(path.stem): path for path in _kernel_files(folder)}
        if name in by_stem:
            return registry.read(by_stem[name])
        for path in by_stem.values():
            for kernel in _readable(path):
                if name in map(plain, (kernel.name, *kernel.about.aliases)):
                    registry.note(path)
                    return kernel
    return None


def _add(by_name: dict[str, Entry], entry: Entry) -> None:
    """Add an entry, hidden by one of the same name that was added before."""
    key = plain(entry.name)
    if key in by_name:
        first = by_name[key]
        by_name[key] = replace(first, hides=(*first.hides, entry.folder or "the shipped one"))
    else:
        by_name[key] = entry


def library(kernel_path: Folders = (), order: WeightsOrder = UNKNOWN) -> Library:
    """The library of a run: these folders, then those of ``CONVCLI_KERNEL_PATH``.

    Args:
        order: what is known of the order of weights of four axes.

    Raises:
        KernelError: one of ``kernel_path`` is not a folder.
    """
    paths = [kernel_path] if isinstance(kernel_path, (str, os.PathLike)) else kernel_path
    try:
        folders = [Path(path) for path in paths]
    except TypeError as error:
        raise KernelError(
            f"kernel path {literal(kernel_path)} is not a folder or a list of folders"
        ) from error
    for folder in folders:
        if not _is_folder(folder):
            raise KernelError(f"kernel path {cut(one_line(str(folder)))} is not a folder")
    from_environment = [Path(path) for path in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if path]
    return Library(tuple(dict.fromkeys([*folders, *from_environment])), order)


def _lies_in(folder: str, path: Path) -> bool:
    """Whether a path, relative to the folder, names a file in it; links are followed."""
    return bool(folder) and (Path(folder) / path).resolve().is_relative_to(Path(folder).resolve())


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that the system refuses
        return False


def _kernel_files(folder: Path) -> list[Path]:
    known = registry.folder_suffixes()
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in known and path.is_file())
    except OSError:
        return []


def _readable(path: Path) -> list[Kernel | KernelSet]:
    """The kernels of a file; none if it is faulty, which is reported when the file itself is named."""
    try:
        return list(registry.kernels(path).values())
    except KernelError:
        return []


def _elsewhere(text: str) -> str:
    """A hint at a file of that name, which is read only if its path is given."""
    if text and registry.exists(text):
        return f"; a file of that name exists: ./{one_line(text)}"
    paths = [path for path in _kernel_files(PROJECT) if plain(path.stem) == plain(text)]
    if not paths:
        return ""
    return f"; {one_line(str(paths[0]))} exists: give its path, or --kernel-path {PROJECT}"
