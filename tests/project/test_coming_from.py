"""The pages about other tools: each row's two commands give the pixels that its last column promises."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from tests.conftest import ROOT, SAMPLES

PAGES = ROOT / "docs" / "coming-from"
ROW = re.compile(r"^\| `(.+?)` \| `convcli (.+?)` \| (equal|within ([\d.]+))\b.*\|$", re.MULTILINE)
WEIGHTS = {
    "box3.mat": "3 3 9 0\n1 1 1\n1 1 1\n1 1 1\n",
    "sharpen.mat": "3 3 1 0\n0 -1 0\n-1 5 -1\n0 -1 0\n",
    "sobel-x.mat": "3 3 1 0\n-1 0 1\n-2 0 2\n-1 0 1\n",
    "even.mat": "2 2 1 0\n1 2\n3 -4\n",
    "row.mat": "5 1 16 0\n1 4 6 4 1\n",
}
"""Kernel files of the page about libvips."""


@dataclass(frozen=True)
class Row:
    """A row of a page: what another tool runs, the arguments of convcli, and how far pixels may be apart."""

    other: str
    ours: str
    tolerance: float


def rows(page: str) -> list[Row]:
    """The rows of a page that promise something about pixels."""
    found = ROW.findall((PAGES / f"{page}.md").read_text("utf-8"))
    return [Row(other, ours, float(most or 0)) for other, ours, _, most in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the images of the pages: parts of the samples, with edges at their sides."""
    monkeypatch.chdir(tmp_path)
    for name, sample in (("in", "scene"), ("color", "color"), ("depth16", "depth16")):
        iio.imwrite(tmp_path / f"{name}.png", iio.imread(SAMPLES / f"{sample}.png")[40:130, 60:170])
    return tmp_path


def differences(row: Row, theirs: np.ndarray, folder: Path, run: Callable[..., Any]) -> float:
    """How far the pixels of a row are apart; shapes must be equal, up to axes of one."""
    command = shlex.split(row.ours)
    ran = run(*command, "--quiet")
    assert ran.code == 0, ran.err
    path = folder / command[command.index("-o") + 1]
    ours = np.squeeze(np.load(path) if path.suffix == ".npy" else iio.imread(path))
    path.unlink()
    assert ours.shape == theirs.shape, row
    return float(np.abs(ours.astype(float) - theirs).max())


def program(name: str, sign: str) -> str:
    """Another program; the test is skipped if it is missing, or is a different one of that name."""
    found = shutil.which(name)
    if found is not None:
        ran = subprocess.run([found, "--version"], check=False, capture_output=True, text=True)
        if sign in ran.stdout:
            return found
    return pytest.skip(f"{sign} is not installed")


def written(command: str, executable: str) -> np.ndarray:
    """The image that a command of another program writes."""
    subprocess.run([executable, *shlex.split(command)[1:]], check=True, capture_output=True)
    path = Path(next(word for word in shlex.split(command) if word.startswith("out.")))
    pixels = iio.imread(path)
    path.unlink()
    return np.squeeze(pixels)


@pytest.mark.parametrize(
    ("page", "name", "sign"), [("imagemagick", "convert", "ImageMagick 6"), ("libvips", "vips", "vips-8")]
)
def test_other_programs_give_the_pixels_of_the_page(page, name, sign, folder, run):
    """ImageMagick's and libvips' commands, and what convcli is said to give for each."""
    executable = program(name, sign)
    for file, text in WEIGHTS.items():
        (folder / file).write_text(text)
    for row in rows(page):
        theirs = written(row.other, executable)
        assert differences(row, theirs, folder, run) <= row.tolerance, row


def evaluated(page: str, roots: set[str], folder: Path) -> dict[str, Any]:
    """The names that the code of a page defines; the test is skipped if a library of it is missing."""
    missing = sorted(root for root in roots if find_spec(root) is None)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    (code,) = re.findall(r"```py\n(.*?)```", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names


def values(result: Any) -> np.ndarray:
    """The array of a library, without axes of one."""
    array = result.detach() if hasattr(result, "detach") else result
    return np.squeeze(np.asarray(array))


@pytest.mark.parametrize(("page", "libraries"), [("opencv", {"cv2"}), ("scipy", {"scipy", "skimage"})])
def test_python_libraries_give_the_pixels_of_the_page(page, libraries, folder, run):
    """OpenCV's, SciPy's and scikit-image's calls; OpenCV has blue first."""
    names = evaluated(page, libraries, folder)
    for row in rows(page):
        theirs = values(eval(row.other, names))
        theirs = theirs[..., ::-1] if page == "opencv" and theirs.ndim == 3 else theirs
        assert differences(row, theirs, folder, run) <= row.tolerance, row


@pytest.mark.filterwarnings("ignore")
def test_layers_give_the_values_of_the_page(folder, run, monkeypatch):
    """PyTorch's functions and the layers and operations of Keras, on its PyTorch backend."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    names = evaluated("layers", {"torch", "keras"}, folder)
    np.save("w.npy", names["w"][0, 0].numpy())
    for name in ("bank", "each"):
        np.save(f"{name}.npy", names[name].numpy())
    for row in rows("layers"):
        theirs = eval(row.other, names)
        if theirs.ndim == 4 and row.other.startswith("F."):
            theirs = theirs.permute(0, 2, 3, 1)
        assert differences(row, values(theirs), folder, run) <= row.tolerance, row


@pytest.mark.parametrize("page", [path.stem for path in sorted(PAGES.glob("*.md"))])
def test_every_row_about_pixels_is_compared(page):
    """No row of the tables of commands is overlooked by the tests above."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    (table,) = re.findall(r"^\| .* \| convcli \| pixels \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert len(rows(page)) == table.count("\n") >= 10
