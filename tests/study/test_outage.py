"""What of a database's errors says that its server did not answer, so that it is asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, PendingRollbackError

from archcost.study.records.database import outage


class Told(Exception):  # noqa: N818  # as a driver's
    """What a driver raises; sqlstate: as the server said it, None if there was none to say it."""

    def __init__(self, sqlstate: str | None = None) -> None:
        super().__init__("of a driver")
        self.sqlstate = sqlstate


def first() -> None:
    """Fail as a statement does whose connection is cut."""
    raise OperationalError("SELECT 1", {}, Told(), connection_invalidated=True)


def wrapped(do: Callable[[], None]) -> StorageInternalError:
    """Return what Optuna makes of an error: its own, with that as the cause."""
    try:
        try:
            do()
        except Exception as error:
            raise StorageInternalError("in a commit") from error
    except StorageInternalError as found:
        return found


def twice() -> None:
    """Fail as Optuna's reading of trials does, which tries another statement on the connection that is cut."""
    try:
        first()
    except OperationalError:
        raise PendingRollbackError("Can't reconnect until invalid transaction is rolled back")  # noqa: B904  # as it does


def flushed() -> None:
    """Fail after a statement that was refused."""
    try:
        raise IntegrityError("INSERT", {}, Told("23505"))  # noqa: TRY301  # as it does
    except IntegrityError:
        raise PendingRollbackError("rolled back due to a previous exception")  # noqa: B904  # as it does


@pytest.mark.parametrize(
    ("error", "cut"),
    [
        (OperationalError("SELECT 1", {}, Told()), True),
        (OperationalError("SELECT 1", {}, Told("57P01")), True),
        (OperationalError("SELECT 1", {}, Told("08006")), True),
        (OperationalError("SELECT 1", {}, Told("40P01")), False),
        (DataError("SELECT 1", {}, Told("22001")), False),
        (OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked")), False),
        (wrapped(first), True),
        (wrapped(twice), True),
        (wrapped(flushed), False),
        (PendingRollbackError("of nothing"), False),
        (StorageInternalError("of nothing"), False),
        (ValueError(), False),
    ],
)
def test_an_error_says_whether_the_server_did_not_answer(error: Exception, cut: bool) -> None:
    """Whoever wraps it; what the server refused is no outage."""
    assert cut == outage.is_cut(error)


def test_a_call_is_made_again_until_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Optuna has hidden the reason behind a second error."""
    monkeypatch.setattr(outage, "_rest", lambda _: None)
    left = [wrapped(twice), wrapped(first)]

    def ask() -> str:
        if left:
            raise left.pop()
        return "answered"

    assert "answered" == outage.patiently(ask)
