"""The pages on kernels: generated from the data, current, and a schema that says what the reader takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from convcli.kernels.presets import files
from convcli.kernels.readers.document import FILE_WAYS, KEYS
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
    """docs/kernels.md is what tools/kernels_page.py writes."""
    assert kernels_page.page() == kernels_page.PAGE.read_text(), "run python -m tools.kernels_page"


def test_the_figure_of_the_readme_is_current():
    """The picture is what the command beside it draws; fonts differ a little between Pillow's versions."""
    kept, due = (
        np.asarray(image).astype(int)
        for image in (Image.open(kernels_page.FIGURE).convert("RGB"), kernels_page.figure())
    )
    assert kept.shape == due.shape, "run python -m tools.kernels_page"
    assert (np.abs(kept - due) > 24).mean() < 0.02, "run python -m tools.kernels_page"


def test_the_pictures_are_current():
    """Its pictures too; fonts differ a little between Pillow's versions."""
    sheets = {path.stem for path in kernels_page.PICTURES.iterdir() if not path.stem.startswith("learn-")}
    assert sheets == set(kernels_page.GROUPS)
    for tag in kernels_page.GROUPS:
        kept = np.asarray(Image.open(kernels_page.PICTURES / f"{tag}.webp").convert("RGB")).astype(int)
        drawn = kernels_page.picture(tag).astype(int)
        assert kept.shape == drawn.shape, f"{tag}: run python -m tools.kernels_page"
        assert (np.abs(kept - drawn) > 24).mean() < 0.02, f"{tag}: run python -m tools.kernels_page"


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_knows_every_key():
    """The reader's keys and ways to combine, no more and no fewer."""
    properties = SCHEMA["$defs"]["kernel"]["properties"]
    assert set(properties) == {*KEYS, "$schema"}
    assert set(properties["combine"]["enum"]) == set(FILE_WAYS)


@pytest.mark.parametrize("stem", files())
def test_shipped_presets_keep_the_schema(validator, stem):
    """Every shipped file."""
    validator.validate(yaml.safe_load(files()[stem].read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", [name for name in GOOD if name.endswith((".yaml", ".yml", ".json"))])
def test_good_files_keep_the_schema(validator, name):
    """What the reader takes."""
    validator.validate(yaml.safe_load(GOOD[name][0].decode("utf-8-sig").replace("\t", " ")))


@pytest.mark.parametrize("name", BROKEN)
def test_bad_files_break_it(validator, name):
    """What the reader refuses for its structure; lengths, sums and places are no matter of a schema."""
    assert not validator.is_valid(yaml.safe_load(BAD[name][0]))
