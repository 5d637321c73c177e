"""Results of long benchmarks in a CSV file, a line for each training, so that a second call goes on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kept:
    """A file of trainings: what tells each apart, then its error, or what else is kept, and the seconds it took."""

    file: Path
    names: Sequence[str]
    what: str = "error"

    def errors(self) -> dict[tuple[str, ...], float]:
        """Return the errors, or what else is kept, that are known."""
        if not self.file.is_file():
            return {}
        with self.file.open(newline="") as file:
            return {tuple(row[name] for name in self.names): float(row[self.what]) for row in csv.DictReader(file)}

    def add(self, key: Sequence[str], error: float, seconds: float) -> None:
        """Write a training that has ended."""
        fresh = not self.file.is_file()
        with self.file.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow((*self.names, self.what, "seconds"))
            writer.writerow((*key, f"{error:.5f}", f"{seconds:.1f}"))
