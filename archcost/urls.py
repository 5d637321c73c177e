"""URLs as they may be seen: without a password, wherever in a text; rather too much is hidden than too little."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_HIDDEN: Final = "***"
_START: Final = re.compile(r":/+|//+")  # with one slash it is mistyped, and as secret
# Nobody knows where a password ends but at the next URL; a scheme is short: a long word is not read again and again.
_NEXT: Final = re.compile(r"""[\s'"(\[{<,][A-Za-z][A-Za-z0-9+.-]{0,40}://""")
_PARAMETER: Final = re.compile(r"""(?P<name>[?&#;][^=?&#;]*)=(?P<value>[^&'"]*)""")
_SECRET: Final = ("pass", "pwd", "secret", "token", "key")


def shown(text: str) -> str:
    """Return a text with *** for the password of each URL in it, and for the value of each parameter that names one.

    A password reaches from the first colon behind the slashes to the last @ before the next URL, whatever is between.
    """
    parts, end = [], 0
    while found := _START.search(text, end):
        following = _NEXT.search(text, found.end())
        parts.append(text[end : found.end()])
        end = following.start() if following else len(text)
        parts.append(_without_secrets(text[found.end() : end]))
    return "".join(parts) + text[end:]


def _without_secrets(rest: str) -> str:
    """Return what stands behind the slashes of a URL without its secrets."""
    colon, at = rest.find(":"), rest.rfind("@")
    if 0 <= colon < at:
        rest = f"{rest[: colon + 1]}{_HIDDEN}{rest[at:]}"
    return _PARAMETER.sub(_parameter, rest)


def _parameter(found: re.Match[str]) -> str:
    name = unquote(found["name"]).lower()
    return f"{found['name']}={_HIDDEN}" if any(word in name for word in _SECRET) else found[0]
