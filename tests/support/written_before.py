"""What earlier versions of archcost wrote, as it lies in tests/fixtures: read by every later one."""

from __future__ import annotations

import shutil
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIRST = FIXTURES / "0.1.0"


def copied(folder: Path) -> Path:
    """Copy the study of 0.1.0, with its weights, to a folder; return its file."""
    shutil.copytree(FIRST / "study.weights", folder / "study.weights")
    for name in ("study.yaml", "study.db"):
        shutil.copy(FIRST / name, folder / name)
    return folder / "study.yaml"


def killed(folder: Path) -> Path:
    """Copy a storage of 0.1.0 whose process was killed, its log beside it; return its file."""
    for name in ("study.db", "study.db-wal"):
        shutil.copy(FIRST / "killed" / name, folder / name)
    return folder / "study.db"
