"""What ``convcli shape --model`` prints: the nodes of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convcli.core.tables import to_json
from convcli.networks.reading import read_network
from convcli.networks.report import as_dict, as_text

if TYPE_CHECKING:
    from convcli.formats.header import Header


def network_report(model: str, header: Header, report: str) -> str:
    """The nodes of a network for an image of that size, without its alpha, as ``text`` or ``json``."""
    image = header.rows, header.columns, header.channels - header.alpha
    network = read_network(Path(model), image)
    return to_json(as_dict(network)) if report == "json" else as_text(network)
