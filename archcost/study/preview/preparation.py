"""A study made ready: its code may run, its data are there, it can be searched and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from archcost.study import run
from archcost.study.code import answers
from archcost.study.code.consent import Consent, consented
from archcost.study.phases.examples import with_examples
from archcost.study.phases.foretold import foretold
from archcost.study.plan import StudyPlan, settle
from archcost.study.preview import outlook, probe
from archcost.study.records.database.addresses import Address
from archcost.study.spec import StudySpec
from archcost.study.warm_start import queue

if TYPE_CHECKING:
    from archcost.data.splits import Dataset


def planned(spec: StudySpec, address: Address, consent: Consent) -> tuple[StudyPlan, Dataset]:
    """Return the plan of a study and its data, of which nothing is tried yet.

    Raises InputError for all that is wrong, and without consent for code that it names.
    """
    code = consented(spec, allow_code=consent.allow_code)
    run.check(address)
    dataset, code = answers.with_data(spec, code)
    plan = settle(spec, dataset, code)
    plan = replace(plan, code_changed=consent.code_changed, extent=with_examples(spec, plan.extent, plan.examples))
    foretold(plan)  # it refuses what is to be predicted and cannot be
    return plan, dataset


def prepared(
    spec: StudySpec, address: Address, consent: Consent, say: Callable[[str], None] = lambda _: None
) -> tuple[StudyPlan, Dataset]:
    """Return the plan of a study and its data, after all was tried that a run needs; say: told who is waited for.

    Raises InputError as `planned` does, and TargetError if a way to measure does not work.
    """
    plan, dataset = planned(spec, address, consent)
    queue.starts(plan)
    probe.probe(plan, outlook.look(plan).typical, say)  # they refuse what cannot be searched or measured
    return plan, dataset
