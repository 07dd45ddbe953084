"""``convcli explore``: the page in a browser computes what the package does, and anybody can use it."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.pipeline import job
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.visualize.explore.page import page
from tests.conftest import SAMPLES

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
]
LARGEST_PAGE = 300_000  # bytes, apart from the image

pytestmark = pytest.mark.filterwarnings("ignore")  # resources that Selenium itself leaves open


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="Selenium is not installed (the extra browser)"
    )
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no Chromium with chromedriver here; Debian's are chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def samples() -> dict[str, np.ndarray]:
    """Small images without symmetry: gray, color, 16 bits."""
    rng = np.random.default_rng(8)
    return {
        "gray": rng.integers(0, 256, (14, 17), dtype=np.uint8),
        "color": rng.integers(0, 256, (11, 13, 3), dtype=np.uint8),
        "deep": rng.integers(0, 65536, (12, 9), dtype=np.uint16),
    }


def opened(browser: Any, folder: Path, name: str, kernel: str = "box3", **options: Any) -> Path:
    """Open the page of an image in the browser; returns the file of the image."""
    source, target = folder / f"{name}.png", folder / f"{name}.html"
    source.write_bytes(imagecodecs.png_encode(samples()[name]))
    target.write_text(page(str(source), Settings(load_kernel(kernel), **options)), encoding="utf-8")
    load(browser, target)
    return source


def load(browser: Any, target: Path) -> None:
    browser.get(target.as_uri())
    for _ in range(200):
        if browser.execute_script("return Boolean(window.explorer && window.explorer.ready)"):
            return
        time.sleep(0.02)
    pytest.fail(f"the page does not start: {browser.get_log('browser')}")


PRESETS = [
    "box3",
    "sobel-x",
    "sharpen",
    "gaussian5",
    "emboss",
    "sobel",
    "laplacian8",
    "scharr",
    "ones3",
    "outline",
]
AMOUNTS = ["valid", "same", "full", "1,2", "0,2,1,0", "same-lower"]
FILLS = ["constant", "edge", "reflect", "symmetric", "wrap"]
MAPS = ["auto", "clip", "abs", "signed", "stretch", "signed:300", "stretch:-90,700"]


def combinations(count: int) -> list[dict[str, Any]]:
    """Random settings that combine every choice with many others."""
    rng = np.random.default_rng(4)
    every = zip(
        range(count),
        *(itertools.cycle(rng.permutation(values).tolist()) for values in (PRESETS, AMOUNTS, FILLS, MAPS)),
        strict=False,
    )
    return [
        {
            "preset": preset,
            "amount": amount,
            "fill": fill,
            "constant": int(rng.integers(0, 30)) if fill == "constant" else 0,
            "mapping": mapping,
            "stride": rng.integers(1, 4, 2).tolist(),
            "dilation": rng.integers(1, 3, 2).tolist(),
            "flip": bool(rng.integers(2)),
            "channels": str(rng.choice(["each", "gray", "sum"])),
            "bias": str(Fraction(int(rng.integers(-9, 9)), 4)) if index % 5 == 0 else None,
        }
        for index, preset, amount, fill, mapping in every
    ]


def ties() -> list[dict[str, Any]]:
    """Settings with values halfway between two integers, above and below 0."""
    common = {
        "amount": "same",
        "fill": "edge",
        "constant": 0,
        "stride": [1, 1],
        "dilation": [1, 1],
        "flip": False,
    }
    return [
        {**common, "preset": preset, "mapping": mapping, "bias": bias, "channels": "each"}
        for preset, bias in itertools.product(("sharpen", "emboss", "sobel-x"), ("1/2", "-3/2"))
        for mapping in ("clip", "abs")
    ]


SHOW = """
const E = window.explorer, c = arguments[0];
const preset = E.kernelState(E.presets.find((entry) => entry.name === c.preset));
const [mapping, range] = c.mapping.split(":");
const numbers = range ? range.split(",").map(E.Exact.parse) : null;
const opposite = numbers && E.Exact.of(-numbers[0].n, numbers[0].d);
const limits = numbers && numbers.length === 1 ? [opposite, numbers[0]] : numbers;
const changes = {amount: c.amount, fill: c.fill, constant: c.constant, mapping, limits, stride: c.stride,
  dilation: c.dilation, flip: c.flip, channels: c.channels};
