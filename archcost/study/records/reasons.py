"""Why a trial ended early or a job failed: a kind to decide by, and words to show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator

JobKind: TypeAlias = Literal[
    "input", "target", "silent", "killed", "diverged", "memory", "space", "files", "bug", "code", "refused"
]
Kind: TypeAlias = (
    JobKind
    | Literal["interrupted", "pruned", "limit", "infeasible", "not_finite", "known", "gave_way", "enqueued"]
    | Literal["time", "unknown"]
)

_HEADS: Final[dict[Kind, str]] = {"killed": "", "silent": "target"}  # of all others, the kind itself
_BY_TEXT: Final = frozenset[Kind]({"input", "code", "target", "bug", "infeasible", "unknown"})
"""Kinds that say little without their text."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a trial ended early, or a job failed; about: what else tells it from others of its kind, '' if nothing.

    Of a job: input: what was asked for is wrong; target: the target or runtime failed; silent: it was ended because no
    word of it came; killed: by signal 9, whoever sent it; diverged: its loss; memory: there was too little; space,
    files: nothing can be written, or the study's own files are gone, which ends the run and not this job alone; code:
    what the user's own code raised; refused: arguments that its factory does not take together (about: what it says of
    them), which is no failure: the point is none; bug: ours.
    Of a trial, besides: interrupted: its run ended; pruned: at a rung; limit: the network exceeds one (about: which);
    infeasible: its point is no network (about: the keys); not_finite: its result; known: every point is; gave_way: to
    another worker; enqueued: what was, is no point. Of confirming: time: it was over. unknown: an earlier version's.
    """

    kind: Kind
    text: str
    about: str = ""

    @property
    def group(self) -> tuple[Kind, str]:
        """What reasons have in common that are one to people, whatever numbers are in their texts."""
        return self.kind, self.about or (self.text if self.kind in _BY_TEXT else "")


INTERRUPTED: Final = Reason("interrupted", "interrupted; its point was asked for again")


def of_trial(reason: Reason) -> Reason:
    """Return why a trial failed whose job did: the text begins with what kind of failure it was."""
    head = _HEADS.get(reason.kind, reason.kind)
    return replace(reason, text=f"{head}: {reason.text}") if head else reason


def alike(reasons: Iterable[Reason]) -> list[tuple[str, int]]:
    """Return the text of the first reason of each group and how many there are, most often first."""
    groups: dict[tuple[Kind, str], list[str]] = {}
    for each in reasons:
        groups.setdefault(each.group, []).append(each.text)
    return sorted(((texts[0], len(texts)) for texts in groups.values()), key=lambda pair: -pair[1])


# sentences of 0.1.0, and what begins with a word of a kind
_WHOLE: Final[dict[str, Kind]] = {
    "interrupted; its point was asked for again": "interrupted",
    "its result is not finite": "not_finite",
    "every point of the space is known": "known",
    "another worker began the same point at the same moment": "gave_way",
    "what was enqueued is no point of this study": "enqueued",
    "the time was over": "time",
}
_BEGIN: Final[tuple[tuple[str, Kind], ...]] = (
    ("at epoch ", "pruned"),
    ("limits: ", "limit"),
    ("infeasible: ", "infeasible"),
    ("killed by signal 9", "killed"),
    ("target: hung: ", "silent"),
    ("target: ", "target"),
    ("input: ", "input"),
    ("diverged: ", "diverged"),
    ("memory: ", "memory"),
    ("bug: ", "bug"),
)


def _before(text: str) -> Reason | None:
    """Return the reason that an earlier version kept as text alone: here, and only here, a kind follows from words."""
    if not text:
        return None
    kind = _kind(text)
    return Reason(kind, text, text.split(" ", 2)[1] if kind == "limit" else "")


def _kind(text: str) -> Kind:
    if text in _WHOLE:
        return _WHOLE[text]
    for begin, kind in _BEGIN:
        if text.startswith(begin):
            return kind
    return "unknown"


def _read(held: object) -> object:
    return _before(held) if isinstance(held, str) else held


Kept: TypeAlias = Annotated[Reason | None, BeforeValidator(_read)]
"""A reason in a storage, None if there is none: a mapping, or of an earlier version text."""
