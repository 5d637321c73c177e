"""A whole study: its storage is made or found again, points are tried, the front is confirmed; what it then holds."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import optuna
from optuna.storages import RDBStorage

from archcost import scratch
from archcost.errors import InputError, Mistake, quoted
from archcost.study import confirm, search_loop
from archcost.study.objectives import QUANTITIES, worst
from archcost.study.plan import Setting
from archcost.study.records import storage, weights_folder
from archcost.study.records.addresses import Address
from archcost.study.records.front import Candidate
from archcost.study.records.stored import SCHEMA, Stored, described, find
from archcost.study.records.trials import remember, remembered
from archcost.study.search_loop import ENDS, End, Options, Watch
from archcost.units import counted_words
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.data.splits import Dataset

_MARGIN: Final = 1.1  # the reference lies a tenth behind the worst of the first trials
_FIRST: Final = 10


@contextmanager
def begun(setting: Setting, address: Address) -> Iterator[Stored]:
    """Yield the study of a setting, made where there is none, and close its storage at the end.

    Raises InputError where the storage has another one.
    """
    store = storage.opened(address, lambda made: _create(setting, made))
    try:
        stored = described(storage.find(store), address)
        _refuse_other(setting, stored)
        if not stored.identity:  # archcost 0.1.0 made it
            remember(_running(stored), "identity", uuid4().hex)
        yield stored
    finally:
        storage.close(store)


def _create(setting: Setting, made: RDBStorage) -> None:
    """Make the study of a setting in a storage that has none."""
    study = optuna.create_study(
        study_name=setting.spec.name, storage=made, directions=["minimize"] * len(setting.objectives)
    )
    with warnings.catch_warnings():  # experimental since 3.2: names for optuna-dashboard, nothing here needs them
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(setting.labels))
    about = {"schema": SCHEMA, "archcost": __version__, "name": setting.spec.name, "objectives": setting.objectives,
             "labels": setting.labels, "same": setting.same()}  # fmt: skip
    remember(study, "identity", uuid4().hex)
    remember(study, "about", about)  # last: by it a study is recognised


def _refuse_other(setting: Setting, stored: Stored) -> None:
    """Raise InputError where a storage's study is another one than a setting's."""
    kept, fresh = remembered(stored.study, "about").get("same", {}), json.loads(json.dumps(setting.same()))
    if changed := [key for key in fresh if fresh[key] != kept.get(key)]:
        raise InputError(
            Mistake(
                f"{', '.join(map(quoted, changed))} of the study changed since {quoted(str(stored.address))} was made; "
                "allowed: another 'storage', or the study as it was (trials, time and confirm may change)"
            )
        )


def _running(stored: Stored) -> optuna.Study:
    assert isinstance(stored.study, optuna.Study)  # not one that was only read
    return stored.study


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what its storage then held, and why it stopped asking for points."""

    stored: Stored
    end: End

    @property
    def why(self) -> str:
        """Why it stopped, in words."""
        return ENDS[self.end]


def check(address: Address) -> None:
    """Raise InputError where a study cannot be run at an address, before anything is made there or beside it."""
    if storage.check(address):
        find(address)
    else:
        weights_folder.check(address)


def explore(
    setting: Setting,
    dataset: Dataset,
    address: Address,
    run: Mapping[str, Any],
    watch: Watch,
    say: Callable[[str], None],
) -> Outcome:
    """Run a study to its end; run: `trials`, `time_s` (None: without end), `workers`, `threads`.

    The address was checked before. Raises InputError where another process runs it, its storage is another study's, or
    its files are gone.
    """
    with storage.running(address) as hold, begun(setting, address) as stored:
        if hold.note:
            say(hold.note)
        with _workplace(stored, setting, dataset, run) as options:
            for line in _missing(stored):
                say(line)
            if lost := search_loop.recover(_running(stored)):
                say(f"interrupted before: {counted_words(lost, 'trial')}, to be tried again")
            _tested(stored, setting, dataset)
            settle, remains = _reference(stored, setting), storage.remaining(address)

            def watched(state: search_loop.State) -> None:
                hold.check()
                remains()
                settle()
                watch(state)

            end = search_loop.search(stored, setting, options, watched)
            settle(1)
            hold.check()
            _confirm(stored, setting, options, dataset, say)
            remains()
            _prune_weights(stored, options.weights)
        return Outcome(stored.frozen(), end)


