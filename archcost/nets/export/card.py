"""The card of a bundle in Markdown: what the network is, for whom, and what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archcost.rows import as_markdown, escaped

_NOT_MEASURED = "It was not measured."


@dataclass(frozen=True, slots=True)
class Result:
    """A row of results: what was reached on a split, its interval, and on how many examples or tokens."""

    split: str
    metric: str
    value: str
    interval: str
    count: str


@dataclass(frozen=True, slots=True)
class Card:
    """The facts of a card, each text a paragraph or an item; speed: rows under `speed_heads`."""

    title: str
    what: str
    whom: Sequence[str]
    results: Sequence[Result]
    result_notes: Sequence[str]
    speed: Sequence[Sequence[str]]
    speed_notes: Sequence[str]
    usage: Sequence[str]
    data: Sequence[str]


SPEED_HEADS = ("way", "median", "interval", "device")


def text(card: Card) -> str:
    """Return a card as Markdown, in which what others have named is taken literally."""
    heads = ("split", "metric", "value", "95% interval", "n")
    results = [(each.split, each.metric, each.value, each.interval, each.count) for each in card.results]
    speed = as_markdown(SPEED_HEADS, card.speed) if card.speed else f"{_NOT_MEASURED}\n"
    return "\n".join(
        (
            f"# {escaped(card.title)}\n",
            f"{escaped(card.what)}\n",
            f"## What it is for\n\n{_items(card.whom)}",
            f"## What it reaches\n\n{as_markdown(heads, results)}\n{_items(card.result_notes)}",
            f"## How long it takes\n\n{speed}",
            *([_items(card.speed_notes)] if card.speed else []),
            f"## How it is used\n\n{_items(card.usage)}",
            f"## Data\n\n{_items(card.data)}",
        )
    )


def _items(texts: Sequence[str]) -> str:
    return "".join(f"- {escaped(each)}\n" for each in texts)
