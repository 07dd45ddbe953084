"""Secrets in URLs are never shown."""

from __future__ import annotations

import string

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from convcli.cli.console import escaped
from convcli.cli.main import cli
from convcli.core.errors import ConvcliError, StorageError, failure_message, literal, one_line, quoted, shown
from convcli.core.redaction import public_name, public_text

SECRET = st.text(string.ascii_letters + string.digits + "%-._~!$*+=", min_size=6).map("Zq9".__add__)
PARTS = st.sampled_from(
    [
        "https://user:{}@host/p.png",
        "HTTPS://{}@host:8080/p.png",
        "https://host/p.png?X-Amz-Signature={}",
        "http://host/p.png?a=1&anything={}#x",
        "https://host/p.png#access_token={}",
        "az://container/p.png?sv=1&sig={}",
        "abfss://container@account/p.png?sig={}&sv=1",
        "s3://key:{}@bucket/p.png",
        "s3://bucket/p.png?X-Amz-Security-Token={}",
        "gs://bucket/p.png?X-Goog-Credential={}&b=1",
        "tcp://user:{}@host:8786",
        "tls://{}@[::1]:8786",
        "sftp://user:{}@host/p.png",
    ]
)


@given(PARTS, SECRET)
def test_no_part_of_a_message_repeats_a_secret(form, secret):
    """Whichever function makes the message, and wherever the URL is in it; doing it twice changes nothing."""
    url = form.format(secret)
    sentence = f"{url}: cannot be read: see '{url}', ({url}), <{url}>."
    texts = [
        public_name(url),
        shown(url),
        quoted(url),
        literal([url]),
        one_line(sentence),
        escaped(f"1\n{sentence}"),
        failure_message(url, ConvcliError(one_line(sentence))),
        failure_message("a.png", ValueError(sentence)),
        str(StorageError(url, "does not exist")),
    ]
    assert not [text for text in texts if secret in text]
    assert [public_text(text) for text in texts] == texts


@pytest.mark.parametrize(
    "text",
    [
        "s3://b/photo@2x.png?page=3#1",
        "s3://b/a?b#c.png: does not exist",
        "abfss://container@account/a",
        "http://host:80/a@2x.png, and https://host/b.",
        "a?sig=1.png",
        "file:///a?token=1",
    ],
)
def test_other_names_stay_as_they_are(text):
    """Keys, paths and ports are not taken for secrets, nor are signs of punctuation after a URL."""
    assert public_text(text) == text


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "a.png", "-k", "https://host/k.json?sig=SECRET"],
        ["apply", "a.png", "-k", "box3", "-o", "https://user:SECRET@host/a.png"],
        ["apply", "foo://user:SECRET@host/a.png", "-k", "box3"],
        ["apply", "a.npy", "-k", "box3", "-o", "o.zarr", "--cluster", "tcp://user:SECRET@host:1"],
        ["apply", "a.npy", "-k", "box3", "-o", "o.zarr", "--cluster", "user:SEC/SECRET@host:1"],
        ["batch", "a.png", "https://host/?sig=SECRET", "-k", "box3"],
        ["batch", "a.png", "out/", "-k", "box3", "--report", "s3://k:SECRET@b/m.csv"],
    ],
)
def test_no_command_repeats_a_secret(words, tmp_path, monkeypatch):
    """Whatever is wrong with the command."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((4, 4), np.uint8))
    result = CliRunner().invoke(cli, words)
    assert result.exit_code
    assert "SECRET" not in result.output + str(result.exception)
