"""Optuna's parameters as domains, and their values as the domains have them.

A categorical parameter has the places of its choices, which may be anything; a float with steps has their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archcost.search.domains import Choice, Domain, Real, Scalar, Whole

_BETWEEN: Final = "\0"  # between a parameter's name and what tells it from another one of that name


@final
@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an Optuna study: its name, what its values are drawn from, and that as a domain.

    label: what it is called in a point; two of one name whose values are not comparable have two.
    """

    name: str
    distribution: BaseDistribution
    label: str
    domain: Domain

    def inside(self, value: Any) -> Scalar:  # noqa: ANN401  # a choice may be anything
        """Return a value as the domain has it."""
        match self.distribution:
            case CategoricalDistribution():
                return int(self.distribution.to_internal_repr(value))
            case FloatDistribution(low=low, step=step) if step is not None:
                steps: float = (value - low) / step
                return round(steps)
            case FloatDistribution():
                return float(value)
            case _:
                return int(value)

    def outside(self, value: Scalar) -> Any:  # noqa: ANN401  # a choice may be anything
        """Return a value as Optuna has it, the inverse of `inside`."""
        match self.distribution:
            case CategoricalDistribution():
                assert isinstance(value, int)
                return self.distribution.choices[value]
            case FloatDistribution(low=low, high=high, step=step) if step is not None:
                assert isinstance(value, int)
                return min(high, low + value * step)
            case _:
                return value


Table: TypeAlias = dict[str, list[Parameter]]
"""The parameters met so far, by their names: there may be several of one name, if its range changed."""


def parameter(table: Table, name: str, distribution: BaseDistribution) -> Parameter:
    """Return the parameter of a name and a distribution, the same object each time; the table holds it from then on."""
    held = table.setdefault(name, [])
    for each in held:
        if each.distribution == distribution:
            return each
    held.append(_made(name, distribution))
    return held[-1]


def _made(name: str, distribution: BaseDistribution) -> Parameter:
    match distribution:
        case CategoricalDistribution(choices=choices):
            # choices that are equal have one place in a storage
            places = sorted({int(distribution.to_internal_repr(choice)) for choice in choices})
            return Parameter(name, distribution, f"{name}{_BETWEEN}{choices}", Choice(tuple(places)))
        case FloatDistribution(low=low, high=high, step=step) if step is not None:
            return Parameter(name, distribution, f"{name}{_BETWEEN}{low}+{step}", Whole(0, round((high - low) / step)))
        case FloatDistribution(low=low, high=high, log=log):
            return Parameter(name, distribution, name, Real(low, high, log))
        case IntDistribution(low=low, high=high, log=log, step=step):
            return Parameter(name, distribution, name, Whole(low, high, step, log))
        case _:
            raise TypeError(f"{type(distribution).__name__} is not one of Optuna's distributions")


def only(domain: Domain, value: Scalar) -> Domain:
    """Return the domain of one value of another one, of the same kind."""
    match domain:
        case Choice():
            return Choice((value,))
        case Real():
            assert isinstance(value, int | float)
            return Real(float(value), float(value), domain.log)
        case Whole():
            assert isinstance(value, int)
            return Whole(value, value, domain.step, domain.log)
        case _:
            assert_never(domain)
