"""Batches: which images are filtered, where results go, and what is refused."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.batch.conftest import made, noise, rows
from tests.conftest import SAMPLES


def test_a_folder_is_filtered_past_its_failures(run, batch, album, tmp_path):
    """Results are those of apply; each bad image is one line on standard error, and the exit code is 1."""
    ran = batch(album, tmp_path / "out", "-k", "box3")
    assert ran.code == 1
    *failures, last = ran.err.splitlines()
    assert sorted(line.split(": ")[1] for line in failures) == [f"{album}/cut.png", f"{album}/text.png"]
    assert last.startswith("convcli: 5 done, 0 skipped, 2 failed in ")
    assert ran.text == ""
    assert sorted(made(tmp_path / "out")) == [f"{index}.box3.png" for index in range(5)]
    for index in range(5):
        one = tmp_path / "one.png"
        assert run("apply", album / f"{index}.png", "-k", "box3", "-o", one, "-q", "--force").code == 0
        assert one.read_bytes() == (tmp_path / "out" / f"{index}.box3.png").read_bytes()


def test_any_number_of_workers_makes_the_same(batch, album, tmp_path):
    """Bytes do not depend on --jobs or --threads, nor does the order of the manifest."""
    runs = []
    for number, options in enumerate((["-j", 1], ["-j", 3], ["-j", 2, "--threads", 2])):
        out, log = tmp_path / f"out{number}", tmp_path / f"{number}.jsonl"
        batch("-r", album, out, "-k", "gaussian5", "-k", "sobel-x", "--report", log, *options)
        runs.append((made(out), [(row["input"]["name"], row["batch"]["part"]) for row in rows(log)]))
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0][0]) == 14


def test_options_mean_what_they_do_for_one_image(run, batch, album, tmp_path):
    """Maps that are combined, stacked or colored, of several kernels too: the files that apply writes."""
    two = ["-k", "sobel-x", "-k", "sobel-y"]
    for number, options in enumerate(
        (
            [*two, "--stack"],
            [*two, "--stack", "--format", "tiff", "--map", "raw"],
            [*two, "--combine", "l2", "--colormap", "viridis"],
            ["-k", "sobel-x", "--colormap", "diverging"],
        )
    ):
        batched, single = tmp_path / f"b{number}", tmp_path / f"a{number}"
        assert batch(album / "0.png", album / "1.png", batched, *options).code == 0
        assert run("apply", album / "0.png", album / "1.png", "-o", f"{single}/", "-q", *options).code == 0
        assert made(batched) == made(single)
        assert len(made(batched)) == 2
        again = batch(album / "0.png", album / "1.png", batched, *options)
        assert "2 of 2 outputs already exist" in again.err


def test_trees_patterns_and_lists(batch, album, tmp_path):
    """-r keeps the tree; patterns, lists of names and -0 take what they name, each image once."""
    batch("-r", album, tmp_path / "tree", "-k", "box3")
    assert {"sub/a.box3.png", "sub/deep/b.box3.PNG"} < set(made(tmp_path / "tree"))
    dotted = f"{album}/./1.png", f"{album}/sub/../2.png"
    batch(album / "[0-2].png", album / "1.png", *dotted, tmp_path / "some", "-k", "box3")
    assert sorted(made(tmp_path / "some")) == [f"{index}.box3.png" for index in range(3)]
    names = [f"{album}/3.png", f"{album}/4.png"]
    (tmp_path / "list").write_text("\n".join(names) + "\n")
    batch("--from-file", tmp_path / "list", tmp_path / "listed", "-k", "box3")
    ran = batch("-0", "-", tmp_path / "piped", "-k", "box3", stdin="\0".join(names).encode())
    assert ran.code == 0
    assert made(tmp_path / "listed") == made(tmp_path / "piped")
    assert len(made(tmp_path / "piped")) == 2


def test_templates_and_a_dry_run(batch, album, tmp_path):
    """-n shows every input with its output and does nothing; a template names the outputs."""
    ran = batch("-n", "-r", album, tmp_path / "{stem}-{kernel}.tif", "-k", "box3", "-k", "box5")
    assert ran.code == 1
    assert f"{album}/sub/a.png → {tmp_path}/sub/a-box5.tif" in ran.text.splitlines()
    assert len(ran.text.splitlines()) == 14 + 2
    assert "text.png: not an image" in ran.err
    assert not list(tmp_path.rglob("*.tif"))
    batch(album / "0.png", tmp_path / "{stem}-{kernel}.tif", "-k", "box3")
    assert (tmp_path / "0-box3.tif").exists()


def test_kernels_of_one_name_are_numbered(run, tmp_path):
    """Two typed kernels, or one twice, have results of their own, in folders and beside the image."""
    source = SAMPLES / "scene.png"
    kernels = ["-k", "1 0 -1", "-k", "1 2 1", "-k", "box3", "-k", "box3", "-q"]
    names = {f"scene.{name}.png" for name in ("inline", "inline-2", "box3", "box3-2")}
    for words in (["batch", source, tmp_path / "a"], ["apply", source, "-o", f"{tmp_path}/b/"]):
        ran = run(*words, *kernels)
        assert (ran.code, ran.err) == (0, "")
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    assert made(tmp_path / "a") == made(tmp_path / "b")


@pytest.mark.parametrize(
    ("place", "kernels", "message"),
    [
        ("{stem}{suffix}", ["box3", "box5"], "the maps of 2 kernels would all be written to"),
        ("{stem}-{index}{suffix}", ["box3", "box5"], "the maps of 2 kernels would all be written to"),
        ("{stem}{suffix}", ["kirsch"], "kirsch gives 8 feature maps; the template needs {index}"),
    ],
)
def test_templates_that_give_several_results_one_name(run, tmp_path, place, kernels, message):
    """They are refused before any image is read, in dry runs too."""
    words = [word for kernel in kernels for word in ("-k", kernel)]
    for dry in ([], ["-n"]):
        ran = run("batch", SAMPLES / "scene.png", f"{tmp_path}/out/{place}", *words, *dry)
        assert (ran.code, message in ran.err, ran.err.count("\n")) == (2, True, 1)
    assert not (tmp_path / "out").exists()


def test_refusals_before_anything_is_touched(batch, album, tmp_path):
    """Outputs that all inputs share, that are inputs, or that exist; and commands that cannot be."""
    cases = {
        (
            album / "0.png",
            album / "1.png",
            f"{tmp_path}/out/{{kernel}}.png",
            "-k",
            "box3",
        ): "2 images would all",
        (album / "0.png", album / "{stem}.png", "-k", "box3"): "is the input itself (--force",
        (album / "*.gif", tmp_path / "out", "-k", "box3"): "no file matches this pattern",
        (album / "sub" / "deep", "-", "-k", "box3"): "not standard output",
        (tmp_path / "empty", tmp_path / "out", "-k", "box3"): "no images found in any SOURCE",
        (tmp_path / "out", "-k", "box3"): "needs a SOURCE and a DESTINATION",
        ("-k", "box3"): "needs a SOURCE and a DESTINATION",
        (album, album / "0.png", "-k", "box3"): "is a file; the DESTINATION (last argument",
        (
            album,
            tmp_path / "out",
            "-k",
            "box3",
            "--report",
            "x.txt",
        ): "unknown manifest suffix; allowed: .jsonl",
        (album, tmp_path / "out", "-k", "box3", "--resume"): "--resume needs the manifest",
        (album, tmp_path / "out", "-k", "box3", "--max-memory", "much"): "'much' is not a size in bytes",
        (album, tmp_path / "out", "-k", "nonsense"): "nonsense",
    }
    (tmp_path / "empty").mkdir()
    for words, message in cases.items():
        ran = batch(*words)
        assert ran.code == 2, words
        assert message in ran.err
        assert ran.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
    batch(album / "0.png", tmp_path / "out", "-k", "box3")
    ran = batch(album / "0.png", tmp_path / "out", "-k", "box3")
    assert (ran.code, "1 of 1 outputs already exist" in ran.err) == (2, True)


def test_results_may_lie_within_the_inputs(batch, album):
    """The folder of the results is not a source, however often the batch is run."""
    for _ in range(2):
        ran = batch("-r", album, album / "out", "-k", "box3", "--force")
        assert "7 done, 0 skipped, 2 failed" in ran.err
    assert not (album / "out" / "out").exists()


def test_stop_at_the_first_error(batch, tmp_path):
    """--on-error stop starts nothing new, and the summary counts what was not started."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(30):
        (folder / f"{index:02}.png").write_bytes(b"" if index == 3 else noise(index))
    ran = batch(folder, tmp_path / "out", "-k", "box3", "--on-error", "stop", "-j", 1)
    assert ran.code == 1
    assert "1 failed, " in ran.err and "not started" in ran.err
    assert len(made(tmp_path / "out")) < 10


