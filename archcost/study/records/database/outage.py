"""A server that does not answer, started anew or cut off, is waited for and asked again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from archcost.study.records.database.together import WholeStorage
from archcost.study.workers import signals

P = ParamSpec("P")
T = TypeVar("T")

WAITS_S: Final = 900.0
"""How long a server is waited for that answered before."""
_FIRST_S: Final = 0.2
_LONGEST_S: Final = 5.0
_CUT: Final = ("08", "57P", "25P03", "57P05")  # connection exceptions, and sessions that the server has ended
_LOG: Final = logging.getLogger(__name__)

CONNECTING: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What libpq is told, so that a cut network is known within half a minute; seconds, the last in milliseconds."""


def arguments(engine_url: str) -> dict[str, Any]:
    """Return how SQLAlchemy connects to a server: what only some drivers know is told to those."""
    driver = engine_url.partition(":")[0]
    return {"connect_args": dict(CONNECTING)} if driver in LIBPQ else {}


LIBPQ: Final = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")
"""The drivers that stand on PostgreSQL's own library."""


def is_cut(error: BaseException) -> bool:
    """Return whether an error says that a server did not answer, or has ended the connection."""
    found = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(found, PendingRollbackError):  # Optuna has asked once more on the connection that was cut
        found = found.__context__
    if not isinstance(found, DBAPIError):
        return False
    if found.connection_invalidated:
        return True
    state = getattr(found.orig, "sqlstate", None) or getattr(found.orig, "pgcode", None)
    if state is None:  # there was no server to say one
        return isinstance(found, OperationalError | InterfaceError) and "sqlite" not in type(found.orig).__module__
    return str(state).startswith(_CUT)


def patiently(do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call gives that asks a server, which is asked again as long as it does not answer.

    Done twice, a call must be as done once: whether the server has heard the first is not known. After `WAITS_S`, or if
    a signal is to end the process, what was raised last is raised.
    """
    end, pause = time.monotonic() + WAITS_S, 0.0
    while True:
        try:
            found = do(*args, **kwargs)
        except (DBAPIError, StorageInternalError) as error:
            if not is_cut(error) or time.monotonic() >= end or signals.waits():
                raise
            if pause == _LONGEST_S / 2:
                _LOG.warning("the database does not answer; it is waited for")
            pause = min(max(_FIRST_S, 2 * pause), _LONGEST_S)
            _rest(pause)
        else:
            return found


def _rest(pause_s: float) -> None:
    """Wait, but no longer than until a signal comes."""
    end = time.monotonic() + pause_s
    while time.monotonic() < end and not signals.waits():
        time.sleep(0.1)


_CALLS: Final = (
    "_create_new_trial",
    "_get_trials",
    "_set_trial_param",
    "get_all_studies",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
    "write_together",
)
"""What Optuna's cache asks of a storage; each of them done twice leaves at most a trial that nobody works on."""


def _patient(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as Optuna's own
        return patiently(getattr(super(PatientStorage, self), name), *args, **kwargs)

    call.__name__ = name
    return call


class PatientStorage(WholeStorage):
    """Optuna's storage on a server, which waits while that does not answer."""


for _name in _CALLS:
    setattr(PatientStorage, _name, _patient(_name))
