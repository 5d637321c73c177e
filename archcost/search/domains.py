"""Domains: the sets of values in a study's templates, with their sizes and neighbours."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

Scalar: TypeAlias = None | bool | int | float | str

GRID: int = 5
"""Values that stand for a float's domain in a grid."""
_BLUR: Final = (-3.0, -0.5)
"""Logarithms of the least and the greatest deviation of what is near a number, as a share of its domain."""


@final
@dataclass(frozen=True, slots=True)
class Whole:
    """The integers low, low + step, ... up to high; `log`: small ones as often as large ones (then step is 1)."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """The largest value: high, or where the steps do not reach it, what lies below."""
        return self.low + (self.size - 1) * self.step

    def grid(self) -> tuple[int, ...]:
        """Return every value; raises OverflowError if there are more than a range holds."""
        return tuple(range(self.low, self.high + 1, self.step))

    def neighbours(self, value: Scalar) -> tuple[int, ...]:
        """Return the values next to one: a step down and up, or of a log domain also the half and the double."""
        assert isinstance(value, int)
        steps = {value - self.step, value + self.step}
        if self.log:
            steps |= {value // 2, value * 2}
        return tuple(sorted(each for each in steps if self.low <= each <= self.high and each != value))

    def moved(self, value: Scalar, by: float) -> int:
        """Return the value that lies a share of the domain above one, or below; at least a step away."""
        assert isinstance(value, int)
        if self.log:
            reached = round(value * math.pow(self.high / self.low, by))
        else:
            reached = value + self.step * round(by * (self.size - 1))
        if reached == value:
            reached += self.step if by > 0 else -self.step
        return min(self.last, max(self.low, reached))


@final
@dataclass(frozen=True, slots=True)
class Real:
    """The numbers from low to high; `log`: small ones as often as large ones."""

    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> float:
        """How many values there are: one, or without end."""
        return 1 if self.low == self.high else math.inf

    def grid(self) -> tuple[float, ...]:
        """Return five values from low to high, evenly spread, of a log domain in its logarithm."""
        if self.low == self.high:
            return (self.low,)
        shares = [i / (GRID - 1) for i in range(GRID)]
        inner = [self.at(share) for share in shares[1:-1]]
        return (self.low, *inner, self.high)

    def neighbours(self, value: Scalar) -> tuple[float, ...]:
        """Return the values a tenth of the domain below and above one."""
        assert isinstance(value, int | float)
        share = self._share(value)
        near = {self.at(min(1.0, max(0.0, share + move))) for move in (-0.1, 0.1)}
        return tuple(sorted(each for each in near if each != value))

    def moved(self, value: Scalar, by: float) -> float:
        """Return the value that lies a share of the domain above one, or below."""
        assert isinstance(value, int | float)
        return self.at(min(1.0, max(0.0, self._share(value) + by)))

    def at(self, share: float) -> float:
        """Return the value that lies a share of the domain above its low end, of a log domain in its logarithm."""
        if self.log:
            reached: float = self.low * (self.high / self.low) ** share
            return min(self.high, max(self.low, reached))  # rounding may leave the domain
        return self.low + (self.high - self.low) * share

    def _share(self, value: float) -> float:
        if self.low == self.high:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values without an order, none of them twice."""

    options: tuple[Scalar, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.options)

    def grid(self) -> tuple[Scalar, ...]:
        """Return every value."""
        return self.options

    def neighbours(self, value: Scalar) -> tuple[Scalar, ...]:
        """Return all the others: none is nearer than another."""
        return tuple(option for option in self.options if not _same(option, value))


def _same(one: Scalar, other: Scalar) -> bool:
    return type(one) is type(other) and one == other  # 1, 1.0 and true are different options


Domain: TypeAlias = Whole | Real | Choice
Pick: TypeAlias = Callable[[str, Domain], Scalar]
"""Gives the value of the parameter of that name: a sampler, or what was drawn before."""
Draw: TypeAlias = Callable[[Pick], object]
"""Picks the parameters of a point in a fixed order, each once; which there are may depend on values picked before."""
Point: TypeAlias = dict[str, Scalar]
"""The values of a point's parameters by name, in the order in which they were picked."""


