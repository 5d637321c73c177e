"""The sampler for Optuna's studies: Optuna's own cases, any space, any storage, nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase

from archcost.search.pareto_sampler import ParetoSampler


class TestAsOptunaTestsSamplers(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """The generic test cases that ship with Optuna."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        """Return what makes a sampler."""
        return ParetoSampler
