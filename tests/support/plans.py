"""Plans of small studies, on data that are made here: nothing is downloaded, and the fake target measures."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Any, Final

from datasets_small import images
from teams import lonely

from archcost.config import document
from archcost.data.splits import Dataset
from archcost.models.load import Model
from archcost.study.options import Options, Workplace
from archcost.study.plan import StudyPlan, settle
from archcost.study.spec import StudySpec, read_study

_STUDY: Final = {
    "models": [{"family": "bottleneck", "block": "basic", "depths": [1], "widths": [{"int": [4, 12]}]}],
    "data": {"name": "digits"},
    "objectives": [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 2.0}],
    "fit": {"epochs": 2, "rungs": [1, 2]},
}
FRACTAL: Final = {"family": "fractal", "columns": 2, "widths": [4, 8], "drop_path": {"global": 0.5}}
"""A template without domains, whose two columns are trained together and can be alone."""
WORKPLACE: Final = Workplace(Options(4, inf, 2, 1, 60.0), inf, Path("folder"), Path("weights"), lonely())
"""Where a run works that has all the time."""


def specified(**changes: Any) -> StudySpec:
    """Return the study of a file with these keys changed."""
    return read_study(document.load(json.dumps({**_STUDY, **changes}), "small.yaml"))


def planned(dataset: Dataset | None = None, **changes: Any) -> StudyPlan:
    """Return the plan of a study with these keys changed; dataset: stripes of 8 by 8 if left out."""
    return settle(specified(**changes), dataset or images())


def drawn(plan: StudyPlan) -> Model:
    """Return the first network of a study's space."""
    space = plan.spec.space
    found = plan.model(space.tree(next(iter(space.grid()))))
    assert isinstance(found, Model)
    return found
