"""Images at URLs on the command line: the same bytes as of local files, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile

FORMATS = ["png", "jpg", "tif", "webp", "bmp", "gif", "pnm", "npy"]


@pytest.fixture
def local_result(run, picture, tmp_path):
    """What a kernel makes of the picture where everything is local, in a format."""

    def result(name: str) -> bytes:
        path = tmp_path / f"local-{name}"
        ran = run("apply", picture, "-k", "sobel-x", "-o", path, "-q")
        assert ran.code == 0, ran.err
        return path.read_bytes()

    return result


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_at_urls(run, s3, picture, local_result, suffix, tmp_path):
    """Written to a bucket and read from it, each format gives the bytes of local files."""
    wanted = local_result(f"a.{suffix}")
    url = s3.put("in/picture.png", picture.read_bytes())
    assert run("apply", url, "-k", "sobel-x", "-o", f"{s3.url}/out/a.{suffix}", "-q").code == 0
    assert s3.get(f"out/a.{suffix}") == wanted
    (tmp_path / f"in.{suffix}").write_bytes(wanted)
    results = []
    for source in (tmp_path / f"in.{suffix}", f"{s3.url}/out/a.{suffix}"):
        run("apply", source, "-k", "box3", "-o", tmp_path / "twice.png", "-q", "--force")
        results.append((tmp_path / "twice.png").read_bytes())
    assert results[0] == results[1]


def test_where_results_go(run, s3, picture, local_result):
    """Beside the input, into folders and buckets, by templates, to standard output, and as figures."""
    wanted, url = local_result("a.png"), s3.put("in/a.png", picture.read_bytes())
    for arguments in (
        [],
        ["-o", f"{s3.url}/folder/"],
        ["-o", s3.url],
        ["-o", f"{s3.url}/{{stem}}/{{kernel}}.png"],
        ["-o", "{dir}/x/{stem}{suffix}"],
    ):
        ran = run("apply", url, "-k", "sobel-x", *arguments, "-q")
        assert ran.code == 0, ran.err
    made = ["a.sobel-x.png", "a/sobel-x.png", "folder/a.sobel-x.png", "in/a.sobel-x.png", "in/x/a.png"]
    assert s3.listed() == ["a.sobel-x.png", "a/sobel-x.png", "folder/a.sobel-x.png", "in/a.png", *made[3:]]
    assert {s3.get(key) for key in made} == {wanted}
    assert run("apply", url, "-k", "sobel-x", "-o", "-").out == wanted
    assert run("apply", url, "-k", "sobel-x", "--sheet", "-o", f"{s3.url}/sheet.svg", "-q").code == 0
    assert s3.get("sheet.svg").startswith(b"<svg")


def test_nothing_is_replaced_without_force(run, s3, picture):
    """Neither another object nor the input, which its single result may replace."""
    url, other = s3.put("a.png", picture.read_bytes()), s3.put("b.png", b"other")
    ran = run("apply", url, "-k", "box3", "-o", other)
    assert (ran.code, ran.err) == (2, f"convcli: {other}: already exists (--force replaces it)\n")
    ran = run("apply", url, "-k", "box3", "-o", f"S3://{s3.name}/a.png")
    assert "is the input itself (--force replaces it with the result)" in ran.err
    ran = run("apply", url, other, "-k", "box3", "-o", f"{s3.url}/{{kernel}}.png", "--force")
    assert s3.get("a.png") == picture.read_bytes() and s3.get("b.png") == b"other"
    assert run("apply", url, "-k", "box3", "-o", url, "--force", "-q").code == 0
    assert run("apply", url, "-k", "box3", "-o", other, "--force", "-q").code == 0
    assert s3.get("a.png") != picture.read_bytes() and s3.get("b.png") != b"other"


def test_an_object_that_appears_meanwhile_is_not_replaced(run, s3, quirky_s3, picture, monkeypatch):
    """The store refuses it when the result is complete; one that does not is asked just before."""
    from convcli.storage import stores

    url = s3.put("a.png", picture.read_bytes())
    put = s3.put("b.png", b"other")
    monkeypatch.setattr(stores, "exists", lambda url: False)
    ran = run("apply", url, "-k", "box3", "-o", put)
    assert (ran.code, ran.err) == (2, f"convcli: {put}: already exists (--force replaces it)\n")
    assert s3.get("b.png") == b"other"
    assert s3.listed() == ["a.png", "b.png"]
    assert run("apply", url, "-k", "box3", "-o", f"{s3.url}/c.png", "-q").code == 0
    assert run("apply", url, "-k", "box3", "-o", f"{s3.url}/c.png", "-q").code == 0  # the same bytes


def test_a_tiled_image_is_read_by_ranges(run, web, tmp_path):
    """Of a large tiled TIFF, a stack of rows is fetched, and nothing twice."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 2**16, (4096, 2048), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(256, 256))
    data = (tmp_path / "a.tif").read_bytes()
    web.files = {"/a.tif": data}
    assert run("apply", f"{web.address}/a.tif", "-k", "box3", "-o", tmp_path / "web.tif", "-q").code == 0
    assert run("apply", tmp_path / "a.tif", "-k", "box3", "-o", tmp_path / "local.tif", "-q").code == 0
    assert (tmp_path / "web.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    parts = [part.removeprefix("bytes=").split("-") for _, part in web.sent]
    assert all(int(last) - int(first) < len(data) / 2 for first, last in parts)
    assert sum(int(last) - int(first) + 1 for first, last in parts) < 1.6 * len(data)


@pytest.mark.parametrize("parts", [True, False])
def test_images_of_web_servers(run, web, picture, tmp_path, monkeypatch, local_result, parts):
    """Signed URLs too, whose signature is in no report; the default place is the working directory."""
    monkeypatch.chdir(tmp_path)
    web.files, web.ranges = {"/x/a%20b.png": picture.read_bytes()}, parts
    url = f"{web.address}/x/a%20b.png?X-Amz-Signature=secret"
    ran = run("apply", url, "-k", "sobel-x", "--report", "json")
    assert ran.code == 0, ran.err
    assert (tmp_path / "a b.sobel-x.png").read_bytes() == local_result("w.png")
    assert "secret" not in ran.text
    ran = run("apply", url, "-k", "sobel-x", "-o", f"{web.address}/b.png")
    assert (
        ran.err
        == f"convcli: {web.address}/b.png: cannot be written; choose a file, or a URL such as s3://BUCKET/NAME\n"
    )


def test_urls_of_local_files(run, picture, tmp_path, local_result):
    """They are paths, with escapes."""
    (tmp_path / "with space.png").write_bytes(picture.read_bytes())
    assert run("apply", f"file://{tmp_path}/with%20space.png", "-k", "sobel-x", "-q").code == 0
    assert (tmp_path / "with space.sobel-x.png").read_bytes() == local_result("f.png")
    ran = run("apply", picture, "-k", "sobel-x", "-o", f"file://{tmp_path}/new%20one.png", "-q")
    assert ran.code == 0 and (tmp_path / "new one.png").exists()


def test_storage_options(run, s3, picture, monkeypatch):
    """They reach the library, for every protocol or for one; mistakes are told without repeating them."""
    url, endpoint = s3.put("a.png", picture.read_bytes()), s3.endpoint
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for given in (f'{{"endpoint_url": "{endpoint}"}}', f'{{"s3": {{"endpoint_url": "{endpoint}"}}}}'):
        assert run("apply", url, "-k", "box3", "-o", "-", "--storage-options", given).code == 0
    for given in ("{secret", '["secret"]'):
        ran = run("apply", url, "-k", "box3", "-o", "-", "--storage-options", given)
        assert ran.code == 2 and ran.err.startswith("convcli: --storage-options ") and "secret" not in ran.err
    ran = run("apply", url, "-k", "box3", "-o", "-", "--storage-options", '{"no_such_option": "secret"}')
    assert ran.code == 2 and ran.err.count("\n") == 1 and "secret" not in ran.err


def test_arrays_at_urls(run, s3, picture, tmp_path):
    """From a local array to a bucket, and back to the bytes of local ones; what is there is not replaced."""
    pytest.importorskip("zarr")
    results = []
    for place in (str(tmp_path / "a.zarr"), f"{s3.url}/a.zarr"):
        ran = run("apply", picture, "-k", "sobel-x", "-o", place, "-q")
        assert ran.code == 0, ran.err
        ran = run("apply", picture, "-k", "sobel-x", "-o", place, "-q")
        assert (ran.code, "already exists" in ran.err) == (2, True)
        assert run("apply", place, "-k", "box3", "-o", tmp_path / "a.png", "-q", "--force").code == 0
        results.append((tmp_path / "a.png").read_bytes())
    assert results[0] == results[1]


def test_commands_that_show_images_read_urls(run, s3, picture, tmp_path):
    """view, explain and shape."""
    url = s3.put("a.png", picture.read_bytes())
    assert run("view", url, "--as", "blocks").code == 0
    assert run("shape", url, "-k", "box3").code == 0
    assert run("explain", url, "-k", "box3", "--at", "3,4").code == 0


def test_one_image_at_a_url_prints_nothing_but_its_report(s3, picture):
    """Neither warnings of libraries nor messages about connections when the process ends."""
    url = s3.put("a.png", picture.read_bytes())
    command = [sys.executable, "-m", "convcli", "apply", url, "-k", "box3", "-o", f"{s3.url}/b.png", "-q"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_compare_reads_urls(run, s3, web, picture, tmp_path):
    """Objects and folders of them on either side, and difference images in a bucket."""
    data = picture.read_bytes()
    changed = imagecodecs.png_encode(255 - imagecodecs.png_decode(data))
    folder = tmp_path / "local"
    (folder / "s").mkdir(parents=True)
    for name in ("a.png", "z.png", "s/b.png"):
        (folder / name).write_bytes(data)
    url = s3.put("in/a.png", data)
    s3.put("in/s/b.png", data)
    s3.put("in/z.png", changed)
    web.files = {"/a.png": data}
    assert run("compare", url, f"{web.address}/a.png").code == 0
    ran = run("compare", folder, f"{s3.url}/in/", "-r", "--fail-above", "inf")
    assert [line.partition(":")[0] for line in ran.text.splitlines()] == [
        "a.png",
        "z.png",
        "s/b.png",
        "3 images",
    ]
    assert run("compare", folder, f"{s3.url}/in/", "-r", "-o", f"{s3.url}/d/", "-q").code == 1
    assert [name for name in s3.listed() if name.startswith("d/")] == ["d/z.diff.png"]
