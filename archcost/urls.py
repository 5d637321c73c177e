"""A URL as people are shown it: whatever may be a password in it is hidden, whether or not anybody could read it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"

_USER: Final = re.compile(r"(?P<before>://+|[A-Za-z0-9+.-]{2}:/+|^\s*//+)(?P<user>[^:@\n]*):[^\n]*@")
_QUERY: Final = re.compile(r"(?P<before>[?&;])(?P<name>[^=&;?\s]+)=(?P<value>[^&\n]*)")
_SECRET: Final = re.compile(r"pass|pwd|secret|token|key|credential|auth", re.IGNORECASE)


def shown(text: str) -> str:
    """Return a text without the passwords of a URL in it: of user information, and of a query.

    It hides rather than shows: what stands between a scheme and the last @ is a user's name and a password, and a
    query's secret goes on to the next &, as a password may hold anything where nobody has escaped it.
    """
    return _USER.sub(rf"\g<before>\g<user>:{HIDDEN}@", _QUERY.sub(_value, text))


def is_secret(name: str) -> bool:
    """Return whether a query's value of that name may be a secret."""
    return bool(_SECRET.search(unquote(name)))


def _value(found: re.Match[str]) -> str:
    if not is_secret(found["name"]):
        return found[0]
    return f"{found['before']}{found['name']}={HIDDEN}"
