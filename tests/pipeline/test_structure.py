"""The order of the pipeline's parts: values, maps, planning, writing, reports, job."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

ORDER = ("maps", "planning", "writing", "reports", "job")
"""A part imports only from those before it, and from the modules beside them, which hold values."""

FOLDER = ROOT / "convcli" / "pipeline"


def imported(part: str) -> set[str]:
    """The parts that a part imports, itself excepted; "values" stands for the modules beside them."""
    files = [FOLDER / f"{part}.py"] if (FOLDER / f"{part}.py").exists() else (FOLDER / part).glob("*.py")
    names = set(re.findall(r"from convcli\.pipeline\.(\w+)", "".join(file.read_text() for file in files)))
    return names & set(ORDER) - {part}


@pytest.mark.parametrize("part", ORDER)
def test_a_part_imports_only_from_parts_before_it(part):
    """No part imports a later one."""
    assert imported(part) <= set(ORDER[: ORDER.index(part)])


def test_values_import_no_part():
    """Settings, names, mappings and colors are independent of what is done with them."""
    values = [path.stem for path in FOLDER.glob("*.py") if path.stem not in (*ORDER, "__init__")]
    assert {name: imported(name) for name in values} == {name: set() for name in values}
