"""What ``convcli apply`` does with ``--sheet``, ``--figure`` and ``-o term:``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convcli.cli.console import say, send, tell
from convcli.cli.report_sink import TERMINAL
from convcli.cli.settings import coding_of
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.files.atomic import write
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import check_stream, write_stream
from convcli.pipeline.report import File, Report
from convcli.pipeline.settings import Settings
from convcli.visualize.map_set import MapSet, compute_maps
from convcli.visualize.raster import raster
from convcli.visualize.scene import Scene
from convcli.visualize.scene_file import SceneFile, scene_file
from convcli.visualize.terminal import NOTHING_SHOWN, detect_terminal, terminal_text


@frozen
class MapRenderer:
    """How the maps of a run's pictures are looked at.

    Attributes:
        kind: ``sheet``, ``figure``, or ``map`` for each by itself.
        way: of showing them in a terminal; None where they go to files.
    """

    kind: str
    given: dict[str, Any]
    each: Sequence[Settings]
    ledger: OutputLedger
    way: str | None

    @classmethod
    def of(cls, given: dict[str, Any], each: Sequence[Settings], ledger: OutputLedger) -> MapRenderer:
        """What the options ask for.

        Raises:
            ArgumentError: several of them at once, or a way that there is not.
        """
        if given["sheet"] and given["figure"]:
            raise ArgumentError("--sheet and --figure are two ways of drawing; give one of them")
        spec = given["output"] or ""
        way = spec.removeprefix(TERMINAL) if spec.startswith(TERMINAL) else None
        if way:
            detect_terminal(way)  # a mistake is told before any work
        kind = "sheet" if given["sheet"] else "figure" if given["figure"] else "map"
        return cls(kind, given, each, ledger, way)

    def apply(self, source: str) -> list[Report]:
        """Draw the maps of one picture, and write or show them; a report for each."""
        if self.way is not None:
            return self._shown(source, self.way)
        given = self.given
        target = scene_file(source, self.kind, given["output"], given["format_name"])
        target = replace(target, coding=coding_of(given))
        if target.path is None:
            check_stream()
        else:
            self.ledger.claim(target.path, given["force"], make_folder=True)
        found = self._exhibit(source)
        scene = self._scene(found)
        data = target.encoded(scene)
        if target.path is None:
            write_stream(data)
        else:
            write(target.path, data, given["force"])
        return [_located(map_.report, target, scene, len(data)) for map_ in found.maps]

    def _exhibit(self, source: str) -> MapSet:
        return compute_maps(source, self.each, self.given["common"] == "common")

    def _scene(self, found: MapSet) -> Scene:
        tile: int = self.given["tile"]
        if self.kind == "figure":
            from convcli.visualize.figure import figure

            return figure(found, tile)
        from convcli.visualize.sheet import map_sheet

        return map_sheet(found, tile, self.given["common"] == "common")

    def _shown(self, source: str, way: str) -> list[Report]:
        """Show them where there is a terminal."""
        found, terminal = self._exhibit(source), detect_terminal(way)
        if terminal is None:
            tell(f"{NOTHING_SHOWN}; -o term:blocks draws with characters anyway")
        if terminal is not None:
            drawn = (
                [map_.pixels() for map_ in found.maps] if self.kind == "map" else [raster(self._scene(found))]
            )
            names = [map_.name + map_.number for map_ in found.maps]
            for name, pixels in zip(names, drawn, strict=False):
                if len(drawn) > 1:
                    say(f"{found.name}, {name}")
                send(terminal_text(pixels, terminal))
        return [
            replace(map_.report, target=File("the terminal", "term", "RGB, 8-bit", 0)) for map_ in found.maps
        ]


def _located(report: Report, target: SceneFile, scene: Scene, size: int) -> Report:
    name = str(target.path) if target.path else "standard output"
    kind = f"RGB, 8-bit, {scene.width} × {scene.height}"
    return replace(report, target=File(name, target.format_name, kind, size))
