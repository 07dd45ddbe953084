"""The shipped presets as a module, so that reading one needs no YAML parser."""

from __future__ import annotations

from typing import Any, Final

from convcli.kernels.presets import files
from convcli.kernels.readers.nodes import Node
from convcli.kernels.readers.yaml_document import parsed

HEAD: Final = '''"""The texts of `kernels/`, parsed; written by `python -m tools.generate`."""

from __future__ import annotations

from typing import Any, Final

# ruff: noqa: E501
# fmt: off
PARSED: Final[dict[str, Any]] = {
'''


def module() -> str:
    """The text of ``convcli/kernels/parsed_presets.py``."""
    entries = {stem: _plain(parsed(path.read_text(encoding="utf-8"), stem)) for stem, path in files().items()}
    return HEAD + "".join(f"    {stem!r}: {entry!r},\n" for stem, entry in entries.items()) + "}\n"


def _plain(node: Node) -> Any:
    """A node as texts, lists and dicts."""
    if isinstance(node.value, dict):
        return {key: _plain(value) for key, (_, value) in node.value.items()}
    return [_plain(item) for item in node.value] if isinstance(node.value, list) else node.value
