"""The time that a run leaves for what follows its search: measuring and confirming."""

from __future__ import annotations

from collections.abc import Sequence

from archcost.latency.statistics import median
from archcost.study.options import Options
from archcost.study.phases.shortlist import MEMBERS
from archcost.study.plan import StudyPlan
from archcost.study.records import trials


def reserve_s(found: Sequence[trials.Trial], plan: StudyPlan, options: Options) -> float:
    """Return the time that measuring what was predicted, and confirming the front, will take, from what trials took.

    At most half of all.
    """
    took = [each.ended.training_s for each in found if each.state == "complete" and each.ended and each.ended.seconds]
    confirm = plan.spec.study.confirm
    due_s = sum(plan.setups[place].plan.time_s for place in plan.predicts) * (confirm.members or MEMBERS)
    if not took or not confirm.members:
        return min(due_s, options.time_s / 2) if took else 0.0
    rounds = confirm.members * -(-confirm.seeds // options.workers)
    measured_s = sum(way.plan.time_s for way in plan.setups) * confirm.members
    return min(due_s + rounds * plan.lengthened * median(took) + measured_s, options.time_s / 2)
