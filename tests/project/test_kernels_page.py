"""The pages about kernels: generated files are current, and the schema accepts what the reader accepts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from convcli.kernels.presets import files
from convcli.kernels.readers.document import FILE_COMBINES, KEYS
from tests.conftest import ROOT
from tests.kernels.test_readers import BAD, GOOD
from tools import kernels_page

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads((ROOT / "docs" / "kernel.schema.json").read_text())
BROKEN = (
    "unknown.yaml", "unknown.json", "both.yaml", "no-weights.yaml", "scalar.yaml", "scalar.json", "null.json",
    "word.yaml", "flip.yaml", "anchor-word.yaml", "combine.yaml", "kernels.yaml", "nameless.yaml",
    "empty-list.yaml", "nested.json", "deep-ragged.yaml",
)  # fmt: skip


def test_the_page_is_current():
    """docs/kernels.md matches the presets."""
    assert kernels_page.page() == kernels_page.PAGE.read_text(), "run python -m tools.kernels_page"


def test_the_figure_of_the_readme_is_current():
    """The figure matches what the command draws; fonts differ a little between Pillow versions."""
    committed, drawn = (
        np.asarray(image).astype(int)
        for image in (Image.open(kernels_page.FIGURE).convert("RGB"), kernels_page.figure())
    )
    assert committed.shape == drawn.shape, "run python -m tools.kernels_page"
    assert (np.abs(committed - drawn) > 24).mean() < 0.02, "run python -m tools.kernels_page"


def test_the_images_are_current():
    """The images of the groups match the presets, too."""
    sheets = {
        path.stem
        for path in kernels_page.IMAGES.glob("*.webp")
        if not path.stem.startswith(("learn-", "chain", "network-", "compare"))
    }
    assert sheets == set(kernels_page.GROUPS)
    for tag in kernels_page.GROUPS:
        committed = np.asarray(Image.open(kernels_page.IMAGES / f"{tag}.webp").convert("RGB")).astype(int)
        drawn = kernels_page.group_image(tag).astype(int)
        assert committed.shape == drawn.shape, f"{tag}: run python -m tools.kernels_page"
        assert (np.abs(committed - drawn) > 24).mean() < 0.02, f"{tag}: run python -m tools.kernels_page"


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_knows_every_key():
    """The schema has the reader's keys and ways to combine, no more and no fewer."""
    properties = SCHEMA["$defs"]["kernel"]["properties"]
    assert set(properties) == {*KEYS, "$schema"}
    assert set(properties["combine"]["enum"]) == set(FILE_COMBINES)


@pytest.mark.parametrize("stem", files())
def test_shipped_presets_keep_the_schema(validator, stem):
    """Every shipped preset is valid."""
    validator.validate(yaml.safe_load(files()[stem].read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", [name for name in GOOD if name.endswith((".yaml", ".yml", ".json"))])
def test_good_files_keep_the_schema(validator, name):
    """Files that the reader accepts are valid."""
    validator.validate(yaml.safe_load(GOOD[name][0].decode("utf-8-sig").replace("\t", " ")))


@pytest.mark.parametrize("name", BROKEN)
def test_bad_files_break_it(validator, name):
    """Files that the reader refuses for their structure are invalid; lengths and sums are beyond a schema."""
    assert not validator.is_valid(yaml.safe_load(BAD[name][0]))