def test_names_of_every_kind(batch, tmp_path, monkeypatch):
    """Newlines, dashes in front, bytes that are no text, 255 bytes: each filtered, or refused in one line."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [
        b"a\nb.png",
        b"-k.png",
        b"\xff\xfe.png",
        b"=1+1.png",
        b" .png",
        b"x" * 251 + b".png",
        b"{stem}.png",
    ]
    for index, name in enumerate(names):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(noise(index))
    log = tmp_path / "log.csv"
    ran = batch(folder, out, "-k", "box3", "--report", log)
    assert ran.err.splitlines()[-1].startswith("convcli: 6 done, 0 skipped, 1 failed")
    assert "File name too long" in ran.err
    assert len(ran.err.splitlines()) == 2
    assert len(made(out)) == 6
    ran = batch(folder, out, "-k", "box3", "--report", log, "--resume")
    assert "1 failed" in ran.err
    monkeypatch.chdir(folder)
    batch("-0", "-", tmp_path / "two", "-k", "box3", stdin=b"-k.png\0a\nb.png\0")
    assert sorted(made(tmp_path / "two")) == ["-k.box3.png", "a\nb.box3.png"]


def test_a_list_with_nul_bytes_needs_an_option(batch, tmp_path):
    """Without -0 it is refused, whether its names have folders or not."""
    for text in ("in/a.png\0in/b.png\0", "in/a.png\0", "a.png\0b.png\0"):
        ran = batch("-", tmp_path / "out", "-k", "box3", stdin=text.encode())
        message = "convcli: the list contains NUL bytes, as find -print0 writes them; use -0 to read it\n"
        assert (ran.code, ran.err) == (2, message)


def test_results_of_an_earlier_run_beside_the_images(batch, tmp_path, monkeypatch):
    """They are in the folder, so they count as images; a list without them is resumed."""
    (tmp_path / "a.png").write_bytes(noise(1))
    monkeypatch.chdir(tmp_path)
    words = ["{dir}/{stem}-new{suffix}", "-k", "box3", "--report", "log.jsonl"]
    assert batch(".", *words).code == 0
    ran = batch(".", *words, "--resume")
    assert (ran.code, "exclude it with a list or pattern" in ran.err) == (2, True)
    ran = batch("-", *words, "--resume", stdin=b"./a.png\n")
    assert (ran.code, "0 done, 1 skipped" in ran.err) == (0, True)


def test_links(batch, tmp_path):
    """Links to folders are not followed within a tree, so that a loop ends; broken links are failures."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(noise(1))
    (folder / "loop").symlink_to(folder)
    (folder / "b.png").symlink_to(folder / "a.png")
    (folder / "c.png").symlink_to(folder / "nothing.png")
    ran = batch("-r", folder, tmp_path / "out", "-k", "box3")
    assert "c.png: No such file or directory" in ran.err
    assert sorted(made(tmp_path / "out")) == ["a.box3.png", "b.box3.png"]


