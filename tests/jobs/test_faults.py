"""Jobs whose processes, sources or targets fail: one clear line, and another run goes on with the rest."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.jobs.runs import (
    IMAGE,
    MOST_REDONE,
    PIECES,
    WORDS,
    Client,
    big_source,
    expected,
    is_clean,
    noted,
    times,
)
from tests.jobs.sources import read, zarr_array

pytest.importorskip("zarr")


@pytest.fixture
def target(tmp_path):
    """Where results go; what was started ends with the test."""
    return tmp_path / "out.zarr"


def resumed(run, source, target, *words):
    """Go on with a job in this process; how many finished pieces were made again."""
    noted_before, before = noted(target), times(target)
    ran = run("apply", source, "-o", target, "-q", *WORDS, "--resume", *words)
    assert (ran.code, ran.err) == (0, "")
    after = times(target)
    assert len(after) == PIECES
    assert np.array_equal(read(target), expected())
    assert is_clean(target.parent)
    redone = sum(after[name] != time for name, time in before.items())
    assert redone <= len(before) - len(noted_before)
    return redone


def one_line(text):
    """The only line of an error."""
    assert text.startswith("convcli: ") and text.count("\n") == 1 and "Traceback" not in text, text
    return text.removeprefix("convcli: ").rstrip("\n")


def failure(run, *words, code=2):
    """The error of a command that fails."""
    ran = run(*words)
    assert ran.code == code, ran.err
    return one_line(ran.err)


def begun(source, target, *words):
    """A job of which some pieces are done and noted, whose process is killed."""
    with Client("apply", source, "-o", target, "-q", *WORDS, *words) as client:
        client.stop_within(target)
    return target


def test_a_client_that_is_killed(run, tmp_path, target):
    """Pieces that were noted are not made again, and the lock of the dead process is taken over."""
    source = big_source(tmp_path)
    begun(source, target)
    assert (Path(f"{target}.convcli") / "lock.json").exists()
    assert 0 < len(noted(target)) < PIECES
    assert resumed(run, source, target) <= MOST_REDONE + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_client_that_is_interrupted(run, tmp_path, target, number):
    """It ends with the code of the signal, notes what is done, says how to go on, and gives up its lock."""
    source = big_source(tmp_path)
    words = ("--report", "none", *WORDS)
    with Client("apply", source, "-o", target, *words) as client:
        client.stop_within(target)
        client.send(number)
        client.send(signal.SIGCONT)
        code, err = client.end()
    assert code == 128 + number
    assert "Traceback" not in err
    assert "interrupted; --resume continues" in err
    assert not (Path(f"{target}.convcli") / "lock.json").exists()
    assert resumed(run, source, target) <= 1


def test_two_clients_for_one_target(run, tmp_path, target):
    """The second one is refused, whatever it asks for; the lock of a dead process counts for nothing."""
    source = big_source(tmp_path)
    with Client("apply", source, "-o", target, "-q", *WORDS) as client:
        client.stop_within(target)
        for option in ("--resume", "--force"):
            message = failure(run, "apply", source, "-o", target, *WORDS, option)
            assert f"process {client.process.pid} on" in message
            assert f"{target}: process" in message and "works on this target" in message
        message = failure(run, "apply", source, "-o", target, *WORDS)
        assert f"process {client.process.pid} on" in message
    resumed(run, source, target)


def test_a_lock_that_cannot_be_made(run, tmp_path):
    """The error names the target, and says what the lock is."""
    Path(tmp_path / "out.zarr.convcli").touch()
    message = failure(run, "apply", big_source(tmp_path), "-o", tmp_path / "out.zarr", *WORDS)
    assert message.startswith(f"{tmp_path / 'out.zarr'}: its lock out.zarr.convcli/lock.json, which")


def test_a_target_that_was_never_made(run, tmp_path, target):
    """The process died between its journal and its target."""
    source = big_source(tmp_path)
    assert run("apply", source, "-o", target, *WORDS, "--job", tmp_path / "job.json").code == 0
    shutil.rmtree(target)
    resumed(run, source, target)


COUNTS = {"written": 0, "nan_pixels": 0, "ignored_pixels": 0, "found": 1, "absent": 0}


def test_torn_lines_of_a_journal(run, tmp_path, target):
    """Lines that are torn or garbage count for nothing: their pieces are made again."""
    source = big_source(tmp_path)
    begun(source, target)
    journal = Path(f"{target}.convcli")
    first, *_ = sorted(journal.glob("map.*.jsonl"))
    first.write_bytes(first.read_bytes()[:-20])
    garbage = [b"", b"\xff\x00", b"[]", b"null", b"{}", b'{"piece": 0}', b"[" * 10_000, b'{"piece": 1e999}']
    (journal / "map.0-garbage.jsonl").write_bytes(b"\n".join(garbage) + b"\n")
    for facts in ({"piece": "0"}, {"piece": -1}, {"piece": 10**30}, {"maps": []}, {"maps": [[0] * 7] * 2}):
        line = {"piece": 143, "maps": [["0", "1", 0, 0, 0, 0, 0]], "checksums": [0], **COUNTS, **facts}
        (journal / "map.0-other.jsonl").write_text(json.dumps(line) + "\n")
    ran = run("apply", source, "-o", target, "-q", *WORDS, "--resume")
    assert (ran.code, ran.err) == (0, "")
    assert np.array_equal(read(target), expected())
    assert is_clean(tmp_path)


def test_another_job(run, tmp_path, target):
    """--resume goes on with the same job only, and says what differs; --force begins anew."""
    source = big_source(tmp_path)
    other = zarr_array(tmp_path / "other.zarr", IMAGE, (128, 128))
    begun(source, target)
    message = failure(run, "apply", source, "-o", target, *WORDS)
    assert message.endswith("holds an unfinished job; --resume continues it, --force starts over")
    differences = {
        ("-k", "sobel-x"): "started with another kernel or other settings",
        ("--padding", "same:zero"): "started with another kernel or other settings",
        ("--chunk", "128"): "its targets differ",
    }
    for words, reason in differences.items():
        others = [*words, *WORDS[2:]] if "-k" in words else [*WORDS, *words]
        message = failure(run, "apply", source, "-o", target, *others, "--resume")
        assert reason in message
        assert "--force" in message
    message = failure(run, "apply", other, "-o", target, *WORDS, "--resume")
    assert "started for another image" in message
    ran = run("apply", other, "-o", target, "-q", *WORDS, "--force")
    assert (ran.code, ran.err) == (0, "")
    assert np.array_equal(read(target), expected())
    assert is_clean(tmp_path)


def test_results_that_are_there(run, tmp_path, target):
    """They are replaced with --force only; --resume of a complete one does nothing if it is the same."""
    source = zarr_array(tmp_path / "in.zarr", IMAGE[:100, :100])
    words = ("apply", source, "-o", target, "-q")
    assert run(*words, "-k", "box3").code == 0
    assert failure(run, *words, "-k", "box3").endswith("already exists (--force replaces it)")
    before = times(target)
    ran = run(*words, "-k", "box3", "--resume")
    assert ran.code == 0
    assert times(target) == before
    assert "already exists" in failure(run, *words, "-k", "gaussian5", "--resume")
    assert times(target) == before
    assert is_clean(tmp_path)
    assert run(*words, "-k", "gaussian5", "--force").code == 0
    assert run("apply", source, "-o", tmp_path / "new.zarr", "-k", "gaussian5", "-q").code == 0
    assert np.array_equal(read(target), read(tmp_path / "new.zarr"))


def test_a_folder_that_is_no_result(run, tmp_path):
    """--force replaces Zarr only."""
    source = zarr_array(tmp_path / "in.zarr", IMAGE[:100, :100])
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "chapter.txt").write_text("dear to me")
    message = failure(run, "apply", source, "-o", tmp_path / "thesis.zarr", "-k", "box3", "--force")
    assert "not Zarr" in message
    assert (tmp_path / "thesis.zarr" / "chapter.txt").read_text() == "dear to me"
    assert is_clean(tmp_path)


def test_a_source_that_changes_between_runs(run, tmp_path, target):
    """An unfinished job does not go on with another image."""
    np.save(tmp_path / "in.npy", IMAGE)
    source = tmp_path / "in.npy"
    begun(source, target)
    np.save(source, IMAGE[::-1])
    message = failure(run, "apply", source, "-o", target, *WORDS, "--resume")
    assert "the image has changed since it was started" in message


def test_a_source_that_changes_during_a_run(run, tmp_path, target):
    """The run ends, and does not go on."""
    source = tmp_path / "in.npy"
    np.save(source, IMAGE)
    with Client("apply", source, "-o", target, "-q", *WORDS) as client:
        client.stop_within(target)
        np.save(source, IMAGE[::-1])
        client.send(signal.SIGCONT)
        code, err = client.end()
    assert code == 1
    assert "in.npy" in one_line(err)
    assert "change" in err


def test_a_damaged_chunk(run, tmp_path, target):
    """One line names it; pieces that do not read it are done, and the rest follows once it is repaired."""
    source = big_source(tmp_path)
    chunk = tmp_path / "in.zarr" / "c" / "0" / "0"
    data = chunk.read_bytes()
    chunk.write_bytes(data[: len(data) // 2])
    words = ("-k", "box3", "--chunk", "64", "--piece", "128")
    message = failure(run, "apply", source, "-o", target, *words, code=1)
    assert message.count("in.zarr") == 1
    assert "chunk c/0/0" in message
    assert "4 pieces failed); 4 pieces left" in message
    assert message.endswith("--resume continues with them")
    chunk.write_bytes(data)
    resumed(run, source, target)


def test_a_codec_that_is_absent(run, tmp_path, target):
    """It is named, and nothing is written."""
    source = big_source(tmp_path)
    file = tmp_path / "in.zarr" / "zarr.json"
    document = json.loads(file.read_text())
    document["codecs"][-1] = {"name": "squeeze-it", "configuration": {}}
    file.write_text(json.dumps(document))
    assert "squeeze-it" in failure(run, "apply", source, "-o", target, *WORDS)
    assert not target.exists() and is_clean(tmp_path)


def test_a_full_disk(tmp_path, target, run):
    """One line, and the rest follows once there is room."""
    source = big_source(tmp_path)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    done = subprocess.run(
        [sys.executable, "-m", "convcli", "apply", source, "-o", str(target), *WORDS],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    message = one_line(done.stderr)
    assert "out.zarr" in message
    assert "File too large" in message
    assert done.returncode == 2
    resumed(run, source, target)


def test_shares_at_the_same_time(run, tmp_path, target):
    """Processes that know nothing of each other make a result."""
    source, job = big_source(tmp_path), tmp_path / "job.json"
    assert run("apply", source, "-o", target, *WORDS, "--job", job).code == 0
    clients = [Client("piece", job, f"{index}/3") for index in range(3)]
    try:
        assert [client.end()[0] for client in clients] == [0, 0, 0]
    finally:
        for client in clients:
            client.kill()
    assert len(noted(target)) == PIECES
    assert run("piece", job, "0/3").err == f"convcli: 0 pieces done, {PIECES // 3} skipped\n"
    assert run("piece", job, "--finish").code == 0
    assert np.array_equal(read(target), expected())
    assert is_clean(tmp_path)
    assert run("piece", job, "0/3").err == f"convcli: 0 pieces done, {PIECES // 3} skipped\n"
    assert run("piece", job, "--finish").out == f"{target}: is complete\n".encode()


def test_shares_that_are_missing(run, tmp_path, target):
    """--finish says which, and changes nothing."""
    source, job = big_source(tmp_path), tmp_path / "job.json"
    assert run("apply", source, "-o", target, *WORDS, "--job", job).code == 0
    assert run("piece", job, "1/8").code == 0
    left = PIECES - PIECES // 8
    message = failure(run, "piece", job, "--finish")
    assert f"{left} pieces of {PIECES} not done yet, such as 0 (" in message
    resumed(run, source, target)


def test_shares_in_two_passes(run, tmp_path, target):
    """Where pixels depend on the range, shares are run twice, and --finish says so."""
    source = zarr_array(tmp_path / "in.zarr", IMAGE[:150, :150], (64, 64))
    words, job = ("-k", "sobel-x", "--map", "stretch", "-q"), tmp_path / "job.json"
    assert run("apply", source, "-o", tmp_path / "whole.zarr", *words).code == 0
    assert run("apply", source, "-o", target, "--job", job, "--piece", "64", *words).code == 0
    for index in (1, 0):
        assert run("piece", job, f"{index}/2").code == 0
    assert "range found" in run("piece", job, "--finish").text
    assert run("piece", job, "0/2").code == 0
    assert "not done yet" in failure(run, "piece", job, "--finish")
    ran = run("apply", source, "-o", target, "--resume", *words)
    assert (ran.code, ran.err) == (0, "")
    assert np.array_equal(read(target), read(tmp_path / "whole.zarr"))
    assert is_clean(tmp_path)
