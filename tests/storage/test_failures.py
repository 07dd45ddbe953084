"""What goes wrong at a URL, in one line without secrets: real servers, and errors as libraries raise them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from convcli.core.errors import MissingError, StorageError
from convcli.storage import failures
from convcli.storage.failures import cause_of, codes_of, refusals
from convcli.storage.options import set_options
from convcli.storage.remote import RemoteFile, write_object
from convcli.storage.stores import exists


def client_error(code: str, status: int = 400) -> Exception:
    exceptions = pytest.importorskip("botocore.exceptions")
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = exceptions.ClientError(response, "GetObject")
    return error


def botocore(name: str, **facts: object) -> Exception:
    error: Exception = getattr(pytest.importorskip("botocore.exceptions"), name)(**facts)
    return error


class HttpError(Exception):
    """As gcsfs has it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"m, {code}")
        self.code = code


class HttpResponseError(Exception):
    """As the libraries of Azure have it."""

    def __init__(self, status_code: int, error_code: str = "") -> None:
        super().__init__("m")
        self.status_code, self.error_code = status_code, error_code


ERRORS: dict[str, tuple[Callable[[], Exception], str]] = {
    "denied": (lambda: client_error("AccessDenied", 403), failures.DENIED),
    "denied by HEAD": (lambda: client_error("403", 403), failures.DENIED),
    "no bucket": (lambda: client_error("NoSuchBucket", 404), failures.NO_BUCKET),
    "no key": (lambda: client_error("NoSuchKey", 404), failures.MISSING),
    "expired": (lambda: client_error("ExpiredToken"), failures.EXPIRED),
    "unknown key": (lambda: client_error("InvalidAccessKeyId", 403), failures.INVALID),
    "wrong secret": (lambda: client_error("SignatureDoesNotMatch", 403), failures.INVALID),
    "slow down": (lambda: client_error("SlowDown", 503), failures.OVERLOADED),
    "unavailable": (lambda: client_error("Whatever", 503), failures.OVERLOADED),
    "region": (lambda: client_error("PermanentRedirect", 301), failures.REGION),
    "no credentials": (lambda: botocore("NoCredentialsError"), failures.NO_CREDENTIALS),
    "no profile": (
        lambda: botocore("ProfileNotFound", profile="p"),
        "the profile in AWS_PROFILE does not exist",
    ),
    "logged out": (lambda: botocore("UnauthorizedSSOTokenError"), failures.EXPIRED),
    "unreachable": (lambda: botocore("EndpointConnectionError", endpoint_url="u"), failures.UNREACHABLE),
    "slow": (lambda: botocore("ReadTimeoutError", endpoint_url="u"), failures.TIMEOUT),
    "timeout": (TimeoutError, failures.TIMEOUT),
    "Google denies": (lambda: HttpError(403), failures.DENIED),
    "Google is busy": (lambda: HttpError(429), failures.OVERLOADED),
    "no blob": (lambda: HttpResponseError(404, "BlobNotFound"), failures.MISSING),
    "no container": (lambda: HttpResponseError(404, "ContainerNotFound"), "the container does not exist"),
    "refused": (ConnectionRefusedError, failures.UNREACHABLE),
}


@pytest.mark.parametrize("name", ERRORS)
def test_causes_of_errors_of_libraries(name):
    """Whether raised as they are, or by way of an OSError, as s3fs does."""
    make, cause = ERRORS[name]
    assert cause_of(make(), "s3://b/a") == cause
    try:
        try:
            raise make()
        except Exception as error:
            raise OSError(22, "wrapped") from error
    except OSError as error:
        assert cause_of(error, "s3://b/a") == cause


def test_unknown_errors_are_shown_without_secrets():
    """Values of the storage options and queries of URLs are cut out; only one line is left."""
    set_options(json.dumps({"secret": "top-secret", "nested": {"token": ["hidden-token"]}}))
    with pytest.raises(StorageError) as caught, refusals("s3://b/a", "cannot be read"):
        raise RuntimeError("odd top-secret\nhidden-token https://h/a?sig=1")
    assert str(caught.value) == "s3://b/a: cannot be read: odd …"
    with pytest.raises(StorageError) as caught, refusals("https://u:pw@h/a?sig=1", "cannot be read"):
        raise RuntimeError("see hidden-token, https://h/a?sig=1")
    assert str(caught.value) == "https://…@h/a?…: cannot be read: see …, https://h/a?…"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_answers_of_web_servers(web, status):
    """Each status has a cause; none is taken for contents."""
    web.files, web.statuses = {"/a": b"x" * 9}, {"/a": status}
    with pytest.raises(StorageError) as caught:
        RemoteFile(f"{web.address}/a?sig=secret", 100)
    wanted = failures.REFUSED if status == 403 else failures._CODES[str(status)]
    assert wanted in str(caught.value)
    assert "secret" not in str(caught.value)


def test_servers_that_do_not_answer(web):
    """Nothing listens, or the name is unknown."""
    for address, cause in {
        "http://127.0.0.1:1/a": failures.UNREACHABLE,
        "http://nothing.invalid/a": "the name of the server is unknown",
    }.items():
        with pytest.raises(StorageError, match=cause):
            RemoteFile(address, 100)


def test_missing_objects_and_buckets(s3):
    """A missing object is one kind of error, a missing bucket another, for reading, writing and looking."""
    with pytest.raises(MissingError, match="a: does not exist"):
        RemoteFile(f"{s3.url}/a", 100)
    assert not exists(f"{s3.url}/a")
    for use in (
        lambda url: RemoteFile(url, 100),
        lambda url: write_object(url, b"", exclusive=True),
        lambda url: write_object(url, b"", exclusive=False),
        exists,
    ):
        with pytest.raises(StorageError, match=f"s3://no-such-bucket/a: .*: {failures.NO_BUCKET}") as caught:
            use("s3://no-such-bucket/a")
        assert not isinstance(caught.value, MissingError)


@pytest.mark.parametrize(
    ("url", "module", "says"),
    [
        ("s3://b/a", "s3fs", "needs s3fs; install it with: pip install 'convcli[cloud]'"),
        ("gs://b/a", "gcsfs", "needs gcsfs; install it with: pip install gcsfs"),
        ("az://b/a", "adlfs", "needs adlfs; install it with: pip install adlfs"),
        ("https://h/a", "aiohttp", "needs aiohttp; install it with: pip install 'convcli[cloud]'"),
        ("memory://a", "fsspec", "needs fsspec; install it with: pip install 'convcli[cloud]'"),
    ],
)
def test_a_missing_library_is_named_with_what_installs_it(tmp_path, url, module, says):
    """The command ends with one line."""
    code = f"import sys; sys.modules[{module!r}] = None\nfrom convcli.cli.main import main\n"
    code += f"sys.exit(main(['apply', {url!r}, '-k', 'box3', '-o', {str(tmp_path / 'a.png')!r}]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == f"convcli: {url}: cannot be opened: {says}\n"


def test_status_of_zero():
    """The deprecated name of aiohttp is not asked, also where the status says nothing."""

    class OfAiohttpError(Exception):
        status = 0

        @property
        def code(self) -> int:
            raise DeprecationWarning

    assert list(codes_of(OfAiohttpError())) == []
