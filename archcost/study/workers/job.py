"""What a child process does: a trial, a measurement, or a question to the user's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

from archcost.errors import named, one_line
from archcost.study.records.reasons import Reason
from archcost.study.workers import inquiries, trial
from archcost.study.workers.failures import reason_of
from archcost.study.workers.messages import Done, Event, Failed
from archcost.study.workers.network import blueprint, with_layers
from archcost.study.workers.tasks import (
    Describe,
    Foresee,
    Import,
    Job,
    Make,
    Measure,
    MeasureTrial,
    ReadData,
    Survey,
    Train,
)

Tell: TypeAlias = Callable[[Event], None]
GoesOn: TypeAlias = Callable[[], bool]
"""Waits for the study's reply: whether the trial goes on."""


def run(job: Job, tell: Tell, goes_on: GoesOn) -> None:
    """Do a job and tell how it goes; its last event is Done or Failed, if the process lives so long."""
    try:
        match job:
            case Train():
                trial.run(job, tell, goes_on)
            case Foresee():
                trial.foresee(job.train, tell)
            case Measure():
                networks = [each for one in job.networks for each in blueprint(one, job.code).measurable()]
                trial.measure(with_layers(networks, job.layers), 0, job.way, tell)
            case MeasureTrial():
                trial.measure_trial(job, tell, goes_on)
            case Survey():
                inquiries.survey(job, tell, reason_of)
            case Import():
                inquiries.imports(job, tell)
            case ReadData():
                inquiries.read_data(job, tell)
            case Describe():
                inquiries.describe(job, tell)
            case Make():
                inquiries.make(job)
            case _:
                assert_never(job)
        tell(Done())
    except Exception as error:  # the one place where a trial's errors end; a signal is the parent's to tell
        tell(Failed(reason_of(error)))
    except BaseException as error:  # an exit, or an interrupt that code of the user's own raises
        if job.code is None:
            raise
        tell(Failed(Reason("code", one_line(named(error), 2000), type(error).__name__)))