if (c.bias) changes.bias = E.Exact.parse(c.bias);
if (!E.set({...preset, ...changes})) return null;
const {axes, pixels, lanes, below, above, exact, filter, low, high} = E.computed();
const plain = (value) => (typeof value === "number" ? value : E.Exact.number(value));
return {size: axes.map((one) => one.output), pixels: pixels.map((lane) => [...lane]), below, above, exact,
  sums: lanes.map((lane) => [...lane]), denominator: filter.denominator, range: [plain(low), plain(high)]};
"""


def written(source: Path, combination: dict[str, Any]) -> tuple[np.ndarray, Any]:
    """The feature map of ``apply`` with the same settings, (rows, columns, channels), and its report."""
    kernel = load_kernel(combination["preset"])
    if combination["bias"]:
        kernel = kernel.biased(Fraction(combination["bias"]))
    fill = str(combination["constant"]) if combination["fill"] == "constant" else combination["fill"]
    target = source.with_suffix(".npy")
    settings = Settings(
        kernel,
        stride=tuple(combination["stride"]),
        dilation=tuple(combination["dilation"]),
        padding=Padding.parse(f"{combination['amount']}:{fill}"),
        flip=combination["flip"],
        channels=combination["channels"],
        mapping=Mapping.parse(combination["mapping"]),
        output=OutputSpec(str(target)),
        force=True,
    )
    (report,) = job.apply(str(source), settings)
    pixels = np.load(target)
    return pixels.reshape(*pixels.shape[:2], -1), report


@pytest.mark.parametrize("name", ["gray", "color", "deep"])
def test_the_page_computes_what_apply_writes(browser, tmp_path, name, monkeypatch):
    """The page and apply make the same pixels for 52 settings of each image."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    source = opened(browser, tmp_path, name)
    for combination in combinations(40) + ties():
        found = browser.execute_script(SHOW, combination)
        expected, report = written(source, combination)
        lanes = np.stack([np.array(lane).reshape(found["size"]) for lane in found["pixels"]], -1)
        assert np.array_equal(lanes, expected), combination
        assert (found["below"], found["above"]) == (report.below, report.above), combination
        assert found["range"] == [float(report.low), float(report.high)], combination


LAYER = """
const E = window.explorer, [index, flip, stride] = arguments;
const {biases} = E.state();
if (!E.set({map: index, bias: biases[biases.length > 1 ? index : 0], flip, stride})) return null;
const {axes, pixels, kind} = E.computed();
const texts = (id) => [...document.querySelectorAll(id)].map((one) => one.innerText);
return {size: axes.map((one) => one.output), pixels: [...pixels[0]], lanes: pixels.length, kind,
  captions: texts(".value caption"), steps: texts("#steps li"), command: texts("#command")[0]};
"""


