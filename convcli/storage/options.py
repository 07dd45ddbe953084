"""Options of the libraries that open URLs, such as endpoints: one set for the process, which is never shown.

Credentials are best left to the conventions of these libraries: environment variables, profiles, roles.
"""

from __future__ import annotations

import json
from typing import Any, Final

from convcli.core.errors import ArgumentError
from convcli.storage.urls import PROTOCOLS, is_url, protocol_of

_SHORTEST_SECRET: Final = 4


class _Process:
    text = ""
    options: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed


def check_options(text: str) -> dict[str, Any]:
    """The options in a JSON text.

    Raises:
        ArgumentError: it is not a JSON object; its contents are not repeated.
    """
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(
            "--storage-options is not valid JSON; use an object such as '{\"anon\": true}'"
        ) from error
    if not isinstance(options, dict):
        raise ArgumentError("--storage-options must be a JSON object such as '{\"anon\": true}'")
    return options


def set_options(text: str | None) -> None:
    """Use the options of a JSON text for every URL from now on; None or an empty text for none.

    Options apply to all URLs, or if every key is a protocol, to its URLs: ``{"s3": {"anon": true}}``.

    Raises:
        ArgumentError: it is not a JSON object.
    """
    _Process.options = check_options(text) if text else {}
    _Process.text = text or ""


def text_for_workers() -> str:
    """What to pass to `set_options` in another process; to be sent through a pipe, never logged or stored."""
    return _Process.text


def options_for(url: str) -> dict[str, Any]:
    """The options for a URL."""
    options = _Process.options
    if options and all(key in PROTOCOLS and isinstance(value, dict) for key, value in options.items()):
        usual = protocol_of(url)
        return next((dict(value) for key, value in options.items() if PROTOCOLS[key] == usual), {})
    return dict(options) if is_url(url) else {}


def without_secrets(text: str) -> str:
    """A message of a library without any value of the options."""
    for secret in sorted(_texts(_Process.options), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {text for item in value.values() for text in _texts(item)}
    if isinstance(value, list):
        return {text for item in value for text in _texts(item)}
    return {value} if isinstance(value, str) and len(value) >= _SHORTEST_SECRET else set()
