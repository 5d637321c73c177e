"""What held and what did not, case by case: kept in a file, so that a second call adds to it, and shown as a table."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass
class Tally:
    """One case in one storage; times: how often it was done; notes: why something did not hold."""

    case: str
    storage: str
    times: int = 0
    held: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def check(self, what: str, holds: object, note: str = "") -> bool:
        """Count one thing that was looked at; note: what was seen, kept if it does not hold."""
        (self.held if holds else self.missed)[what] += 1
        if not holds and note:
            self.notes.append(f"{what}: {' '.join(note.split())}")
        return bool(holds)

    def skip(self, why: str) -> None:
        """Say why a case was not done here."""
        self.notes.append(f"skipped: {why}")

    def row(self) -> tuple[str, ...]:
        """Return it as a row: each thing that was looked at, with how often it held."""
        names = [*dict.fromkeys([*self.held, *self.missed])]
        checks = "; ".join(f"{name} {self.held[name]}/{self.held[name] + self.missed[name]}" for name in names)
        numbers = (self.times, self.held.total(), self.missed.total())
        times, held, missed = map(str, numbers)
        return (self.case, self.storage, times, checks or "; ".join(self.notes), held, missed)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"case": self.case, "storage": self.storage, "times": self.times, "held": dict(self.held),
                "missed": dict(self.missed), "notes": self.notes}  # fmt: skip

    def added(self, other: Self) -> None:
        """Take what another call counted."""
        self.times += other.times
        self.held += other.held
        self.missed += other.missed
        self.notes += [each for each in other.notes if each not in self.notes]


def kept(file: Path) -> list[Tally]:
    """Return what is in a file of tallies, the calls of a case added up."""
    found: dict[tuple[str, str], Tally] = {}
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    for line in lines:
        held = json.loads(line)
        one = Tally(held["case"], held["storage"], held["times"], Counter(held["held"]), Counter(held["missed"]),
                    held["notes"])  # fmt: skip
        found.setdefault((one.case, one.storage), Tally(one.case, one.storage)).added(one)
    return list(found.values())


def keep(file: Path, tally: Tally) -> None:
    """Add a tally to a file."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(tally.document()) + "\n")


def table(every: list[Tally]) -> str:
    """Return tallies as Markdown, and under it the beginning of why something did not hold."""
    head = ("case", "storage", "times", "what was checked, and how often it held", "held", "not")
    lines = [head, ("---", "---", "---:", "---", "---:", "---:"), *(each.row() for each in every)]
    notes = [f"- {each.case}, {each.storage}: {note[:200]}" for each in every if each.missed or each.notes
             for note in each.notes[:6]]  # fmt: skip
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *([""] if notes else []), *notes])