def test_pipes_and_devices_in_a_folder_are_failures(batch, tmp_path):
    """Pipes in a folder are not waited for, in a batch or a dry run."""
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    (folder / "b.png").write_bytes(noise(1))
    for dry in ([], ["-n"]):
        ran = batch(folder, tmp_path / "out", "-k", "box3", *dry)
        assert (ran.code, "a.png: not a regular file" in ran.err) == (1, True)
        (tmp_path / "out" / "b.box3.png").unlink(missing_ok=True)


def bmp(side: int) -> bytes:
    """A BMP, which is decoded whole."""
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "BMP")
    return buffer.getvalue()


def test_an_enormous_image_does_not_bring_down_the_rest(batch, tmp_path):
    """What needs more than --max-memory is refused; what needs more than a worker's share waits."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(6):
        (folder / f"{index}.png").write_bytes(noise(index))
    (folder / "large.bmp").write_bytes(bmp(1000))
    (folder / "enormous.bmp").write_bytes(bmp(2500))
    ran = batch(folder, tmp_path / "out", "-k", "box3", "--max-memory", "100M", "-j", 2)
    assert "enormous.bmp: needs about" in ran.err and "allowed: 100 MB (--max-memory)" in ran.err
    assert "7 done, 0 skipped, 1 failed" in ran.err
    assert (tmp_path / "out" / "large.box3.bmp").exists()
