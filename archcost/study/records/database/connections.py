"""Connections to a database, and what it cannot do, told as a user's mistake."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from archcost.errors import InputError, Mistake, quoted
from archcost.study.records.database import outage
from archcost.study.records.database.addresses import Address

_FULL: Final = "disk is full"  # as SQLite says it
RESUMES: Final = "what has ended is kept: run again when there is some, to go on"


@contextmanager
def engine(address: Address) -> Iterator[sqlalchemy.Engine]:
    """Yield what connects to a database on a server, for the context."""
    with told(address):
        made = sqlalchemy.create_engine(address.url, **outage.arguments(address.url))
        try:
            yield made
        finally:
            made.dispose()


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Tell what a storage cannot do inside the context, as InputError: the one place where its errors end."""
    try:
        yield
    except StorageInternalError as error:
        raise unusable(address, error.__cause__ or error) from error
    except (SQLAlchemyError, sqlite3.Error, ImportError, NoSuchModuleError) as error:
        raise unusable(address, error) from error


def unusable(address: Address, error: BaseException) -> InputError:
    """Return what a database could not do as a user's mistake, without what is secret in its address."""
    first = str(getattr(error, "orig", None) or error).strip().splitlines()
    if first and _FULL in first[0]:
        return InputError(Mistake(f"no space left for the storage {quoted(str(address))}; {RESUMES}"))
    why = first[0] if first else type(error).__name__
    return InputError(Mistake(f"the storage {quoted(str(address))} cannot be used: {address.hidden(why)}"))


@contextmanager
def connected(address: Address) -> Iterator[sqlalchemy.Connection]:
    """Yield a connection to a database on a server that lasts no longer than the context."""
    with engine(address) as there, there.connect() as connection:
        yield connection
