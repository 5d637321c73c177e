"""A study from Python: read from its file or a mapping, run, and asked for what came of it."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from archcost.config.document import Document
from archcost.errors import InputError, Mistake, one_line, visible
from archcost.study.code.consent import Consent
from archcost.study.options import Wanted, options
from archcost.study.records import tables
from archcost.study.records.best.advice import advise
from archcost.study.records.best.choice import Choice, Field, within
from archcost.study.records.database import holder
from archcost.study.records.front import Candidate
from archcost.study.records.interruption import as_left
from archcost.study.records.source import address_of
from archcost.study.records.stored import Stored, find
from archcost.study.spec import load_study, read_study
from archcost.units import parse_count, parse_duration, parse_latency, parse_size

if TYPE_CHECKING:
    import pandas as pd

_NO_FILE: Final = "study"  # what a mapping is called in messages; its name is then that of the current folder
_REASONS: Final = 10  # why trials ended early, most often first
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """A network of a study's front; objectives and intervals in base units, under names with their unit.

    name: trial, column and way, 12/2@int8; way: its name, None of the first; intervals: of a confirmed one, else empty;
    test: the mean over seeds on the test split, None if it was not tested; probability: of being on the front, None if
    it is not confirmed; seeds: trainings of it alone; why: what is against trusting its latencies; shared_weights: a
    column that was not trained alone.
    """

    name: str
    way: str | None
    family: str | None
    objectives: Mapping[str, float]
    intervals: Mapping[str, list[float]]
    test: float | None
    confirmed: bool
    seeds: int
    probability: float | None
    why: tuple[str, ...]
    shared_weights: bool
    params: int
    macs: int
    memory_bytes: int
    digest: str
    point: Mapping[str, Any]
    yaml: str


class Study:
    """A search that trains: `archcost.Study("study.yaml").run().front()`.

    source: the study's file or its URL, or what it would hold as a mapping, with paths from the current folder on;
    allow_code: consent to run the code that it names. Works in scripts without `if __name__ == "__main__"` and in
    notebooks, on any thread. Raises InputError with every mistake found.
    """

    def __init__(self, source: str | os.PathLike[str] | Mapping[str, Any], allow_code: bool = False) -> None:
        self.allow_code = allow_code
        self._spec = read_study(_document(source)) if isinstance(source, Mapping) else load_study(source)
        self._typed = "" if isinstance(source, Mapping) else shlex.quote(os.fspath(source))
        self._folder = Path.cwd() if isinstance(source, Mapping) else Path(source).parent.resolve()
        self._address = address_of(self._spec, self._folder)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, storage={str(self._address)!r})"

    @property
    def name(self) -> str:
        """What tables and reports call it."""
        return self._spec.name

    def run(self, trials: int | None = None, time: float | str | None = None, workers: int = 1) -> Self:
        """Run the study, or go on with it where it was interrupted, and return it; what is said on the way is logged.

        trials: in all, those of earlier runs among them; time: the longest, seconds or text such as '10m', confirming
        included; workers: trials at once. What is left out is as the study says. A KeyboardInterrupt is passed on; no
        trial that had ended is lost. Raises InputError for what cannot be run, TargetError if nothing can be measured
        or all trials that ran failed.
        """
        from archcost.machine import physical_cores  # noqa: PLC0415  # with the next: a study that is read needs no torch
        from archcost.study import run  # noqa: PLC0415
        from archcost.study.preview import preparation  # noqa: PLC0415

        asked = Wanted(trials, _read("time", time, parse_duration), workers)
        plan, dataset = preparation.prepared(self._spec, self._address, Consent(self.allow_code))
        chosen = options(asked, self._spec.study.search, physical_cores())
        outcome = run.explore(plan, dataset, self._address, chosen, _unwatched, lambda line: _LOG.info(visible(line)))
        if not outcome.stored.front().members and (kind := run.failure(outcome)):
            raise kind("\n".join(run.vain(outcome, _REASONS)))
        return self

    def front(self) -> tuple[Member, ...]:
        """Return the networks that no other one beats in every objective, the best in the first objective first.

        Empty if no trial is complete yet; raises InputError if the study was not run at all.
        """
        stored = find(self._address)
        return tuple(_member(stored, each) for each in stored.front().members)

    def best(
        self,
        latency: float | str | None = None,
        size: int | str | None = None,
        macs: int | str | None = None,
        params: int | str | None = None,
        memory: int | str | None = None,
    ) -> Choice:
        """Return the network to take within a budget, as `archcost choose` does.

        latency: seconds, or text such as '5 ms'; size: bytes of parameters and buffers, or '2 MB'; macs, params:
        numbers, or '5M'; memory: bytes at the peak. Limits that are left out are the study's own. If no network keeps
        the budget, nothing is raised: `take` is None, and `nearest` the one that misses it by least. Raises InputError
        for what is no limit, and if no trial is complete.
        """
        stored = find(self._address)
        given = {
            "latency": _read("latency", latency, parse_latency),
            "weights": _read("size", size, parse_size),
            "macs": _read("macs", macs, parse_count),
            "params": _read("params", params, parse_count),
            "memory": _read("memory", memory, parse_size),
        }
        return advise(Field(stored, stored.front()), within(stored, given), self._typed)

    def frame(self) -> pd.DataFrame:
        """Return every trial and every column of one as a row, as `archcost study table` has them."""
        import pandas as pd  # noqa: PLC0415  # a study that is run or read does without

        stored = find(self._address)
        with stored.undamaged():
            every = as_left(stored.trials(), bool(stored.workers) or holder.runs(self._address))
            return pd.DataFrame(tables.rows(every, stored.front(), stored.objectives, stored.ways, stored.limits))


def _document(given: Mapping[str, Any]) -> Document:
    """Return a mapping as a document that is no file; raises InputError for values that YAML does not have."""
    try:
        tree = json.loads(json.dumps(dict(given), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        allowed = "allowed: texts, finite numbers, booleans, None, lists and mappings"
        raise InputError(Mistake(f"the study is no plain mapping: {one_line(error)}; {allowed}")) from None
    return Document(_NO_FILE, tree, {}, {})


def _read(name: str, value: float | str | None, parse: Callable[[str], float]) -> Any:  # noqa: ANN401  # as it is given
    """Return what a text means in base units; a number is in them already."""
    try:
        return parse(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InputError(Mistake(str(error), (name,))) from None


def _unwatched(_: object) -> None:
    """Nobody looks at how a study goes on."""


def _member(stored: Stored, each: Candidate) -> Member:
    sure = tables.sure(each, stored.objectives)
    return Member(
        name=each.name,
        way=each.way.name,
        family=each.trial.begun.family if each.trial.begun else None,
        objectives=tables.known(each, stored.objectives),
        intervals=tables.intervals(each, stored.objectives),
        test=sure["test"],
        confirmed=sure["confirmed"],
        seeds=sure["seeds"],
        probability=sure["probability"],
        why=tuple(each.why),
        shared_weights=each.shared,
        params=each.part.params,
        macs=each.part.macs,
        memory_bytes=each.part.memory_bytes,
        digest=each.part.digest,
        point=dict(each.trial.point),
        yaml=tables.yaml_of(each),
    )
