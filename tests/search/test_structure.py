"""The structure of define-by-run spaces, learnt from trials alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archcost.search.domains import Choice, Draw, Pick, Point, Real, Scalar, Whole, at_random, sample
from archcost.search.optuna_studies.parameters import Parameter, Table, parameter
from archcost.search.optuna_studies.structure import CHANGED, Leaf, Row, learn, space


def distribution(domain: Whole | Real | Choice) -> BaseDistribution:
    match domain:
        case Choice():
            return CategoricalDistribution(domain.options)
        case Real():
            return FloatDistribution(domain.low, domain.high)
        case Whole():
            return IntDistribution(domain.low, domain.high)


def rows(draws: Sequence[Draw], seed: int = 0) -> list[Row]:
    """Return trials at random points, one of each space that is drawn from."""
    chance, table, found = random.Random(seed), Table(), []
    for draw in draws:
        had, point = dict[str, Parameter](), Point()

        def pick(
            name: str, domain: Whole | Real | Choice, had: dict[str, Parameter] = had, point: Point = point
        ) -> Scalar:
            made = parameter(table, name, distribution(domain))
            had[made.label], value = made, at_random(made.domain, chance)
            point[made.label] = value
            return domain.options[int(value or 0)] if isinstance(domain, Choice) else value

        draw(pick)
        found.append(Row(point, had))
    return found


def names(point: Mapping[str, Scalar]) -> set[str]:
    """Return the names of a point's parameters."""
    return {label.partition("\0")[0] for label in point}


def nested(pick: Pick) -> object:
    """Build a point whose parameters depend on an option, and then on an integer."""
    rate = pick("rate", Real(0.0, 1.0))
    if pick("model", Choice(("deep", "wide"))) == "wide":
        return rate, pick("width", Whole(1, 9))
    depth = pick("depth", Whole(1, 4))
    assert isinstance(depth, int)
    return rate, [pick(f"layer{place}", Choice((0, 1, 2))) for place in range(depth)]


def two(pick: Pick) -> object:
    """Build a point one of whose parameters depends on two others."""
    return pick("a", Choice((0, 1))) == 1 and pick("b", Choice((0, 1))) == 1 and pick("both", Whole(0, 5))


def ranged(pick: Pick) -> object:
    """Build a point in which the range of a parameter depends on another."""
    return pick("x", Whole(0, 3) if pick("a", Choice((0, 1, 2))) == 2 else Whole(10, 30))


@pytest.mark.parametrize("draw", [nested, two, ranged])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_learnt_is_the_space(draw: Draw, seed: int) -> None:
    """Each point that is drawn from what was learnt is one that the space itself has, with its domains."""
    learnt, chance = space(learn(rows([draw] * 150, seed)), {}), random.Random(seed)
    for _ in range(200):
        domains: dict[str, object] = {}
        point = Point()

        def pick(
            label: str, domain: Whole | Real | Choice, point: Point = point, domains: dict[str, object] = domains
        ) -> Scalar:
            domains[label], point[label] = domain, at_random(domain, chance)
            return point[label]

        learnt(pick)
        given = {label.partition("\0")[0]: value for label, value in point.items()}
        asked: dict[str, object] = {}

        def true(
            name: str, domain: Whole | Real | Choice, given: Point = given, asked: dict[str, object] = asked
        ) -> Scalar:
            value = given[name]
            asked[name] = domain if not isinstance(domain, Choice) else Choice(tuple(range(len(domain.options))))
            return domain.options[int(value or 0)] if isinstance(domain, Choice) else value

        draw(true)
        assert asked == {label.partition("\0")[0]: domain for label, domain in domains.items()}


def test_a_flat_space_is_one_leaf() -> None:
    """Without conditions there are no questions."""

    def flat(pick: Pick) -> object:
        return pick("a", Whole(0, 3)), pick("b", Real(0, 1))

    assert isinstance(learn(rows([flat] * 9)), Leaf)


def test_code_that_changed_is_noticed() -> None:
    """A parameter that all newer trials have is part of the space, whatever older ones had."""

    def before(pick: Pick) -> object:
        return pick("a", Real(0, 1)), pick("b", Whole(0, 9))

    def after(pick: Pick) -> object:
        return before(pick), pick("new", Whole(0, 9))

    learnt = space(learn(rows([*[before] * 40, *[after] * CHANGED])), {})
    assert [{"a", "b", "new"}] * 50 == [names(sample(learnt, random.Random(seed))) for seed in range(50)]


def test_what_nothing_explains_is_as_it_was_last() -> None:
    """Of trials that are equal in all that they share, the newest says what else there is."""

    def one(pick: Pick) -> object:
        return pick("a", Choice((0,))), pick("x", Whole(0, 9))

    def other(pick: Pick) -> object:
        return pick("a", Choice((0,))), pick("y", Whole(0, 9))

    learnt = space(learn(rows([one, other, one, other])), {})
    assert {"a", "y"} == names(sample(learnt, random.Random(0)))


def test_options_decide_rather_than_numbers() -> None:
    """If an option and a number tell two trials apart equally, the option is taken to decide."""
    for seed in range(9):
        found = rows([nested] * 9, seed)
        kinds = {row.point[label] for row in found for label in row.point if label.startswith("model")}
        if len(kinds) == 2:
            learnt = learn(found)
            assert not isinstance(learnt, Leaf)
            assert learnt.question.label.startswith("model")


def test_given_values_stay() -> None:
    """A domain that is given takes the place of the one that was learnt, also in questions."""
    found = rows([nested] * 60)
    (label,) = {label for row in found for label in row.point if label.startswith("model")}
    learnt = space(learn(found), {label: Choice((1,))})
    assert {frozenset({"rate", "model", "width"})} == {
        frozenset(names(sample(learnt, random.Random(seed)))) for seed in range(20)
    }
