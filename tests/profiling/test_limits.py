"""budget.yaml: exact quantities with units, strict keys, every mistake at once and in its place."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.cli.schemas import committed
from archcost.config import document
from archcost.errors import InputError
from archcost.profiling.budget import UNITS, Budget, Limits, load_budget, read_budget
from archcost.units import parse_count, parse_latency, parse_size

ROOT = Path(__file__).parents[2]
COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SIZES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)
}


def read(text: str) -> Budget:
    """Return the budget of a text."""
    return read_budget(document.load(text, "b.yaml"))


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("params: 1000000", Budget(params=10**6)),
        ("params: 1.5M", Budget(params=1_500_000)),
        ("params: 0.5k", Budget(params=500)),
        ("params: '12'", Budget(params=12)),
        ("macs: 4.1 G", Budget(macs=4_100_000_000)),
        ("macs: 1T", Budget(macs=10**12)),
        ("macs: 1e6", Budget(macs=10**6)),
        ("macs: 9007199254740992", Budget(macs=2**53)),
        ("memory: 64 MB", Budget(memory_bytes=64 * 10**6)),
        ("memory: 64MiB", Budget(memory_bytes=64 * 2**20)),
        ("memory: 1.5 KiB", Budget(memory_bytes=1536)),
        ("weights: 4096", Budget(weights_bytes=4096)),
        ("weights: 10 B", Budget(weights_bytes=10)),
        ("latency: 5 ms", Budget(latency_s=0.005)),
        ("latency: 0.1us", Budget(latency_s=1e-7)),
        ("latency: 1.5 s", Budget(latency_s=1.5)),
        ("{params: 1M, macs: 50M, latency: 5 ms, memory: 64 MB}", Budget(10**6, 5 * 10**7, 64 * 10**6, None, 0.005)),
    ],
)
def test_limits_are_read_exactly(text: str, budget: Budget) -> None:
    """Numbers with units become base units, to the last one."""
    assert budget == read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "b.yaml:1:1: sets no limit; allowed: one or more of params, macs, memory, weights, latency"),
        ("[params]", "b.yaml:1:1: given a list of 1; allowed: a mapping of keys to values"),
        ("params", "b.yaml:1:1: given 'params'; allowed: a mapping"),
        ("", "b.yaml: the file is empty"),
        ("parms: 1", "b.yaml:1:1: parms: unknown key 'parms' (did you mean 'params'?); allowed: 'latency', 'macs'"),
        ("params:", "b.yaml:1:8: params: given 'null'; allowed: a whole number, 1 to 2^53, also with k, M, G or T"),
        ("params: 0", "params: given '0'; allowed"),
        ("params: -1", "params: given '-1'; allowed"),
        ("params: true", "params: given 'true'; allowed"),
        ("params: 1.5", "params: given '1.5'; allowed"),
        ("params: 1.2345M5", "params: given '1.2345M5'; allowed"),
        ("params: 0.0001k", "params: given '0.0001k'; allowed"),
        ("params: 1m", "params: given '1m'; allowed"),
        ("params: 1 MB", "params: given '1 MB'; allowed"),
        ("params: 1,000", "params: given '1,000'; allowed"),
        ("params: 10000T", "params: given '10000T'; allowed"),
        ("params: [1]", "params: given 'a list of 1'; allowed"),
        ("params: {max: 1}", "params: given 'a mapping'; allowed"),
        ("memory: 64 M", "memory: given '64 M'; allowed: a whole number, 1 to 2^53 bytes, also in kB, MB, GB"),
        ("memory: 64 Mb", "memory: given '64 Mb'; allowed"),
        ("memory: 64 mb", "memory: given '64 mb'; allowed"),
        ("memory: 0.3 KiB", "memory: given '0.3 KiB'; allowed"),
        ("latency: 5", "latency: given '5'; allowed: a time above 0 in us, ms or s, such as 5 ms"),
        ("latency: 5 m", "latency: given '5 m'; allowed"),
        ("latency: 0 ms", "latency: given '0 ms'; allowed"),
        ("latency: -1 ms", "latency: given '-1 ms'; allowed"),
        ('params: "\\u0661"', "params: given '\u0661'; allowed"),
        ('params: "1M\\x1b[2J"', "params: given '1M\\x1b[2J'; allowed"),
        ("params: !!python/name:os.system 1", "tag 'tag:yaml.org,2002:python/name:os.system' is not allowed"),
        ("params: 1\nparams: 2", "b.yaml:2:1: duplicate key 'params'"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, message: str) -> None:
    """A wrong value is told with its place, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_long_value_is_shown_short() -> None:
    """A value of ten thousand characters does not fill the terminal."""
    with pytest.raises(InputError) as caught:
        read(f"params: 1{'M' * 10_000}")
    assert 200 > len(caught.value.mistakes[0].message)


