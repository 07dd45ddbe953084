"""What went wrong at a place, in one line: errors of fsspec and of the libraries below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from convcli.core.errors import ConvcliError, MissingError, StorageError, one_line, reason_of
from convcli.core.patterns import pattern
from convcli.storage.options import without_secrets
from convcli.storage.urls import is_remote

DENIED: Final = "access denied (403); check the credentials and the permissions of the bucket"
REFUSED: Final = "the server refuses access (403)"
NO_CREDENTIALS: Final = (
    "no credentials were found; log in as for the provider's own tools, or for public data, "
    "use --storage-options '{\"anon\": true}'"
)
EXPIRED: Final = "the credentials have expired; log in again"
INVALID: Final = "the credentials are not valid"
OVERLOADED: Final = "the service is overloaded, also after retries; try again later, or with fewer workers"
MISSING: Final = "does not exist"
NO_BUCKET: Final = "the bucket does not exist"
REGION: Final = "the bucket is in another region; set AWS_REGION or the endpoint"
TIMEOUT: Final = "no answer in time"
LOST: Final = "the connection was lost"
UNREACHABLE: Final = "cannot connect to the server"

EXTRAS: Final = {
    "gs": "pip install gcsfs",
    "gcs": "pip install gcsfs",
    "az": "pip install adlfs",
    "abfs": "pip install adlfs",
    "abfss": "pip install adlfs",
}
"""What installs the library of a protocol; the others come with the extra."""

_LIBRARIES: Final = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
EXTRA: Final = "pip install 'convcli[cloud]'"

_CODES: Final = {
    "AccessDenied": DENIED,
    "AllAccessDisabled": DENIED,
    "403": DENIED,
    "401": "the server asks for credentials (401)",
    "NoSuchBucket": NO_BUCKET,
    "ContainerNotFound": "the container does not exist",
    "NoSuchKey": MISSING,
    "404": MISSING,
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "RequestExpired": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "InvalidAccessKeyId": INVALID,
    "InvalidToken": INVALID,
    "SignatureDoesNotMatch": INVALID,
    "InvalidClientTokenId": INVALID,
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "InvalidBucketName": "no bucket can have this name",
    "InvalidObjectState": "the object is archived; restore it first",
    "EntityTooLarge": "too large for this store",
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "IllegalLocationConstraintException": REGION,
    "301": REGION,
    "SlowDown": OVERLOADED,
    "ServiceUnavailable": OVERLOADED,
    "TooManyRequestsException": OVERLOADED,
    "RequestLimitExceeded": OVERLOADED,
    "429": OVERLOADED,
    "503": OVERLOADED,
    "500": "the server failed (500), also after retries",
    "InternalError": "the server failed (500), also after retries",
    "410": "does not exist any more",
    "416": "changed while it was being read",
}
"""Causes by the codes of S3 and Azure, and by the status of HTTP."""

_KINDS: Final = {
    "NoCredentialsError": NO_CREDENTIALS,
    "PartialCredentialsError": "the credentials are incomplete",
    "CredentialRetrievalError": "the credentials cannot be retrieved",
    "DefaultCredentialsError": NO_CREDENTIALS,
    "CredentialUnavailableError": NO_CREDENTIALS,
    "TokenRetrievalError": EXPIRED,
    "SSOTokenLoadError": EXPIRED,
    "UnauthorizedSSOTokenError": EXPIRED,
    "RefreshError": EXPIRED,
    "ProfileNotFound": "the profile in AWS_PROFILE does not exist",
    "ClientConnectorDNSError": "the name of the server is unknown",
    "ClientConnectorCertificateError": "the certificate of the server is not valid",
    "ClientConnectorSSLError": "the server does not speak TLS",
    "InvalidUrlClientError": "is not a valid URL",
    "InvalidURL": "is not a valid URL",
    "EndpointConnectionError": UNREACHABLE,
    "ConnectTimeoutError": TIMEOUT,
    "ReadTimeoutError": TIMEOUT,
    "FSTimeoutError": TIMEOUT,
    "TimeoutError": TIMEOUT,
    "ParamValidationError": "no bucket or object can have this name",
    "TooManyRedirects": "the server redirects without end",
    "NonHttpUrlRedirectClientError": "the server redirects to what is no web page",
    "InvalidUrlRedirectClientError": "the server redirects to what is no web page",
    "ServerDisconnectedError": LOST,
    "ClientPayloadError": LOST,
    "ConnectionClosedError": LOST,
    "HTTPClientError": LOST,
    "ClientConnectorError": UNREACHABLE,
    "ServiceRequestError": UNREACHABLE,
    "ConnectionRefusedError": UNREACHABLE,
    "ConnectionError": LOST,
    "FileNotFoundError": MISSING,
    "PermissionError": DENIED,
    "FileExistsError": "already exists",
    "IsADirectoryError": "is a folder",
    "MemoryError": "not enough memory",
}
"""Causes by the names of exceptions; those of the libraries are not imported for it."""

_STATUS: Final = ("status_code", "status", "code")
"""Where libraries keep the status; the first that there is, as aiohttp warns of ``code``."""

_MODULE: Final = pattern(r"[Ii]nstall ([\w-]+)|No module named '([\w-]+)")


class NoPartsError(Exception):
    """A server sends all of a file where a part of it was requested."""


@contextmanager
def refusals(place: str, action: str) -> Iterator[None]:
    """Turn any error of a library into a `StorageError`.

    Args:
        action: what is being done, such as ``cannot be read``.
    """
    try:
        yield
    except (ConvcliError, NoPartsError):
        raise
    except Exception as error:
        cause = cause_of(error, place)
        if cause == MISSING:
            raise MissingError(place, cause) from error
        raise StorageError(place, f"{action}: {cause}") from error


def cause_of(error: BaseException, place: str = "") -> str:
    """What is wrong, in one line without credentials."""
    if isinstance(error, OSError) and not is_remote(place):
        return MISSING if isinstance(error, FileNotFoundError) else one_line(error.strerror or str(error))
    errors = list(_chain(error))
    for each in errors:
        if isinstance(each, ImportError):
            return _missing_library(each, place)
    cause = _known_cause(errors) or _reason(errors)
    return REFUSED if cause == DENIED and place.lower().startswith("http") else cause


def _known_cause(errors: Sequence[BaseException]) -> str:
    """The cause by a code, else by a kind, of the innermost error that has one; empty where none has."""
    for code in (code for each in errors for code in codes_of(each)):
        if code in _CODES:
            return _CODES[code]
    names = [kind.__name__ for each in reversed(errors) for kind in type(each).__mro__]
    return next((_KINDS[name] for name in names if name in _KINDS), "")


def codes_of(error: BaseException) -> Sequence[str]:
    """The codes in one error of a library: of S3 or Azure, then of HTTP."""
    codes: list[Any] = []
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        codes.append(response.get("Error", {}).get("Code"))
        codes.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    codes.append(getattr(error, "error_code", None))
    codes.append(
        next((getattr(error, name) for name in _STATUS if getattr(error, name, None) is not None), None)
    )
    return [str(code) for code in codes if code]


def has_code(error: BaseException, *codes: str) -> bool:
    """Whether an error, or what caused it, has one of these codes."""
    return any(code in codes for each in _chain(error) for code in codes_of(each))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, from the outermost to the innermost."""
    seen: set[int] = set()
    next_error: BaseException | None = error
    while next_error is not None and id(next_error) not in seen:
        seen.add(id(next_error))
        yield next_error
        next_error = next_error.__cause__ or next_error.__context__


def _missing_library(error: ImportError, place: str) -> str:
    protocol = place.partition("://")[0].lower()
    match = _MODULE.search(str(error))
    name = next(filter(None, match.groups()), "") if match else ""
    needed = EXTRAS.get(protocol, EXTRA)
    library = needed.removeprefix("pip install ") if protocol in EXTRAS else _LIBRARIES.get(protocol, name)
    return f"needs {library or 'fsspec'}; install it with: {needed}"


def _reason(errors: Sequence[BaseException]) -> str:
    """What a library says, where nothing better is known."""
    error = errors[0]
    if isinstance(error, OSError) and error.strerror:
        text = one_line(error.strerror)
    else:
        text = reason_of(error, type(error).__name__)
    return without_secrets(text)
