"""Images in a terminal, decoded back to pixels."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest

from convcli.visualize.display import Scale
from convcli.visualize.terminal import Terminal, detect_terminal, nearest_xterm, terminal_text
from tests.conftest import SAMPLES, decoded

NAMES = (
    "TERM",
    "TERM_PROGRAM",
    "LC_TERMINAL",
    "KITTY_WINDOW_ID",
    "KONSOLE_VERSION",
    "TMUX",
    "COLORTERM",
    "COLUMNS",
    "LINES",
)


def pixels_of(shown: str) -> np.ndarray:
    """The pixels of half blocks in 24-bit colors; the lower ones of a last odd row are left out."""
    rows: list[list[list[int]]] = []
    for line in shown.splitlines():
        upper, lower, now = [], [], ([], [])
        for numbers, block in re.findall(r"\033\[([\d;]*)m|(▀)", line):
            if block:
                upper.append(now[0])
                lower.append(now[1])
            elif numbers != "0":
                parts = [int(number) for number in numbers.split(";")]
                assert parts[:2] == [38, 2]
                now = parts[2:5], parts[7:10]
        rows += [upper] if lower == [[]] * len(lower) else [upper, lower]
    return np.array(rows, np.uint8)


def palette() -> np.ndarray:
    """Xterm's colors from 16 on."""
    steps = [0, 95, 135, 175, 215, 255]
    cube = [[red, green, blue] for red in steps for green in steps for blue in steps]
    return np.array(cube + [[8 + 10 * gray] * 3 for gray in range(24)])


@pytest.mark.parametrize("shape", [(70, 66, 3), (71, 65, 3), (66, 64, 1), (1, 65, 3)])
def test_half_blocks_are_the_pixels(shape):
    """A character shows two pixels; none is lost, even with odd heights or gray images."""
    pixels = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    pixels[3:9, 4:9] = 50  # equal neighbors share their codes
    shown = terminal_text(pixels, Terminal("blocks", True, 80, 40))
    assert np.array_equal(pixels_of(shown), np.broadcast_to(pixels, (*shape[:2], 3)))
    assert all(line.endswith("\033[0m") for line in shown.splitlines())


def test_images_fit_the_terminal():
    """Large images are averaged in boxes, small ones enlarged, with a line left for the prompt."""
    large = np.random.default_rng(7).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    shown = pixels_of(terminal_text(large, Terminal("blocks", True, 80, 24)))
    assert np.array_equal(shown, Scale(box=7).reduced(large))
    assert shown.shape[1] <= 80
    assert shown.shape[0] <= 2 * 23
    small = large[:4, :5]
    assert np.array_equal(
        pixels_of(terminal_text(small, Terminal("blocks", True, 80, 24)))[::11, ::11], small
    )


def test_256_colors_are_the_nearest():
    """No other of the 240 is nearer, up to ties."""
    colors = np.random.default_rng(1).integers(0, 256, (500, 3), dtype=np.uint8)
    found = palette()[nearest_xterm(colors) - 16]
    due = ((colors[:, None].astype(int) - palette()) ** 2).sum(-1).min(-1)
    assert np.array_equal(((colors.astype(int) - found) ** 2).sum(-1), due)
    assert "38;5;" in terminal_text(colors.reshape(20, 25, 3), Terminal("blocks", False))


def test_protocols_carry_the_image():
    """The chunks of kitty and the file of iTerm2 are a PNG of the same pixels."""
    pixels = np.random.default_rng(7).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    shown = terminal_text(pixels, Terminal("kitty", True, 80, 24))
    pieces = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", shown)
    assert pieces[0][0] == "a=T,f=100,m=1"
    assert [keys for keys, _ in pieces[1:]] == ["m=1"] * (len(pieces) - 2) + ["m=0"]
    assert all(len(data) <= 4096 for _, data in pieces)
    sent = [decoded(base64.b64decode("".join(data for _, data in pieces)))]
    shown = terminal_text(pixels, Terminal("iterm2", True, 80, 24))
    (found,) = re.findall(r"\033\]1337;File=inline=1;size=(\d+):([^\a]*)\a\n", shown)
    file = base64.b64decode(found[1])
    assert len(file) == int(found[0])
    sent.append(decoded(file))
    for drawn in sent:
        assert np.array_equal(drawn[::4, ::4], pixels)


def of_sixel(text: str) -> np.ndarray:
    """The pixels of a sixel image in percent, decoded character by character; −1 where nothing is drawn."""
    body = re.fullmatch(r"\033P0;1q(.*)\033\\\n", text, re.DOTALL)[1]
    columns, rows = map(int, re.match(r'"1;1;(\d+);(\d+)', body).groups())
    pixels, palette, row, column, color = np.full((rows, columns, 3), -1), {}, 0, 0, None
    for token in re.findall(r"#[\d;]+|!\d+.|[-$]|[?-~]", body[body.index("#") :]):
        if token[0] == "#":
            index, *shade = map(int, token[1:].split(";"))
            if shade:
                palette[index] = shade[1:]
            color = palette[index]
        elif token in "-$":
            row, column = row + 6 * (token == "-"), 0
        else:
            count = int(token[1:-1] or 1) if token[0] == "!" else 1
            for bit in range(6):
                if ord(token[-1]) - 63 >> bit & 1:
                    pixels[row + bit, column : column + count] = color
            column += count
    return pixels


