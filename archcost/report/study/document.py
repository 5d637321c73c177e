"""A study's report, gathered from its storage as typed blocks."""

from __future__ import annotations

from archcost.report.blocks import Document
from archcost.report.study.facts import found as read
from archcost.report.study.front import front_section
from archcost.report.study.latency import latency_section
from archcost.report.study.method import method_section
from archcost.report.study.parameters import parameters_section
from archcost.report.study.progress import progress_section
from archcost.report.study.trials import data, trials_section
from archcost.report.study.verdict import head, verdict_section
from archcost.study.records import tables
from archcost.study.records.stored import Stored


def study(stored: Stored, command: str = "", runs: bool | None = None) -> Document:
    """Return the report of a study, the same for the same storage; raises InputError if no trial is complete.

    command: what made it, '' if that is not known; runs: whether a process runs the study, None if that is not known.
    """
    found = read(stored, runs)
    rows = tables.rows(found.trials, found.now, stored.objectives, stored.ways, stored.limits)
    return Document(
        title=stored.name,
        kind="study",
        head=head(found, command),
        sections=(
            verdict_section(found),
            front_section(found),
            progress_section(found),
            parameters_section(found),
            latency_section(found),
            trials_section(found, rows),
            method_section(found),
        ),
        data=data(found, rows),
        rows="trials",
    )
