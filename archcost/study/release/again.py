"""A study's file, read again for a release: its data, and its code with consent."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from archcost.data import own as own_data
from archcost.data.splits import Dataset, Split
from archcost.models.load import Model
from archcost.study.code import answers, digests
from archcost.study.code.consent import Consent, consented
from archcost.study.phases.examples import extended
from archcost.study.records.stored import Stored
from archcost.study.release.material import (
    Judge,
    Material,
    Predictor,
    check_more,
    check_search,
    check_test,
    material,
)
from archcost.study.release.weights import Offered, Source
from archcost.study.spec import StudySpec, load_study
from archcost.study.workers import inquiries, own
from archcost.study.workers.tasks import Code
from archcost.training.context import Context, handed
from archcost.training.score import Score


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """A study with its data; code: where that of the user's own is, None if it names none."""

    spec: StudySpec
    dataset: Dataset
    code: Code | None

    @property
    def offered(self) -> Offered | None:
        """What code that makes a network gets, None if the study names no code."""
        if self.code is None:
            return None
        return Offered(Path(self.code.folder), self.dataset.classes, self.dataset.input)

    def material(self, stored: Stored, source: Source) -> Material:
        """Return the data of a network's weights, checked to be the study's; if they are confirmed, its test split too.

        Raises InputError if they are others.
        """
        check_search(stored, self.dataset)
        recurrent = isinstance(source.model, Model) and source.model.steps is not None
        found = material(self._trained_with(source), self._pixels, recurrent=recurrent)
        if source.seed is not None:
            check_test(stored, self.dataset)
        return replace(found, judge=self._judge())

    def _trained_with(self, source: Source) -> Dataset:
        """Return the data with which weights were trained: the study's, or those of confirming with more examples."""
        if not source.extent.examples:
            return self.dataset
        found = replace(extended(self.spec, source.extent.examples), read_test=self.dataset.read_test)
        check_more(source, found)
        return found

    def _pixels(self) -> Dataset:
        """Return the same data, each image as an image."""
        data = self.spec.study.data.model_copy(update={"read_as": "image"})
        study = self.spec.study.model_copy(update={"data": data})
        return answers.with_data(replace(self.spec, study=study), self.code)[0]

    def _judge(self) -> Judge | None:
        fit, code = self.spec.study.fit, self.code
        if fit.evaluate is None or code is None:
            return None
        name = fit.evaluate
        context = Context(fit.seed, "cpu", torch.get_num_threads(), fit.epochs, args=fit.args)

        def judge(predict: Predictor, dataset: Dataset, split: Split) -> Score:
            return own.evaluated(predict, handed(dataset, split), name, code, context)

        return judge


def again(file: str | os.PathLike[str], stored: Stored, consent: Consent) -> Again:
    """Return a study's file with its data, as it is stored.

    Data that are no tensors are made by their code in this process. Raises InputError for all that is wrong, and for
    code without consent, or that has changed since the study ran.
    """
    spec = load_study(file)
    dataset, code = answers.with_data(spec, consented(spec, allow_code=consent.allow_code))
    if code is not None and not consent.code_changed:
        digests.refuse_other_network(digests.known(stored.study), code.files)
    if dataset.own is not None and dataset.loose and code is not None:
        dataset = own_data.again(dataset, inquiries.data(dataset.own.code, dataset.own.args, code))
    return Again(spec, dataset, code)
