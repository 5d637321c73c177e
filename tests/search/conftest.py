"""What tests of the search share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.storages import RDBStorage


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], RDBStorage]]:
    """Yield what connects to one file as a process of its own would; every connection is closed after the test."""
    made: list[RDBStorage] = []

    def connected() -> RDBStorage:
        made.append(RDBStorage(f"sqlite:///{tmp_path / 'study.db'}"))
        return made[-1]

    yield connected
    for each in made:
        each.remove_session()
        each.engine.dispose()
