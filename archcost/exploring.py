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

import optuna

from archcost import __version__, confirming, scratch, storage, studying
from archcost.errors import InputError, Mistake, quoted
from archcost.front import Candidate
from archcost.objectives import QUANTITIES, worst
from archcost.setting import Setting
from archcost.stored import SCHEMA, Stored, find
from archcost.studying import Options, Watch
from archcost.trials import remember, remembered

if TYPE_CHECKING:
    from archcost.data import Dataset

_MARGIN: Final = 1.1  # the reference lies a tenth behind the worst of the first trials
_FIRST: Final = 10
_PATIENCE_S: Final = 600.0


def begin(setting: Setting, url: str) -> Stored:
    """Return the study of a setting, made where there is none; raises InputError where the storage has another."""
    store = storage.opened(url, create=True)
    names = [each.study_name for each in optuna.study.get_all_study_summaries(store, include_best_trial=False)]
    about = {"schema": SCHEMA, "archcost": __version__, "name": setting.spec.name, "objectives": setting.objectives,
             "labels": setting.labels, "same": setting.same()}  # fmt: skip
    if not names:
        study = optuna.create_study(
            study_name=setting.spec.name, storage=store, directions=["minimize"] * len(setting.objectives)
        )
        with warnings.catch_warnings():  # experimental since 3.2: names for optuna-dashboard, nothing here needs them
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(setting.labels))
        remember(study, "about", about)
        return find(url)
    found = find(url)
    kept = remembered(found.study, "about")["same"]
    fresh = json.loads(json.dumps(about["same"]))
    if changed := [key for key in fresh if fresh[key] != kept.get(key)]:
        raise InputError(
            Mistake(
                f"{', '.join(map(quoted, changed))} of the study changed since {quoted(storage.shown(url))} was made; "
                "allowed: another 'storage', or the study as it was (trials, time and confirm may change)"
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: why it stopped asking for points."""

    stored: Stored
    why: str


def explore(
    setting: Setting, dataset: Dataset, url: str, run: Mapping[str, Any], watch: Watch, say: Callable[[str], None]
) -> Outcome:
    """Run a study to its end; run: `trials`, `time_s` (None: without end), `workers`, `threads`.

    Raises InputError where another process runs it, or its storage is another study's.
    """
    with storage.running(url), _workplace(setting, dataset, url, run) as options:
        stored = begin(setting, url)
        if lost := studying.recover(stored.study):
            say(f"{lost} trials were interrupted; their points are tried again")
        settle = _reference(stored, setting)

        def watched(state: studying.State) -> None:
            settle()
            watch(state)

        why = studying.search(stored.study, setting, options, watched)
        settle(1)
        _confirm(stored, setting, options, dataset, say)
        _prune_weights(stored, options.weights)
    return Outcome(stored, why)


def weights_folder(url: str, name: str) -> Path:
    """Return the folder of a study's trained weights: beside its file, of a database in the current folder."""
    file = storage.file_of(url)
    return file.with_suffix(".weights") if file else Path.cwd() / f"{name}.weights"


@contextmanager
def _workplace(setting: Setting, dataset: Dataset, url: str, run: Mapping[str, Any]) -> Iterator[Options]:
    from archcost import handing  # noqa: PLC0415  # loads torch

    beside = weights_folder(url, setting.spec.name)
    beside.mkdir(parents=True, exist_ok=True)
    with scratch.folder() as folder:
        handing.write(dataset, folder / "data.pt")
        time_s = float("inf") if run["time_s"] is None else run["time_s"]
        yield Options(
            run["trials"],
            time.monotonic() + time_s,
            time_s,
            run["workers"],
            run["threads"],
            _PATIENCE_S,
            folder,
            beside,
        )


def _reference(stored: Stored, setting: Setting) -> Callable[..., None]:
    """Return what keeps the reference point as soon as it can be told, once for the whole study."""

    def settle(least: int = _FIRST) -> None:
        if stored.reference is not None:
            return
        found = stored.candidates()
        if len(found) >= least:
            remember(
                stored.study, "reference", [_end(stored, setting, i, found) for i in range(len(stored.objectives))]
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
    from archcost import handing  # noqa: PLC0415  # loads torch

    if not setting.confirm.members or time.monotonic() >= options.deadline or not stored.front().members:
        return
    handing.write_test(dataset, options.folder / "test.pt")
    confirming.confirm(stored.study, setting, options, stored.front, say)


def _prune_weights(stored: Stored, folder: Path) -> None:
    """Remove the weights of trials that have no network on the front: they would only fill the disk."""
    wanted = {each.trial.number for each in stored.front().members}
    for file in folder.glob("*.pt"):
        if file.stem.isdigit() and int(file.stem) not in wanted:
            file.unlink(missing_ok=True)
