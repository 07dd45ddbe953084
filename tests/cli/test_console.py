"""Names from files reach terminals, spreadsheets and pages as harmless text."""

from __future__ import annotations

import json
import re
import shutil
import struct

import numpy as np
import pytest

from convcli.cli.console import escaped
from tests.conftest import ROOT

HOSTILE = "a\x1b]52;c;aGk=\x07\x9b31m\u202eevil\u2066\x00\r\x7f</script><img src=x onerror=alert(1)>"
FILE_NAME = "a\x1b]52;c;aGk=\x07\x9b31m\u202eevil.png"


@pytest.fixture
def kernel(tmp_path):
    """A safetensors file whose only tensor has a hostile name."""
    header = {HOSTILE: {"dtype": "F32", "shape": [1, 1, 3, 3], "data_offsets": [0, 36]}}
    text = json.dumps(header).encode()
    path = tmp_path / "k.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + np.arange(9, dtype="<f4").tobytes())
    return path


@pytest.fixture
def image(tmp_path, picture):
    """An image whose file name is hostile."""
    return picture.rename(tmp_path / FILE_NAME)


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


COMMANDS = {
    "show": "kernels show {kernel}",
    "apply": "apply {image} -k {kernel} --padding valid -o {out}.png",
    "apply-csv": "apply {image} -k {kernel} -o {out}.png --report csv",
    "apply-json": "apply {image} -k {kernel} -o {out}.png --report json",
    "explain": "explain {image} -k {kernel} --at 3,3",
    "plan": "plan 30x30 -k {kernel}",
    "shape": "shape 30x30 -k {kernel}",
    "batch": "batch {image} {out}/ -k box3",
    "batch-dry": "batch {image} {out}/ -k box3 -n",
    "batch-failing": "batch {image} {out}/ -k box3 --channels sum --groups 7",
    "missing": "apply {image}x -k box3",
    "unknown-kernel": "apply {image} -k {image}y",
    "unknown-option": "apply {image} --{image}",
    "unknown-command": "{image}",
    "animate": "animate {image} -k {kernel} --most 3 -o {out}.gif",
    "explore": "explore {image} -k {kernel}",
    "view": "view {image} {image}x",
    "preview": "kernels preview {image} -k {kernel} -o {out}.png",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_unprintable_is_printed(command, kernel, image, tmp_path, run):
    """Every command escapes what file, kernel and tensor names hold, on both streams."""
    values = {"kernel": kernel, "image": image, "out": tmp_path / "out"}
    ran = run(*(word.format(**values) for word in COMMANDS[command].split()))
    assert harmless(ran.text), ran.text
    assert harmless(ran.err), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_report_files_are_printable_too(form, kernel, image, tmp_path, run):
    """A report that is shown with cat later is as safe as one on the terminal."""
    report = tmp_path / "report"
    run("apply", image, "-k", kernel, "-o", tmp_path / "o.png", "--report", form, "--report-file", report)
    assert "a\\x1b" in report.read_text() or "a\\u001b" in report.read_text()
    assert harmless(report.read_text())


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("page.html", "explore {image} -k {kernel} -o {out}"),
        ("figure.svg", "apply {image} -k {kernel} --figure -o {out}"),
        ("sheet.svg", "apply {image} -k {kernel} --sheet -o {out}"),
    ],
)
def test_pages_and_drawings_take_names_for_text(name, command, kernel, image, tmp_path, run):
    """No name ends a script, opens a tag, or reorders text."""
    out = tmp_path / name
    values = {"kernel": kernel, "image": image, "out": out}
    assert run(*(word.format(**values) for word in command.split())).code == 0
    text = out.read_text()
    assert "<img src=x" not in text
    assert not re.search("[\x00\x07\x1b\x7f-\x9f\u202e\u2066]", text)
    assert "evil" in text


def test_escaped_keeps_lines_and_printable_text():
    """Line feeds and any printable character stay; everything else is spelled out."""
    assert escaped("α ± − ▁\nβ") == "α ± − ▁\nβ"
    assert escaped("\x1b[31m\tx\u202e\ud800") == "\\x1b[31m\\tx\\u202e\\ud800"


def test_there_is_one_way_out():
    """Only the console writes text; files.stdout writes images, and a helper process writes to its parent."""
    writes = re.compile(r"\becho\(|\bprint\(|(?<!\w)sys\.std(?:out|err)\.(?:buffer\.)?write\(")
    found = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "convcli").rglob("*.py"))
        if writes.search(path.read_text())
    ]
    assert found == [
        "convcli/cli/console.py",
        "convcli/files/stdout.py",
        "convcli/kernels/readers/models/isolated.py",
    ]


def test_a_list_shows_files_of_a_folder_harmlessly(tmp_path, run):
    """Names of files in a kernel folder are escaped in the list and in its JSON."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    shutil.copy(ROOT / "kernels" / "laplacian4.yaml", folder / "a\x1b[31m\u202e.yaml")
    for extra in ([], ["--json"]):
        ran = run("kernels", "list", "--kernel-path", folder, *extra)
        assert ran.code == 0
        assert harmless(ran.text)
        assert harmless(ran.err)
