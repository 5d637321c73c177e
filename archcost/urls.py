"""URLs as they may be seen: without a password, wherever in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"
_START: Final = re.compile(r":/+|//+")  # with one slash it is mistyped, and as secret
# Nobody knows where a password ends but at the next URL; a scheme is short: a long word is not read again and again.
_NEXT: Final = re.compile(r"""[\s'"(\[{<,][A-Za-z][A-Za-z0-9+.-]{0,40}://""")
_PARAMETER: Final = re.compile(r"[?&#;]([^=?&#;\n]*)=")
_END: Final = re.compile(r"[&\n]|$")
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
    values = list(_values(rest))
    colon, at = rest.find(":"), rest.rfind("@")
    if not 0 <= colon < at:
        return _hidden(rest, values)
    if any(start <= at <= end for start, end in values):  # whose @ that is, is not known
        return f"{rest[: colon + 1]}{HIDDEN}"
    after = [(start - at, end - at) for start, end in values if start > at]
    return f"{rest[: colon + 1]}{HIDDEN}{_hidden(rest[at:], after)}"


def _values(rest: str) -> Iterator[tuple[int, int]]:
    """Yield where secret values begin and end: at the next &, whatever is between."""
    place = 0
    while found := _PARAMETER.search(rest, place):
        place = found.end()
        if is_secret(found[1]):
            end = _END.search(rest, place)
            start, place = place, end.start() if end else len(rest)
            yield start, place


def _hidden(text: str, spans: list[tuple[int, int]]) -> str:
    """Return a text with *** for spans of it, in their order."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return HIDDEN.join(text[a:b] for a, b in zip([0, *ends], [*starts, len(text)], strict=True))


def is_secret(parameter: str) -> bool:
    """Return whether the value of a parameter of that name may be a secret."""
    name = unquote(parameter).lower()
    return any(word in name for word in _SECRET)
