"""The published JSON Schema describes the reports that are printed, key by key."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from convcli.formats.calibration import Axes, Georeference, Measure
from convcli.formats.header import Metadata, Timing
from convcli.formats.metadata import summarize
from convcli.formats.registry import formats
from tests.conftest import ROOT, SAMPLES

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
APPLY: list[tuple[str, ...]] = [
    ("scene.png", "-k", "sobel-x"),
    ("color.png", "-k", "sobel", "--channels", "gray", "--stride", "2,3", "--padding", "valid"),
    ("transparent.png", "-k", "box31", "--flip", "--linear"),
    ("depth16.png", "-k", "box51", "--padding", "full:edge", "--map", "raw"),
    ("color.png", "-k", "random:3x3x3x2"),
    ("scene.png", "-k", "box3", "--then", "sobel,stride=2", "--then", "relu", "--then", "maxpool2x2"),
]
OTHERS: list[tuple[str, ...]] = [
    ("shape", "64x64", "-k", "3x3"),
    ("shape", "64x64x3", "-k", "sobel", "--like", "scipy"),
    ("shape", "64x64x3", "--layer", "3x3x8,dilation=2,stride=2"),
    ("shape", "64x64x3", "--layer", "3x3x8,padding=same", "--layer", "pool2x2", "--layer", "depthwise3x3"),
    ("shape", "64x64x3", "-k", "sobel", "--then", "relu6", "--then", "box3,stride=2", "--then", "3x3x4"),
    ("shape", "64x64x3", "--layer", "leaky-relu:0.1"),
    ("compare", "scene.png", "scene.png"),
    ("compare", "color.png", "transparent.png", "--ignore-alpha", "--fail-above", "inf"),
    ("compare", "color.png", "depth16.png", "--fail-above", "inf"),
    ("explain", "scene.png", "-k", "gaussian5", "--at", "0,0"),
    ("explain", "color.png", "-k", "sobel", "--channels", "gray", "--at", "3,4"),
    ("explain", "transparent.png", "-k", "box3", "--at", "3,4", "--linear"),
    ("explain", "color.png", "-k", "random:3x3x3x2", "--at", "9,9"),
    ("explain", "color.png", "-k", "random:3x3x3x2", "--at", "9,9", "--show-channel", "red"),
    ("explain", "color.png", "-k", "box3", "--then", "sobel:stack", "--then", "maxpool2x2", "--at", "9,9"),
]


def reports(run: Any, tmp_path: Any, arguments: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each JSON line of a command; the sample's name stands for its path."""
    words = [str(SAMPLES / word) if word.endswith(".png") else word for word in arguments]
    out = ["-o", f"{tmp_path}/"] if words[0] == "apply" else []
    ran = run(*words, *out, "--report", "json")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.text.splitlines()]


@pytest.mark.parametrize("arguments", [*(("apply", *words) for words in APPLY), *OTHERS], ids=" ".join)
def test_reports_keep_to_the_schema(run, tmp_path, arguments):
    """Real reports are valid, and all their keys are described."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    for report in reports(run, tmp_path, arguments):
        is_traced = arguments[0] == "explain" and "--then" in arguments
        kind = "explain_chain" if is_traced else arguments[0]
        kind = "chain" if "layers" in report else kind
        jsonschema.validate(report, {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{kind}"}]})
        jsonschema.validate(report, SCHEMA)
        assert undescribed(report, SCHEMA["$defs"][kind]) == set()


def test_the_page_lists_every_format_and_all_metadata():
    """The page lists every value of `format` and `metadata`."""
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    cells = [row.split("|") for row in page.splitlines() if row.startswith("| `")]
    rows = {cell[1].strip(): set(re.findall(r"`(\w+)`", cell[3])) for cell in cells}
    placed = {
        "axes": Axes("ome", "Z", (2,)),
        "ground": Georeference(),
        "nodata": -9999.0,
        "measures": (Measure(),),
    }
    texts = (("Title", "A"),)
    everything = Metadata(b"", b"", b"", (1.0, 1.0), 1.0, 0, texts, timing=Timing.steady(2), **placed)
    assert rows["`format`"] == {entry.name for entry in formats()}
    assert rows["`metadata`"] == {name for name, _ in summarize(everything)}


def test_manifests_keep_to_the_schema(run, tmp_path):
    """Rows of results and failures are valid, and all their keys are in the schema and on the page."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    (tmp_path / "bad.png").write_bytes(b"not an image")
    inputs = SAMPLES / "scene.png", tmp_path / "bad.png"
    ran = run("batch", *inputs, tmp_path / "out", "-k", "box3", "--report", "-")
    lines = [json.loads(line) for line in ran.text.splitlines()]
    for row, kind in zip(lines, ("manifest", "row", "failure"), strict=True):
        jsonschema.validate(row, {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{kind}"}]})
        jsonschema.validate(row, SCHEMA)
        assert undescribed(row, SCHEMA["$defs"][kind]) == set()
        assert all(f"`{key}`" in page for key in {**row, **row.get("batch", {}), **row.get("manifest", {})})


def test_the_schema_is_one_and_refuses_others():
    """The schema is valid, and a report with a missing key or a wrong type is not."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for wrong in ({}, {"schema": 1}, {"schema": "1", "at": [0, 0]}):
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(wrong)


def undescribed(value: Any, schema: dict[str, Any]) -> set[str]:
    """Keys of a report that its schema does not describe."""
    schema = resolved(schema)
    if isinstance(value, list):
        return {key for item in value for key in undescribed(item, schema.get("items", {}))}
    if not isinstance(value, dict):
        return set()
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    inner = {key for name, item in value.items() for key in undescribed(item, known.get(name, others or {}))}
    return inner | (set(value) - set(known) if others is None else set())


def referred(path: str) -> dict[str, Any]:
    """The target of a reference within the schema."""
    found: Any = SCHEMA
    for step in path.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its references resolved."""
    parts = [schema, *map(resolved, schema.get("allOf", []))]
    if "$ref" in schema:
        parts.append(resolved(referred(schema["$ref"])))
    merged = {key: value for part in parts for key, value in part.items() if key not in ("$ref", "allOf")}
    return {**merged, "properties": {k: v for part in parts for k, v in part.get("properties", {}).items()}}