@contextmanager
def _workplace(stored: Stored, setting: Setting, dataset: Dataset, run: Mapping[str, Any]) -> Iterator[Options]:
    from archcost.data import shared  # noqa: PLC0415  # loads torch

    beside = weights_folder.prepared(stored)
    with scratch.folder() as folder:
        shared.write(dataset, folder / "data.pt")
        time_s = float("inf") if run["time_s"] is None else run["time_s"]
        yield Options(
            run["trials"],
            time.monotonic() + time_s,
            time_s,
            run["workers"],
            run["threads"],
            setting.patience_s,
            folder,
            beside,
        )


def _missing(stored: Stored) -> Iterator[str]:
    """Yield which networks of the front have lost the weights that were kept of them."""
    file_of = weights_folder.files(stored)
    lost = [each.name for each in stored.front().members if not file_of(each.trial)[0].is_file()]
    if lost:
        folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
        yield f"no weights in {quoted(folder.name)} of {', '.join(lost)}: moved, or removed, since they were trained"


def _tested(stored: Stored, setting: Setting, dataset: Dataset) -> None:
    """Keep which test split a study is confirmed on, of which nothing else is known before; the same from its start on.

    Raises InputError where it is another one now.
    """
    from archcost.data.splits import fingerprint  # noqa: PLC0415  # loads torch

    if not setting.confirm.members:
        return
    now, kept = fingerprint(dataset.read_test()), remembered(stored.study, "test")
    if kept is None:
        remember(_running(stored), "test", now)
    elif kept != now:
        given = f"the test split of {dataset.source} has changed since the study began: fingerprint {now[:12]}"
        raise InputError(Mistake(f"{given}; allowed: {kept[:12]}, or another 'storage'"))


def _reference(stored: Stored, setting: Setting) -> Callable[..., None]:
    """Return what keeps the reference point as soon as it can be told, once for the whole study."""

    def settle(least: int = _FIRST) -> None:
        if stored.reference is not None:
            return
        found = stored.candidates()
        if len(found) >= least:
            remember(
                _running(stored), "reference", [_end(stored, setting, i, found) for i in range(len(stored.objectives))]
            )

    return settle


def _end(stored: Stored, setting: Setting, place: int, found: tuple[Candidate, ...]) -> float:
    """Return the far end of one objective: what guessing gives, a limit, or a tenth behind the worst so far."""
    name = stored.objectives[place][0]
    quantity, budget = QUANTITIES[name], setting.budget
    limits = budget.limits() if budget else {}
    if name in limits:
        return quantity.stored(limits[name])
    if (natural := worst(name, setting.gives.classes)) is not None:
        return quantity.stored(natural)
    return quantity.stored(_MARGIN * max(quantity.restored(each.values[place]) for each in found))


def _confirm(stored: Stored, setting: Setting, options: Options, dataset: Dataset, say: Callable[[str], None]) -> None:
    from archcost.data import shared  # noqa: PLC0415  # loads torch

    if not setting.confirm.members or time.monotonic() >= options.deadline or not stored.front().members:
        return
    shared.write_test(dataset, options.folder / "test.pt")
    confirm.confirm(_running(stored), setting, options, stored.front, say)


def _prune_weights(stored: Stored, folder: Path) -> None:
    """Remove the weights of trials that have no network on the front: they would only fill the disk.

    Only files are removed that the study says it has written, and that say so themselves.
    """
    from archcost.nets.weights import marked  # noqa: PLC0415  # loads torch

    wanted = {each.trial.number for each in stored.front().members}
    for each in stored.trials():
        file = folder / f"{each.number}.pt"
        mark: dict[str, str | int] = {"study": stored.identity, "trial": each.number}
        if each.number not in wanted and each.writes and file.is_file() and marked(file, mark):
            file.unlink(missing_ok=True)