@pytest.mark.parametrize("exact", [True, False])
def test_layers_over_the_channels_of_the_image(browser, tmp_path, exact, monkeypatch):
    """Every map of a layer is the one that apply writes; every channel is shown, and their sums add up."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    rng = np.random.default_rng(12)
    weights = rng.integers(-4, 6, (2, 3, 3, 4)) if exact else rng.normal(size=(2, 3, 3, 4))
    layer = Kernel(weights, bias=tuple(rng.integers(-9, 9, 4).tolist()), name="layer")
    source, target = tmp_path / "color.png", tmp_path / "page.html"
    source.write_bytes(imagecodecs.png_encode(samples()["color"]))
    settings = Settings(
        layer, padding=Padding.parse("same:zero"), output=OutputSpec(f"{tmp_path}/"), force=True
    )
    target.write_text(page(str(source), settings), encoding="utf-8")
    load(browser, target)
    for flip, stride in ((False, (1, 1)), (True, (2, 1))):
        reports = job.apply(str(source), replace(settings, flip=flip, stride=stride))
        for index, report in enumerate(reports):
            found = browser.execute_script(LAYER, index, flip, list(stride))
            expected = imagecodecs.png_decode(Path(report.target.name).read_bytes())
            pixels = np.array(found["pixels"]).reshape(found["size"])
            assert found["lanes"] == 1
            assert np.abs(pixels - expected.astype(int)).max() <= (0 if exact else 1)
            turned = ", rotated" if flip else ""
            assert found["captions"] == [
                word
                for color in ("red", "green", "blue")
                for word in (f"patch, {color}", f"kernel, {color}{turned}", "products")
            ]
            assert [step.split("\n")[0] for step in found["steps"]][:4] == [
                "sum, red",
                "sum, green",
                "sum, blue",
                "all channels",
            ]
            sums = [float(step.split("= ")[-1].replace("−", "-")) for step in found["steps"][:4]]
            assert sum(sums[:3]) == pytest.approx(sums[3], rel=1e-4, abs=1e-3)
            assert found["command"] == "(no command: the layer was edited)"


def test_the_weights_of_a_chosen_channel_are_edited(browser, tmp_path):
    """The editable grid is that of the chosen channel; a preset makes the page filter each channel again."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    opened(browser, tmp_path, "color", "random:3x3x3x2,seed=5")
    assert "--kernel random:3x3x3x2,seed=5" in browser.find_element(By.ID, "command").text
    assert not browser.find_element(By.ID, "channels").is_displayed()
    Select(browser.find_element(By.ID, "channel")).select_by_visible_text("green")
    assert browser.find_element(By.CSS_SELECTOR, "#kernel caption").text == "kernel, green"
    browser.find_element(By.CSS_SELECTOR, "#kernel input").send_keys(Keys.CONTROL, "a")
    browser.find_element(By.CSS_SELECTOR, "#kernel input").send_keys("7")
    state = "const {maps} = explorer.state(); return maps.map((map) => explorer.Exact.number(map[0]))"
    weights = load_kernel("random:3x3x3x2,seed=5").weights[0, 0].T.ravel()
    weights[1] = 7
    assert browser.execute_script(state) == pytest.approx(weights.tolist())
    Select(browser.find_element(By.ID, "preset")).select_by_value("box3")
    assert browser.execute_script("return explorer.state().channels") == "each"
    assert browser.find_elements(By.CSS_SELECTOR, "#others table") == []


def test_the_sums_are_those_of_conv(browser, tmp_path):
    """Feature maps before the mapping are those of `convcli.conv`."""
    opened(browser, tmp_path, "gray")
    x = samples()["gray"]
    for combination in combinations(60):
        if combination["preset"] in ("sobel", "scharr") or combination["bias"]:
            continue
        found = browser.execute_script(SHOW, combination)
        padding = combination["amount"].split(",")
        pairs = [tuple(map(int, padding[i : i + 2])) for i in (0, 2)] if len(padding) == 4 else None
        named = combination["amount"] if padding[0].isalpha() or "-" in padding[0] else [*map(int, padding)]
        expected = convcli.conv(
            x,
            combination["preset"],
            stride=combination["stride"],
            dilation=combination["dilation"],
            padding=pairs or named,
            fill=combination["constant"] if combination["fill"] == "constant" else combination["fill"],
            flip=combination["flip"],
            dtype="float64",
        )
        sums = np.array(found["sums"][0]).reshape(found["size"]) / found["denominator"]
        assert np.array_equal(sums, expected), combination
        assert found["exact"]