def active(draw: Draw, known: Point, missing: Callable[[str, Domain], Scalar]) -> tuple[Point, dict[str, Domain]]:
    """Return the parameters that a point has and their domains: known values, and `missing`'s if there is none.

    A known value that is not in the domain, as after a change of an earlier parameter, is missing too.
    """
    point: Point = {}
    domains: dict[str, Domain] = {}

    def pick(name: str, domain: Domain) -> Scalar:
        domains[name] = domain
        point[name] = known[name] if name in known and contains(domain, known[name]) else missing(name, domain)
        return point[name]

    draw(pick)
    return point, domains


def contains(domain: Domain, value: Scalar) -> bool:
    """Return whether a value is one of a domain's."""
    match domain:
        case Choice():
            if value not in domain.options:  # asked most often of all: first what takes least
                return False
            equal = domain.options[domain.options.index(value)]
            return type(equal) is type(value) or any(_same(option, value) for option in domain.options)
        case Whole():
            if not isinstance(value, int) or isinstance(value, bool):
                return False
            return domain.low <= value <= domain.high and (value - domain.low) % domain.step == 0
        case Real():
            return isinstance(value, int | float) and not isinstance(value, bool) and domain.low <= value <= domain.high


def values_of(domain: Domain) -> Sequence[Scalar]:
    """Return the values of a domain's grid; those of integers are not held, however many they are."""
    return range(domain.low, domain.high + 1, domain.step) if isinstance(domain, Whole) else domain.grid()


def at_random(domain: Domain, chance: random.Random) -> Scalar:
    """Return a value of a domain, each as often as another, of a log domain in its logarithm."""
    match domain:
        case Choice():
            return chance.choice(domain.options)
        case Real():
            return domain.at(chance.random())
        case Whole(log=True):
            drawn = math.exp(chance.uniform(math.log(domain.low - 0.5), math.log(domain.high + 0.5)))
            return min(domain.high, max(domain.low, round(drawn)))
        case Whole():
            return domain.low + domain.step * chance.randrange(domain.size)


def sample(draw: Draw, chance: random.Random) -> Point:
    """Return a point drawn at random."""
    return active(draw, {}, lambda _, domain: at_random(domain, chance))[0]


def points(draw: Draw) -> Iterator[Point]:
    """Yield every point in order, the last parameter changing fastest; five values stand for a float's domain."""
    digits: list[int] = []
    while True:
        point, sizes = _at(draw, digits)
        yield point
        digits += [0] * (len(sizes) - len(digits))
        while digits and digits[-1] + 1 == sizes[len(digits) - 1]:
            digits.pop()
        if not digits:
            return
        digits[-1] += 1


def _at(draw: Draw, digits: Sequence[int]) -> tuple[Point, list[int]]:
    """Return the point whose first parameters have the values at these places, the others their first one."""
    point: Point = {}
    sizes: list[int] = []

    def pick(name: str, domain: Domain) -> Scalar:
        values = values_of(domain)
        place = digits[len(sizes)] if len(sizes) < len(digits) else 0
        sizes.append(len(values))
        point[name] = values[place]
        return values[place]

    draw(pick)
    return point, sizes


def blurred(draw: Draw, point: Point, chance: random.Random) -> Iterator[Point]:
    """Yield points near one without end: each of its numbers is moved with a chance of a half, options stay.

    How far, as a share of its domain, is normal, with a deviation that is drawn for each point in its logarithm.
    """
    while True:
        deviation = 10 ** chance.uniform(*_BLUR)

        def moved(name: str, domain: Domain, deviation: float = deviation) -> Scalar:
            if name not in point or not contains(domain, point[name]):
                return at_random(domain, chance)
            if isinstance(domain, Choice) or chance.random() < 0.5:
                return point[name]
            return domain.moved(point[name], chance.gauss(0, deviation))

        yield active(draw, {}, moved)[0]


def neighbours(
    draw: Draw, point: Point, chance: random.Random, known: Callable[[Point], bool] = lambda _: False
) -> Iterator[Point]:
    """Yield every point that differs from one in one parameter's next value, in random order.

    Parameters that such a point has and the other one has not, or not with a value of the domain, are drawn at random.
    known: whether a point was drawn before: it need not be drawn again to be left out.
    """

    def missing(_: str, domain: Domain) -> Scalar:
        return at_random(domain, chance)

    point, domains = active(draw, point, missing)
    moves = [(name, value) for name, domain in domains.items() for value in domain.neighbours(point[name])]
    chance.shuffle(moves)
    for name, value in moves:
        near = {**point, name: value}
        if not known(near):
            yield active(draw, near, missing)[0]
