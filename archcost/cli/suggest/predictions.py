"""What suggest says of predictions: what was picked by them, and how they agree with turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from archcost.units import duration

if TYPE_CHECKING:
    from archcost.profiling.suggest.forecast import Forecast

_OUTSIDE = "?"  # behind a ratio of a network that is not made of what was calibrated


def _by(found: Forecast | None) -> Literal["predicted_time", "macs"]:
    return "predicted_time" if found and found.original else "macs"


def as_dict(found: Forecast | None) -> dict[str, object]:
    """Return what JSON says of all changes; found: None if nothing is measured."""
    original = found and found.original
    return {
        "picked_by": _by(found),
        "not_predicted": found.why if found else "",
        "prediction": original and original.to_dict(),
    }


def row(found: Forecast | None, number: int) -> dict[str, object] | None:
    """Return what JSON says of one change."""
    prediction = found.changes.get(number) if found else None
    return prediction.to_dict() if prediction else None


def less(found: Forecast | None) -> str:
    """Return in words what is less of changes that are not shown."""
    return "save less" if found is None else "are predicted to save less time" if found.original else "save fewer MACs"


def column(found: Forecast | None, numbers: Sequence[int]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the cells of predicted ratios, both of none if nothing is predicted."""
    if found is None or found.original is None:
        return (), [()] * len(numbers)
    return ("predicted",), [(_ratio(found, number),) for number in numbers]


def _ratio(found: Forecast, number: int) -> str:
    ratio = found.ratio(number)
    assert ratio is not None  # all changes of a network are predicted, or none
    return f"{ratio:.2f}" + _OUTSIDE * (not found.changes[number].in_domain)


def words(found: Forecast | None) -> Iterator[str]:
    """Yield by what the changes that were measured were picked, and why if not by prediction."""
    if found is None:
        return
    if found.original is None:
        yield f"Picked by the MACs that they save, not by predicted time: {found.why}"
        return
    yield f"Picked by predicted time saved; the network itself is predicted at {duration(found.original.median_s)}."
    if not all(each.in_domain for each in found.changes.values()):
        yield f"{_OUTSIDE}: predicted, though not made of what was calibrated."
