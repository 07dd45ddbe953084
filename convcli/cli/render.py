"""What ``convcli apply`` does with ``--sheet``, ``--figure`` and ``-o term:``."""

from __future__ import annotations

from collections.abc import Sequence

from convcli.cli.arguments import OutputOptions
from convcli.cli.console import say, send, tell
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import write
from convcli.files.stdout import check_stream, write_stream
from convcli.pipeline.reports.report import ImageFile, Report
from convcli.pipeline.settings import Settings
from convcli.visualize.map_set import MapSet, compute_maps
from convcli.visualize.raster import raster
from convcli.visualize.scene import Scene
from convcli.visualize.scene_file import SceneFile, scene_file
from convcli.visualize.terminal import NOTHING_SHOWN, detect_terminal, terminal_text


@frozen(eq=False)
class MapRenderer:
    """Draws the maps of each image of a run, to files or in the terminal.

    Attributes:
        kind: ``sheet``, ``figure``, or ``map`` for each by itself.
        settings: those of each kernel, at least one.
    """

    kind: str
    output: OutputOptions
    settings: Sequence[Settings]
    ledger: OutputLedger

    @classmethod
    def of(cls, output: OutputOptions, settings: Sequence[Settings], ledger: OutputLedger) -> MapRenderer:
        """The renderer that the options ask for.

        Raises:
            ArgumentError: a sheet and a figure at once, or an unknown way to show images in a terminal.
        """
        if output.sheet and output.figure:
            raise ArgumentError("--sheet and --figure cannot be combined; use only one")
        if output.terminal:
            detect_terminal(output.terminal)  # a mistake is reported before any work
        kind = "sheet" if output.sheet else "figure" if output.figure else "map"
        return cls(kind, output, settings, ledger)

    def apply(self, source: str) -> list[Report]:
        """Draw the maps of one image, and write or show them; a report for each."""
        if self.output.terminal is not None:
            return self._shown(source, self.output.terminal)
        target = self._claimed_target(source)
        map_set = self._map_set(source)
        scene = self._scene(map_set)
        data = target.encoded(scene)
        if target.path is None:
            write_stream(data)
        else:
            write(target.path, data, self.settings[0].force)
        return [_located(map_.report, target, scene, len(data)) for map_ in map_set.maps]

    def _claimed_target(self, source: str) -> SceneFile:
        target = scene_file(source, self.kind, self.output.output, self.output.format_name)
        if target.path is None:
            check_stream()
        else:
            self.ledger.claim(target.path, self.settings[0].force, make_folder=True)
        return replace(target, coding=self.settings[0].coding)

    def _map_set(self, source: str) -> MapSet:
        return compute_maps(source, self.settings, self.output.shares_range, stages=self.kind == "figure")

    def _scene(self, map_set: MapSet) -> Scene:
        if self.kind == "figure":
            from convcli.visualize.figure import figure

            return figure(map_set, self.output.tile)
        from convcli.visualize.sheet import map_sheet

        return map_sheet(map_set, self.output.tile, self.output.shares_range)

    def _shown(self, source: str, protocol: str) -> list[Report]:
        """Show the maps if there is a terminal."""
        map_set, terminal = self._map_set(source), detect_terminal(protocol)
        if terminal is None:
            tell(f"{NOTHING_SHOWN}; use -o term:blocks to draw with characters")
        else:
            images = [map_.pixels() for map_ in map_set.maps] if self.kind == "map" else None
            names = [f"{map_set.name}, {map_.name}{map_.number}" for map_ in map_set.maps]
            for name, pixels in zip(names, images or [raster(self._scene(map_set))], strict=False):
                if images and len(images) > 1:
                    say(name)
                send(terminal_text(pixels, terminal))
        file = ImageFile("the terminal", "term", "RGB, 8-bit", 0)
        return [replace(map_.report, target=file) for map_ in map_set.maps]


def _located(report: Report, target: SceneFile, scene: Scene, size: int) -> Report:
    name = str(target.path) if target.path else "standard output"
    kind = f"RGB, 8-bit, {scene.width} × {scene.height}"
    return replace(report, target=ImageFile(name, target.format_name, kind, size))
