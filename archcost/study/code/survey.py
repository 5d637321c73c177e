"""What networks that code makes cost, asked of child processes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from archcost.models.load import Reference
from archcost.study import jobs
from archcost.study.plan import StudyPlan
from archcost.study.records.reasons import Reason
from archcost.study.workers import processes
from archcost.study.workers.messages import Counted, Failed, Refused
from archcost.study.workers.tasks import OfCode, Survey

_PATIENCE_S: Final = 120.0  # a preview does not wait longer for one network


def survey(plan: StudyPlan, references: Sequence[Reference]) -> Generator[Counted | Reason]:
    """Yield what each network costs in order, or why it is none; who stops asking ends the process."""
    assert plan.code is not None or not references  # code runs with consent alone
    networks = [each for each in (jobs.network(plan, one) for one in references) if isinstance(each, OfCode)]
    done = 0
    while done < len(networks) and plan.code is not None:
        job = Survey(tuple(networks[done:]), plan.memory_at, plan.code)
        for event in processes.told(job, min(plan.spec.study.search.patience, _PATIENCE_S)):
            match event:
                case Counted():
                    yield event
                case Refused() | Failed():
                    yield event.reason
                case _:
                    continue
            done += 1