@pytest.mark.parametrize("shape", [(90, 80, 3), (89, 70, 1)])
def test_sixel_carries_few_colors_exactly(shape):
    """An image of up to 256 colors is the same in percent, rows that are no multiple of six included."""
    pixels = np.random.default_rng(7).integers(0, 6, shape).astype(np.uint8) * 51
    drawn = of_sixel(terminal_text(pixels, Terminal("sixel", True, 80, 24)))
    due = np.broadcast_to(pixels, (*shape[:2], 3)) / 2.55
    zoom = len(drawn) // shape[0]
    assert np.array_equal(drawn[::zoom, ::zoom], due.round())


def test_sixel_reduces_many_colors():
    """Photographs have 256 colors, near the original on average; every pixel is drawn."""
    pixels = decoded((SAMPLES / "color.png").read_bytes())[40:100, 40:140]
    drawn = of_sixel(terminal_text(pixels, Terminal("sixel", True, 200, 60)))
    assert drawn.min() >= 0
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) <= 256
    zoom = len(drawn) // len(pixels)
    assert np.abs(drawn[::zoom, ::zoom] * 2.55 - pixels).mean() < 8


@pytest.mark.skipif(shutil.which("sixel2png") is None, reason="libsixel-bin decodes sixel")
def test_sixel_as_libsixel_reads_it(tmp_path):
    """Another decoder sees the same pixels."""
    pixels = np.random.default_rng(7).integers(0, 6, (90, 80, 3)).astype(np.uint8) * 51
    text = terminal_text(pixels, Terminal("sixel", True, 10, 7))
    (tmp_path / "a.six").write_text(text)
    subprocess.run(["sixel2png", "-i", tmp_path / "a.six", "-o", tmp_path / "a.png"], check=True)
    theirs = decoded((tmp_path / "a.png").read_bytes())[..., :3]
    assert np.abs(theirs - of_sixel(text) * 2.55).max() <= 1.5


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of 80 columns without further information."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def become(is_one: bool = True, **variables: str) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: is_one, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **variables}.items():
            monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize(
    ("variables", "way", "full"),
    [
        ({}, "blocks", False),
        ({"COLORTERM": "truecolor"}, "blocks", True),
        ({"TERM": "xterm-kitty"}, "kitty", False),
        ({"KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}, "kitty", True),
        ({"TERM_PROGRAM": "ghostty"}, "kitty", False),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2", False),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2", False),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2", False),
        ({"TERM": "foot"}, "sixel", False),
        ({"TERM": "xterm-sixel"}, "sixel", False),
        ({"TERM_PROGRAM": "mintty"}, "sixel", False),
        ({"KONSOLE_VERSION": "230401"}, "sixel", False),
        ({"KONSOLE_VERSION": "210401"}, "blocks", False),
        ({"TERM": "foot", "TMUX": "/tmp/x"}, "blocks", False),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/x"}, "blocks", False),
        ({"KITTY_WINDOW_ID": "1", "TERM": "screen-256color"}, "blocks", False),
    ],
)
def test_the_environment_selects_the_protocol(terminal, variables, way, full):
    """The protocol is one that the terminal understands; blocks inside a multiplexer."""
    terminal(**variables)
    assert detect_terminal() == Terminal(way, full, 80, 24)


def test_without_a_terminal(terminal):
    """Pipes and dumb terminals show nothing unless a protocol is chosen."""
    terminal(is_one=False)
    assert detect_terminal() is None
    assert detect_terminal("blocks") == Terminal("blocks", True, 80, 24)
    terminal(TERM="dumb")
    assert detect_terminal() is None


def test_view(run, tmp_path, gray, monkeypatch):
    """`view` shows the pixels as blocks, nothing without a terminal, and errors of one line."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "x.png"
    path.write_bytes(imagecodecs.png_encode(gray))
    shown = run("view", path, "--as", "blocks")
    assert np.array_equal(pixels_of(shown.text)[::2, ::2, 0], gray)
    assert run("view", "-", "--as", "blocks", stdin=path.read_bytes()).out == shown.out
    assert run("view", path) == run("view", "-", stdin=path.read_bytes())
    assert run("view", path).out == b""
    for name in ("transparent.png", "depth16.png", "color.png"):
        assert "▀" in run("view", SAMPLES / name, "--as", "blocks").text
    ran = run("view", tmp_path / "none.png", path, "--as", "blocks")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert str(path) in ran.text
    assert run("view", tmp_path / "none.png").code == 2


def test_maps_in_the_terminal(run, tmp_path, gray, monkeypatch):
    """-o term: shows the pixels that apply writes, in colors too, and writes no file."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    path, out = tmp_path / "x.png", tmp_path / "out" / "x.png"
    path.write_bytes(imagecodecs.png_encode(gray))
    for options in (("-k", "box3"), ("-k", "sobel-x", "--map", "signed", "--colormap", "viridis")):
        out.parent.mkdir(exist_ok=True)
        assert run("apply", path, *options, "-o", out, "-f").code == 0
        due = decoded(out)
        shown = pixels_of(run("apply", path, *options, "-o", "term:blocks").text)
        assert np.array_equal(shown[::2, ::2], due if due.ndim == 3 else np.repeat(due[..., None], 3, -1))
    several = run("apply", path, "-k", "box3", "-k", "sobel:stack", "-o", "term:blocks").text
    assert [line for line in several.splitlines() if "x.png" in line] == [
        "x.png, box3",
        "x.png, sobel-x",
        "x.png, sobel-y",
    ]
    assert "▀" in run("apply", path, "-k", "box3", "--sheet", "-o", "term:blocks").text
    ran = run("apply", path, "-k", "box3", "-o", "term:")
    assert (ran.code, ran.out) == (0, b"")
    assert (
        "written    the terminal" in run("apply", path, "-k", "box3", "-o", "term:", "--report", "text").err
    )
    assert sorted(tmp_path.iterdir()) == [out.parent, path]
