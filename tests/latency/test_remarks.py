"""Remarks on several latencies: each reported once, with the rows it is about, and nothing of them lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from measurements import burst, noisy, samples

from archcost.latency.remarks import names, refusals, remarks
from archcost.latency.samples import Failure, Plan, Way
from archcost.latency.summary import Latency, summarise

WAY = Way("cpu", "eager", 1, "float32", 2)


def waited(batch: int, waited_s: float) -> Latency:
    """Return a latency whose threads waited for a share of the time."""
    return summarise(samples([burst(1.0, waited_s=waited_s)] * 8, Plan(batch=batch)))


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([], ()),
        ([WAY], ("",)),
        ([WAY, WAY], ("", "")),
        ([WAY, replace(WAY, batch=8)], ("batch 1", "batch 8")),
        ([WAY, replace(WAY, batch=8, threads=1)], ("batch 1, 2 threads", "batch 8, 1 thread")),
        ([WAY, replace(WAY, runtime="compile", threads=None)], ("cpu/eager, 2 threads", "cpu/compile")),
    ],
)
def test_a_row_is_named_by_what_tells_it_apart(ways: list[Way], expected: tuple[str, ...]) -> None:
    """What all have in common is not repeated."""
    assert expected == names(ways)


def test_doubts_that_differ_in_numbers_are_one() -> None:
    """The range of the numbers stands in it, and the rows it is about; a row that is stable is not among them."""
    rows = [waited(1, 0.2), waited(2, 0.0), waited(4, 0.1)]
    words = "contention: 10.0% to 20.0% of the sampling time went by waiting for a core"
    assert [f"not stable, batch 1; batch 4: {words}"] == [str(remark) for remark in remarks([("", rows)])]


def test_doubts_of_all_rows_name_none() -> None:
    """If no row is without it, that is said; if there is one row only, nothing is."""
    words = "contention: 20.0% of the sampling time went by waiting for a core"
    one, both = [waited(1, 0.2)], [waited(1, 0.2), waited(8, 0.2)]
    assert [f"not stable: {words}"] == [str(remark) for remark in remarks([("", one)])]
    assert [f"not stable, all: {words}"] == [str(remark) for remark in remarks([("", both)])]


def test_sides_stand_before_their_rows() -> None:
    """Of networks beside each other, each doubt is told with the network it is about."""
    stable, shaky = waited(1, 0.0), waited(1, 0.2)
    assert [("B",)] == [remark.rows for remark in remarks([("A", [stable]), ("B", [shaky])])]
    assert [("B batch 8",)] == [
        remark.rows for remark in remarks([("A", [stable, waited(8, 0)]), ("B", [stable, waited(8, 0.1)])])
    ]


def test_a_time_that_is_enough_for_all_is_told() -> None:
    """Of several times that would do, the longest does for all rows."""
    rows = [summarise(samples([[1.0]] * 2, Plan(batch=1))), summarise(samples([[4.0]] * 3, Plan(batch=8)))]
    (remark,) = remarks([("", rows)])
    assert remark.words == "too few blocks: 2 to 3, at least 6 needed, for which --time 58s may do"


def test_every_doubt_is_told() -> None:
    """A row with several doubts is named at each of them."""
    row = summarise(replace(noisy(0.001, noise=1.0), warmup_s=(0.1, 0.2)))
    told = remarks([("", [row])])
    assert [(doubt.kind, words) for doubt, words in zip(row.doubts, row.doubt_words, strict=True)] == [
        (remark.kind, remark.words) for remark in told
    ]
    assert "; ".join(row.doubt_words) == row.why
    assert len(row.doubts) > 1


def test_refusals_are_told_once() -> None:
    """A reason stands behind all ways it came in, the first of them in full."""
    other, third = replace(WAY, batch=8), replace(WAY, target="cuda", threads=None)
    failures = [Failure(WAY, "no power"), Failure(other, "no power"), Failure(third, "no GPU")]
    assert ("cpu/eager, batch 1, float32, 2 threads; batch 8: no power", "cuda/eager, batch 1, float32: no GPU") == (
        refusals(failures)
    )