def test_changes_by_hand(browser, tmp_path):
    """Map, shapes, formula and command follow changes of presets, weights, fields and direction."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    opened(browser, tmp_path, "gray")
    Select(browser.find_element(By.ID, "preset")).select_by_value("sharpen")
    Select(browser.find_element(By.ID, "amount")).select_by_value("valid")
    assert "floor((14 + 0 + 0 − 3) / 1) + 1 = 12" in browser.find_element(By.ID, "facts").text
    stride = browser.find_element(By.ID, "stride-rows")
    stride.send_keys(Keys.CONTROL, "a")
    stride.send_keys("2")
    assert "(1, 6, 15, 1) NHWC, (1, 1, 6, 15) NCHW" in browser.find_element(By.ID, "facts").text
    first = browser.find_element(By.CSS_SELECTOR, "#kernel input")
    first.send_keys(Keys.CONTROL, "a")
    first.send_keys("1/2")
    command = browser.find_element(By.ID, "command").text
    assert "--kernel '1/2 -1 0; -1 5 -1; 0 -1 0' --stride 2,1 --padding valid" in command
    first.send_keys(Keys.CONTROL, "a")
    first.send_keys("x")
    assert first.get_attribute("aria-invalid") == "true"
    browser.find_element(By.ID, "flip").click()
    assert "rotated" in browser.find_element(By.CSS_SELECTOR, "#kernel caption").text
    Select(browser.find_element(By.ID, "amount")).select_by_value("pixels")
    browser.find_element(By.ID, "reset").click()
    assert browser.execute_script("return window.explorer.state().kernel") == "box3"
    rows = browser.find_element(By.ID, "kernel-rows")
    rows.send_keys(Keys.CONTROL, "a")
    rows.send_keys("15")
    Select(browser.find_element(By.ID, "amount")).select_by_value("valid")
    assert (
        "The kernel covers 15 × 3 pixels, more than the padded image"
        in browser.find_element(By.ID, "wrong").text
    )
    assert not errors(browser)


def test_moving_the_window(browser, tmp_path):
    """Arrow keys, the fields of row and column, and the pointer on both images move the window."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, tmp_path, "gray")
    at = lambda: browser.execute_script("return window.explorer.state().at")  # noqa: E731
    canvas = browser.find_element(By.ID, "input")
    browser.execute_script("arguments[0].focus()", canvas)
    place = at()
    ActionChains(browser).send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    assert at() == [place[0] + 1, place[1] + 2]
    ActionChains(browser).send_keys(Keys.HOME).perform()
    assert at() == [place[0] + 1, 0]
    row = browser.find_element(By.ID, "row")
    row.send_keys(Keys.CONTROL, "a")
    row.send_keys("9")
    assert at() == [9, 0]
    feature_map = browser.find_element(By.ID, "map")
    box = feature_map.size
    cell = box["width"] / 17
    corner = (-box["width"] / 2 + cell * 3.5, -box["height"] / 2 + cell * 2.5)
    mouse = ActionChains(browser).move_to_element_with_offset(feature_map, int(corner[0]), int(corner[1]))
    mouse.click_and_hold().move_by_offset(int(cell * 2), 0).release().perform()
    assert at() == [2, 5]
    spoken = browser.find_element(By.ID, "value").get_attribute("textContent")
    value = convcli.conv(samples()["gray"], "box3", padding="same:reflect", dtype="uint8")[2, 5]
    assert spoken.startswith("Row 2, column 5: sum of the products = ")
    assert spoken.endswith(f"= {value}")


def test_touch_drags_the_window_and_scrolls_the_page(browser, tmp_path):
    """A touch on the window drags it, elsewhere it scrolls, and a tap moves the window there."""
    opened(browser, tmp_path, "color", "sobel-x")
    metrics = {"width": 390, "height": 600, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    script = """window.explorer.set({at: [4, 4]}); scrollTo(0, 0);
        const box = document.getElementById("input").getBoundingClientRect();
        return [box.left, box.top, box.width / 15];"""
    try:
        left, top, cell = browser.execute_script(script)
        where = lambda: browser.execute_script("return [window.explorer.state().at, scrollY]")  # noqa: E731
        stroke(browser, (left + 5.5 * cell, top + 5.5 * cell), (2 * cell, 3 * cell))
        assert where() == [[7, 6], 0]
        stroke(browser, (left + 12.5 * cell, top + 1.5 * cell), (0, 0))
        assert where() == [[0, 11], 0]
        stroke(browser, (left + 1.5 * cell, top + 11.5 * cell), (0, -9 * cell))
        place, scrolled = where()
        assert place == [0, 11]
        assert scrolled > 50
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def stroke(browser: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
    """A touch that moves right and down in eight steps."""

    def touch(kind: str, *points: dict[str, float]) -> None:
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})
        time.sleep(0.02)

    touch("touchStart", {"x": start[0], "y": start[1]})
    for step in range(1, 9) if any(by) else ():
        touch("touchMove", {"x": start[0] + by[0] * step / 8, "y": start[1] + by[1] * step / 8})
    touch("touchEnd")
    time.sleep(0.4)


