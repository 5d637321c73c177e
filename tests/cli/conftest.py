"""What tests of commands share: a small network's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import SMALL


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A small network's file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, "utf-8")
    return str(path)