def test_every_mistake_is_told_in_the_order_of_the_text() -> None:
    """All mistakes come at once, each at its line and column."""
    text = "macs: 0\nlatency: 5\ncolour: red\nparams: [1]\nweights: 1 MB\n"
    with pytest.raises(InputError) as caught:
        read(text)
    placed = [(m.place.line, m.place.column, m.path) for m in caught.value.mistakes if m.place]
    assert [(1, 7, ("macs",)), (2, 10, ("latency",)), (3, 1, ("colour",)), (4, 9, ("params",))] == placed


def test_a_file_is_read(tmp_path: Path) -> None:
    """A budget is read from a file; one that is not there is told."""
    path = tmp_path / "budget.yaml"
    path.write_text("params: 2k\n", "utf-8")
    assert Budget(params=2_000) == load_budget(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_budget(tmp_path / "missing.yaml")


@given(st.decimals(0, 9_999, places=4, allow_nan=False, allow_infinity=False), st.sampled_from(sorted(COUNTS)))
def test_counts_are_exact_or_refused(number: Decimal, unit: str) -> None:
    """A number with a prefix is the integer it means, to the last unit; what means no integer is refused."""
    exact = number * COUNTS[unit]
    if exact == int(exact) and 1 <= exact <= 2**53:
        assert int(exact) == parse_count(f"{number}{unit}")
    else:
        with pytest.raises(ValueError, match="allowed: a whole number"):
            parse_count(f"{number}{unit}")


@given(st.integers(1, 2**53), st.sampled_from(sorted(SIZES)))
def test_sizes_are_exact_or_refused(number: int, unit: str) -> None:
    """Whole numbers of every unit are the bytes they mean, up to 2^53."""
    if number * SIZES[unit] <= 2**53:
        assert number * SIZES[unit] == parse_size(f"{number} {unit}")
    else:
        with pytest.raises(ValueError, match="allowed: a whole number"):
            parse_size(f"{number} {unit}")


@given(st.integers(1, 10**9))
def test_units_of_time_agree(number: int) -> None:
    """The same time in four units is the same float."""
    spelled = [f"{number * 1000} ns", f"{number} us", f"{Decimal(number) / 1000:f}ms", f"{Decimal(number) / 10**6:f} s"]
    assert {number / 10**6} == {parse_latency(text) for text in spelled}


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the parsers do anything but return a positive number or raise ValueError."""
    for parse in (parse_count, parse_size, parse_latency):
        try:
            assert parse(text) > 0
        except ValueError as error:
            assert "allowed: " in str(error)  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("params", ["1.5M", "2 k", "3"], ["1.5 MB", "M", "1e6", "-1"]),
        ("macs", ["1G", "1T"], ["1g", ""]),
        ("memory", ["64 MB", "64MiB", "3 B", "3"], ["64 M", "64 Mb", "64 KB"]),
        ("weights", ["1 kB", "1 TiB"], ["1 PB"]),
        ("latency", ["5 ms", "5us", "0.1 s"], ["5", "5 m", "5 h"]),
    ],
)
def test_the_schema_allows_what_is_read(key: str, good: list[str], bad: list[str]) -> None:
    """The patterns of the JSON Schema and the reader agree."""
    value = json.loads(committed("budget"))["properties"][key]
    pattern = value.get("pattern") or value["anyOf"][1]["pattern"]
    assert "default" not in value
    for text in good:
        assert re.search(pattern, text)
        read(json.dumps({key: text}))
    for text in bad:
        assert not re.search(pattern, text)
        with pytest.raises(InputError):
            read(json.dumps({key: text}))


def test_the_limits_are_the_budgets() -> None:
    """budget.yaml has a key for every limit that can be judged, and no other."""
    assert list(UNITS) == list(Limits.model_fields)
    assert list(UNITS) == list(json.loads(committed("budget"))["properties"])


def test_the_page_shows_what_is_read() -> None:
    """docs/check.md: its budget is one, its table has every key, its workflow is YAML that runs the check."""
    page = (ROOT / "docs" / "check.md").read_text("utf-8")
    budget, workflow = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert set(UNITS) == set(read(budget).limits())
    assert [f"`{key}`" for key in UNITS] == re.findall(r"^\| (`\w+`) \|", page, re.MULTILINE)
    tree = document.load(workflow, "budget.yml").tree
    steps = tree["jobs"]["budget"]["steps"]  # type: ignore[call-overload,index]
    assert any("archcost check" in step.get("run", "") for step in steps)