def errors(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_no_requests_and_accessible_names(browser, tmp_path):
    """The page makes no requests, logs no errors, and names everything that can be focused."""
    opened(browser, tmp_path, "color", "sobel")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not errors(browser)
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    focusable = [
        node
        for node in nodes
        if any(
            entry["name"] == "focusable" and entry["value"]["value"] for entry in node.get("properties", [])
        )
        and node["role"]["value"] not in ("RootWebArea", "code")
    ]
    assert len(focusable) > 25
    assert [node["role"]["value"] for node in focusable if not node["name"]["value"].strip()] == []


def test_small_kernels_are_computed_at_once(browser, tmp_path):
    """The map of 3×3 weights on 512×512 pixels is complete when the change returns."""
    target = tmp_path / "scene.html"
    target.write_text(page(str(SAMPLES / "scene.png"), Settings(load_kernel("sobel-x"))), encoding="utf-8")
    load(browser, target)
    taken = browser.execute_script(
        """const E = window.explorer, seen = [];
        for (let k = 0; k < 3; k++) {
          E.set({bias: E.Exact.of(k)});
          seen.push([E.busy(), E.Exact.number(E.state().bias)]);
        }
        return seen;"""
    )
    assert taken == [[False, 0], [False, 1], [False, 2]]


def test_large_kernels_keep_the_page_responsive(browser, tmp_path):
    """61×61 weights are computed in slices, a change starts over, and the result is that of apply."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (150, 160), dtype=np.uint8)
    source, target, out = tmp_path / "large.png", tmp_path / "large.html", tmp_path / "out.png"
    source.write_bytes(imagecodecs.png_encode(pixels))
    settings = Settings(load_kernel("box:61x61"), output=OutputSpec(str(out)))
    target.write_text(page(str(source), settings), encoding="utf-8")
    load(browser, target)
    script = """const E = window.explorer, done = arguments[0];
      E.set({flip: true}); E.set({padding: 0}); E.set({flip: false});
      const busy = E.busy(), told = document.getElementById("map-size").textContent;
      let ticks = 0;
      const wait = () => {
        ticks += 1;
        if (E.busy()) setTimeout(wait);
        else done([busy, told, ticks, E.state().flip, Array.from(E.computed().pixels[0])]);
      };
      wait();"""
    busy, told, ticks, flip, computed = browser.execute_async_script(script)
    assert busy
    assert told.startswith("computing: ")
    assert ticks > 2
    assert not flip
    job.apply(str(source), settings)
    assert np.array_equal(np.reshape(computed, pixels.shape), imagecodecs.png_decode(out.read_bytes()))


def test_auto_waits_until_a_weight_is_typed(browser, tmp_path):
    """A half-typed number does not change the mapping; leaving the field does; the command stays correct."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, tmp_path, "gray", "sobel-x")
    kind = lambda: browser.execute_script("return window.explorer.computed().kind")  # noqa: E731
    first = browser.find_element(By.CSS_SELECTOR, "#kernel input")
    first.send_keys(Keys.CONTROL, "a")
    first.send_keys("7")
    assert kind() == "signed"
    assert "--map signed" in browser.find_element(By.ID, "command").text
    first.send_keys(Keys.TAB)
    assert kind() == "stretch"
    assert "--map" not in browser.find_element(By.ID, "command").text
    assert not errors(browser)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("#kernel input", "1/0", "1/0 divides by zero."),
        ("#kernel input", "1/2/3", "1/2/3 is not a number; use a form such as 3, −0.5, 1e-3 or 1/9."),
        ("#kernel input", "", "Enter a number."),
        ("#scale", "0", "The scale must not be 0."),
        ("#bias", "x", "x is not a number"),
        ("#stride-rows", "0", "0 is not valid: enter an integer from 1 to 99."),
    ],
)
def test_invalid_fields(browser, tmp_path, field, text, words):
    """A field with an invalid value shows the reason until it is left."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, tmp_path, "gray")
    entry = browser.find_element(By.CSS_SELECTOR, field)
    entry.send_keys(Keys.CONTROL, "a")
    entry.send_keys(text or Keys.DELETE)
    assert words in browser.find_element(By.ID, "wrong").text
    assert entry.get_attribute("aria-invalid") == "true"
    entry.send_keys(Keys.TAB)
    assert browser.find_element(By.ID, "wrong").text == ""
    assert not errors(browser)


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits_the_screen(browser, tmp_path, width):
    """Nothing is wider than the screen, also on phones."""
    opened(browser, tmp_path, "color")
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("kernel", ["random:3x3,seed=1", "log:1", "1/3 0.123456 -1000.5; 12345 0 1e-9"])
def test_no_weight_is_cut(browser, tmp_path, kernel):
    """Each field of the kernel shows its whole number, also on phones."""
    opened(browser, tmp_path, "gray", kernel)
    hidden = """return [...document.querySelectorAll("#kernel input")].map(
        (field) => [field.value, field.title, field.scrollWidth - field.clientWidth])"""
    for width in (390, 500, 1280):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            for text, exact, beyond in browser.execute_script(hidden):
                assert beyond <= 0, (width, text)
                value = float(Fraction(text.replace("−", "-")))
                assert value == pytest.approx(float(Fraction(exact)), rel=1e-3)
        finally:
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_command_writes_the_same_image(browser, run, tmp_path, monkeypatch):
    """The command writes the pixels of the page, for banks and animations too."""
    monkeypatch.chdir(tmp_path)
    frames = [Image.fromarray(samples()["gray"][::step]) for step in (1, -1)]
    frames[0].save("in.gif", save_all=True, append_images=frames[1:])
    kernels = [
        ("kirsch", "kirsch-ne"),
        ("prewitt-compass", ""),
        ("random:3x3x1x2,seed=3", ""),
        ("1/3 0.25 -7", "1/12"),
    ]
    for kernel, named in kernels:
        target, weights = tmp_path / "page.html", load_kernel(kernel)
        target.write_text(page("in.gif", Settings(weights)), encoding="utf-8")
        load(browser, target)
        found = browser.execute_script(
            """const E = window.explorer;
            E.set({map: Math.min(1, E.state().maps.length - 1)});
            return [document.getElementById("command").textContent, [...E.computed().pixels[0]]];"""
        )
        assert named in found[0]
        program, *arguments = shlex.split(found[0])
        assert program == "convcli"
        assert run(*arguments, "-o", "out.npy", "--force").code == 0
        assert np.load("out.npy").ravel().tolist() == found[1]


def test_a_tiny_map_shows_values(browser, tmp_path):
    """Numbers in cells are values before the mapping, and the caption says so."""
    source, target = tmp_path / "tiny.png", tmp_path / "tiny.html"
    source.write_bytes(imagecodecs.png_encode(np.arange(16, dtype=np.uint8).reshape(4, 4)))
    settings = Settings(load_kernel("1 2; 0 1").biased(Fraction(1, 2)), padding=Padding.parse("valid"))
    target.write_text(page(str(source), settings), encoding="utf-8")
    load(browser, target)
    values = browser.execute_script("return [...mapValues()]")
    due = convcli.conv(np.arange(16).reshape(4, 4), "1 2; 0 1", padding="valid", dtype="float64") + 0.5
    assert values == due.ravel().tolist()
    caption = browser.execute_script("return document.getElementById('map-size').textContent")
    assert caption == "3 × 3 · values on the gray of their pixels"


def test_the_page_is_one_small_file(tmp_path):
    """The page takes less than 300 kB apart from the image, loads nothing, and escapes names."""
    path = tmp_path / "<b>&amp;.png"
    path.write_bytes(imagecodecs.png_encode(samples()["gray"]))
    text = page(str(path), Settings(load_kernel("sobel-x")))
    pixels = re.search(r'"pixels":"([^"]*)"', text)
    assert len(text) - len(pixels[1]) < LARGEST_PAGE
    assert not re.search(r"\b(src|href)=|https?://|url\(|import\s*\(|fetch\(", text)
    assert "<b>" not in text.replace("<b>Input</b>", "").replace("<b>Feature map</b>", "")
    assert "&lt;b&gt;&amp;amp;.png" in text


def test_large_images_are_averaged(run, tmp_path):
    """An image of 60×90 pixels is shown as means of 3×3 boxes with --side 32, and the page says so."""
    pixels = np.random.default_rng(2).integers(0, 256, (60, 90), dtype=np.uint8)
    path = tmp_path / "in.png"
    path.write_bytes(imagecodecs.png_encode(pixels))
    ran = run("explore", path, "-k", "box3", "--side", "32", "-o", "-")
    data = embedded(ran.text)
    assert (data["rows"], data["columns"]) == (20, 30)
    assert "shown as 20 × 30 (means of 3 × 3 pixels)" in data["about"]
    assert len(embedded(run("explore", path, "-k", "box3", "-o", "-").text)["presets"]) >= 20


def test_a_kernel_keeps_its_name(run):
    """Presets and families keep their names with any bias; typed weights have none."""
    for options, name in (
        (("-k", "sobel-x", "--bias", "3"), "sobel-x"),
        (("-k", "gaussian:1.5"), "gaussian:1.5"),
        (("-k", "1 2 1", "--scale", "sum"), ""),
    ):
        data = embedded(run("explore", SAMPLES / "scene.png", *options, "-o", "-").text)
        assert data["state"]["kernel"]["name"] == name
        assert not name or name in {entry["name"] for entry in data["presets"]}
    assert data["state"]["kernel"]["scale"] == "1/4"


def embedded(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "box3", "--then", "relu"], "convcli explain --then follows a chain"),
        (["-k", "random:3x3x2x1"], "takes 2 input channels; the page shows 3 of this image"),
        (["-k", "random:3x3x3x2", "--combine", "l2"], "combines maps of 3 input channels"),
        (["-k", "random:3x3x1x3", "--groups", "3"], "does not support groups"),
        (["-k", "sobel", "--combine", "argmax"], "combines maps with argmax, which the page cannot show"),
        (["-k", "box3", "--map", "raw"], "--map raw keeps values"),
        (["-k", "box3", "--side", "2"], "--side"),
    ],
)
def test_settings_that_the_page_cannot_show(run, tmp_path, arguments, words):
    """They are errors of one line with exit code 2, and write no page."""
    out = tmp_path / "page.html"
    ran = run("explore", SAMPLES / "color.png", *arguments, "-o", out)
    assert (ran.code, ran.err.count("\n"), words in ran.err) == (2, 1, True), ran.err
    assert not out.exists()


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_folders_without_a_name(run, name):
    """A folder that gives the page no name is refused in one line."""
    ran = run("explore", name, "-k", "box3")
    assert (ran.code, ran.err.count("\n"), "is a folder; choose an image" in ran.err) == (2, 1, True), ran.err


def test_floats_and_pages_that_exist(run, tmp_path):
    """An image of floats is refused, and a page is only replaced with --force."""
    np.save(tmp_path / "floats.npy", np.ones((5, 5), np.float32))
    assert "not float32" in run("explore", tmp_path / "floats.npy", "-k", "box3").err
    out = tmp_path / "page.html"
    for arguments, code in (([], 0), ([], 2), (["--force"], 0)):
        assert run("explore", SAMPLES / "transparent.png", "-k", "box3", "-o", out, *arguments).code == code
    assert "without alpha" in embedded(out.read_text())["about"]


def test_a_chain_is_refused():
    """The activation of a layer has no place on the page; the error says how to leave it out."""
    settings = Settings(load_kernel("box3"), then=(parse_stage("relu", load_kernel),))
    with pytest.raises(ArgumentError, match="without relu; use --activation none"):
        page(str(SAMPLES / "scene.png"), settings)
