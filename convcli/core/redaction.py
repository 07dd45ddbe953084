"""Texts without what may be secret in a URL: user names, passwords, signatures and tokens.

The query of a web address is left out, because servers take credentials by any name there. Names of objects
may contain ``?``; of those, only the values of parameters that are called like credentials are left out.
"""

from __future__ import annotations

import re
from typing import Final

from convcli.core.patterns import pattern

HIDDEN: Final = "…"

_BEGIN: Final = r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://"
_OBJECTS: Final = pattern(r"(?:s3a?|gs|gcs|az|abfss?)://", re.IGNORECASE)
_OWN: Final = pattern(r"(?:memory|file)://", re.IGNORECASE)
_NAME: Final = pattern(rf"{_BEGIN}\S*", re.IGNORECASE)
_IN_TEXT: Final = pattern(rf"{_BEGIN}[^\s'\"<>]*[^\s'\"<>:;,.)\]}}]", re.IGNORECASE)
_USER: Final = pattern(r"(?<=://)[^/?#]*:[^/?#]*@")
_ANY_USER: Final = pattern(r"(?<=://)[^/?#]*@")
_QUERY: Final = pattern(r"[?#].+", re.DOTALL)
_CREDENTIAL: Final = pattern(
    r"([?&;#][\w.-]*(?:sig|signature|token|secret|passw(?:or)?d|pwd|credential|(?:api|access)[_-]?key(?:[_-]?id)?)=)"
    r"[^&;#]*",
    re.IGNORECASE,
)


def public_name(name: str) -> str:
    """The name of a file as it is, or a URL without what may be secret."""
    if not _NAME.match(name) or _OWN.match(name):
        return name
    if _OBJECTS.match(name):
        return _CREDENTIAL.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", name))
    return _QUERY.sub(f"?{HIDDEN}", _ANY_USER.sub(f"{HIDDEN}@", name))


def public_text(text: str) -> str:
    """A text in which every URL is without what may be secret."""
    if "://" not in text:
        return text
    if _NAME.fullmatch(text):  # with whatever it contains
        return public_name(text)
    return _IN_TEXT.sub(lambda match: public_name(match[0]), text)
