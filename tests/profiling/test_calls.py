"""The public calls: compare, check and measure take what profile takes, and options under the command line's names."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import archcost
from archcost.errors import InputError, TargetError
from archcost.profiling.budget import Budget, budget_of
from archcost.profiling.options import request

FAKE: dict[str, Any] = {"target": "fake", "threads": 1}
X = torch.ones(2, 4)
NET = "import torch\n\ndef net(width=1.0):\n    return torch.nn.Linear(4, int(8 * width))\n"


def net(width: int) -> nn.Module:
    """(B, 4) -> (B, width)."""
    return nn.Linear(4, width)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of code and a file that names it."""
    (tmp_path / "made.py").write_text(NET, "utf-8")
    (tmp_path / "net.yaml").write_text("family: module\nfactory: made:net\ninput: [4]\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- names


def test_no_public_name_is_a_submodule() -> None:
    """Importing a submodule would put it in the place of the call."""
    assert [] == [name for name in archcost.__all__ if find_spec(f"archcost.{name}") is not None]


def test_what_is_not_there_is_answered_with_what_is() -> None:
    """A misspelt name gets the nearest public one; the room of torch modules is there without an import of its own."""
    with pytest.raises(AttributeError, match=r"has no attribute 'comapre' \(did you mean 'compare'\?\)"):
        archcost.comapre  # noqa: B018  # the access is the test
    with pytest.raises(AttributeError, match=r"'archcost.nets' has no attribute 'biuld' \(did you mean 'build'\?\)"):
        archcost.nets.biuld  # noqa: B018  # as above
    assert archcost.nets.build is not None
    assert {"build", "example", "Net"} <= set(dir(archcost.nets))
    assert set(archcost.__all__) <= set(dir(archcost))
    assert "units" not in dir(archcost)


# ---- sources


def test_code_is_a_source_in_python_too(folder: Path) -> None:
    """Inputs as text, which hold no batch, or as tensors, as for a torch module; the name has the arguments."""
    counts = {"latency": False, "witness": False}
    texts = archcost.profile("made:net(width=0.5)", "4", batch=(1, 8), **counts)  # type: ignore[arg-type]  # two bools
    assert ("net(width=0.5)", 20, 16, [1, 8]) == (
        *(texts.model.name, texts.params, texts.macs),
        [account.batch for account in texts.accounts],
    )
    tensors = archcost.profile("made:net(width=0.5)", X, **counts)  # type: ignore[arg-type]  # as above
    assert ("net(width=0.5)", 20, 32) == (tensors.model.name, tensors.params, tensors.macs)
    assert texts.params == archcost.profile("made:net(width=0.5)", ["4"], **counts).params  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "inputs", "message"),
    [
        ("made:net", None, "'made:net' is code and needs inputs; allowed: a tensor, .* such as '3,224,224'"),
        ("made:net", "four", "inputs: given 'four' in 'four'; allowed: an integer"),
        ("made:net(4)", "4", r"'made:net\(4\)' gives '4' without a name"),
        ("resnet-20", X, "inputs go with a torch module"),
        (net(8), None, "a torch module needs inputs"),
        (3, None, "given int; allowed: a YAML file"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(folder: Path, source: Any, inputs: object, message: str) -> None:
    """By each of the calls, with the same words."""
    calls: list[Callable[[], object]] = [
        lambda: archcost.profile(source, inputs),
        lambda: archcost.check(source, {"params": 1}, inputs),
        lambda: archcost.measure(source, inputs),
        lambda: archcost.compare((source, inputs), (source, inputs)),
    ]
    for call in calls:
        with pytest.raises(InputError, match=message):
            call()


def test_code_of_a_file_needs_consent(folder: Path) -> None:
    """In each of the calls; with it, the file's code runs."""
    with pytest.raises(InputError, match="'made:net' is code; code named in a file runs only with"):
        archcost.check("net.yaml", {"params": 100})
    with pytest.raises(InputError, match="'made:net' is code; code named in a file runs only with"):
        archcost.measure("net.yaml", **FAKE)
    with pytest.raises(InputError, match="'made:net' is code; code named in a file runs only with"):
        archcost.compare("net.yaml", "resnet-20")
    assert archcost.check("net.yaml", {"params": 100}, allow_code=True).ok
    assert 1 == archcost.measure("net.yaml", allow_code=True, **FAKE).batch
    assert [40, 272_474] == [p.params for p in _compared("net.yaml", "resnet-20", allow_code=True).profiles]


def _compared(*sources: Any, **options: Any) -> archcost.Comparison:
    return archcost.compare(*sources, latency=False, **options)


# ---- compare


def test_compare_takes_all_kinds_side_by_side(folder: Path) -> None:
    """A shipped name, a Model, a path, code and modules; `inputs` are for those that need them, a pair has its own."""
    found = _compared("resnet-20", archcost.load("resnet-20"), net(8), ("made:net", "4"), (net(2), X[:1]), inputs=X)
    assert [272_474, 272_474, 40, 40, 10] == [profile.params for profile in found.profiles]
    assert [64, 32, 8] == [profile.macs for profile in found.profiles[2:]]
    assert (4, 0) == (len(found.against), found.against[0].totals[0].difference)


def test_compare_measures_by_turns() -> None:
    """Every way asked for, with the ratio of the pair."""
    found = archcost.compare(net(8), net(16), inputs=X, dtype=("float32", "float64"), time="0.5s", **FAKE)
    assert ["float32", "float64"] == [timed.first.dtype for timed in found.against[0].latencies]
    assert all(timed.paired.rounds >= 8 for timed in found.against[0].latencies)


def test_compare_tells_all_mistakes() -> None:
    """Those of every source at once; fewer than two sources, and inputs that nothing takes, are mistakes too."""
    with pytest.raises(InputError) as caught:
        _compared("resnet-21", "resnet-22")
    assert 2 == len(caught.value.mistakes)
    with pytest.raises(InputError, match="given 1 network; allowed: two or more"):
        _compared("resnet-20")
    with pytest.raises(InputError, match="inputs are given, and no torch module"):
        _compared("resnet-20", "resnet-56", inputs=X)
    with pytest.raises(InputError, match="inputs are given, and no torch module"):
        _compared((net(8), X), (net(8), X), inputs=X[:1])


def test_compare_raises_where_nothing_was_measured() -> None:
    """As profile does."""
    with pytest.raises(TargetError, match=r"batch 100000000, float32, .* needs .* of memory"):
        archcost.compare("resnet-20", "resnet-56", batch=10**8)


# ---- check


def test_check_gives_verdicts() -> None:
    """On each limit, in order; `ok` is whether none is exceeded."""
    found = archcost.check(net(8), {"params": "40", "macs": 63}, X)
    assert [("params", True), ("macs", False)] == [(verdict.name, verdict.holds) for verdict in found.verdicts]
    assert (False, False, 40) == (found.ok, found.holds, found.profile.params)
    assert archcost.check(net(8), {"params": "40", "macs": "64"}, X).ok


def test_what_cannot_be_judged_is_not_exceeded() -> None:
    """As for the command's exit code; `holds` tells it apart."""
    found = archcost.check("resnet-20", {"params": "1M", "latency": "5 ms"}, latency=False)
    assert (True, None) == (found.ok, found.holds)


def test_latency_is_measured_only_for_a_limit() -> None:
    """And judged in every way asked for."""
    assert () == archcost.check("resnet-20", {"params": "1M"}, **FAKE).profile.samples
    found = archcost.check("resnet-20", {"latency": 3600}, batch=(1, 2), **FAKE)
    assert [("latency", 3600, True)] * 2 == [(v.name, v.limit, v.holds) for v in found.verdicts]


def test_check_raises_where_a_target_failed() -> None:
    """Unless another limit is exceeded, which is known without it."""
    large = 10**8  # examples, which do not fit in memory
    with pytest.raises(TargetError):
        archcost.check("resnet-20", {"params": "1M", "latency": "5 ms"}, batch=large)
    assert not archcost.check("resnet-20", {"params": "1k", "latency": "5 ms"}, batch=large).ok


def test_a_budget_is_a_file_a_mapping_or_itself(tmp_path: Path) -> None:
    """All three give the same; a latency in a mapping may be seconds, as every duration in Python."""
    path = tmp_path / "budget.yaml"
    path.write_text("params: 1M\nlatency: 5 ms\n", "utf-8")
    expected = Budget(params=10**6, latency_s=0.005)
    given = (path, str(path), {"params": "1M", "latency": "5 ms"}, {"params": 10**6, "latency": 5e-3}, expected)
    assert [expected] * 5 == [budget_of(each) for each in given]
    assert Budget(latency_s=1e-6) == budget_of({"latency": 1e-6})


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "budget: sets no limit"),
        ({"parms": 1}, r"budget: parms: unknown key 'parms' \(did you mean 'params'\?\)"),
        ({"params": "many"}, "budget: params: given 'many'; allowed: a whole number"),
        ({"params": 1, "latency": "5"}, "budget: latency: given '5'; allowed: a time above 0 in us, ms or s"),
        ({"latency": -1}, "latency: given -1; allowed: a number of seconds above 0"),
        ({"latency": float("nan"), "params": 1}, "latency: given nan"),
        ({"latency": True}, "budget: latency: given"),
        ({1: 2}, "budget: 1: unknown key '1'"),
        (3, "budget: given int; allowed: a file, a mapping of limits or a Budget"),
        ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ],
)
def test_a_budget_that_is_none_is_refused(budget: Any, message: str) -> None:
    """With what is allowed, under the key."""
    with pytest.raises(InputError, match=message):
        archcost.check("resnet-20", budget, latency=False)


# ---- measure


def test_measure_gives_one_latency() -> None:
    """Of a module or of anything else that is counted, in the way asked for."""
    one = archcost.measure(net(8), X, dtype="float64", time="0.5s", **FAKE)
    assert ("fake", "eager", 1, "float64", 1) == (one.target, one.runtime, one.batch, one.dtype, one.threads)
    several = archcost.measure("resnet-20", batch=8, time=0.5, **FAKE)
    assert (8, 8 / several.median_s) == (several.batch, several.examples_per_s)
    real = archcost.measure(net(8), X, target="cpu", runtime="eager", batch=1, dtype="float32", threads=1, time="0.1s")
    assert ("cpu", True) == (real.target, real.median_s > 0)


def test_the_batch_of_inputs_may_be_named() -> None:
    """It is the first size of all of them, and counts the examples; another one is refused."""
    one = archcost.measure(net(8), X, batch=2, **FAKE)
    assert (2, 2 / one.median_s) == (one.batch, one.examples_per_s)
    with pytest.raises(InputError, match="batch: given 3; allowed: 1, the inputs hold the batch"):
        archcost.measure(net(8), X, batch=3, **FAKE)


def test_measure_refuses_several() -> None:
    """There is one latency."""
    with pytest.raises(InputError, match="dtypes: given 2; allowed: one, as there is one latency"):
        archcost.measure(net(8), X, dtype=["float32", "float64"], **FAKE)


def test_measure_says_why_not() -> None:
    """What could not be measured is an error, not a value."""
    with pytest.raises(TargetError, match=r"^cpu/eager, batch 100000000, .* needs .* of memory"):
        archcost.measure("resnet-20", batch=10**8)


# ---- options


def test_options_are_the_command_line_s() -> None:
    """A duration and a share are numbers or text; one value or several; what is left out has the command's default."""
    asked = request({"time": "500ms", "precision": "1%", "batch": [1, 2], "target": "fake", "dtype": None})
    assert (0.5, 0.01, (1, 2), ("fake",), ()) == (
        *(asked.time_s, asked.precision, asked.batches, asked.targets, asked.dtypes),
    )
    assert (None, 0.02, (1,), ()) == (
        *(request({}).time_s, request({}).precision, request({}).batches, request({}).runtimes),
    )
    given = archcost.profile("resnet-20", witness=False, time="0.5s", precision="3%", **FAKE).samples[0].plan
    older = archcost.profile("resnet-20", witness=False, time_s=0.5, **FAKE).samples[0].plan
    assert (0.5, 0.03, 0.5) == (given.time_s, given.precision, older.time_s)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": "soon"}, "time: given 'soon'; allowed: a time above 0, such as 10s"),
        ({"time": 0}, "time: given 0; allowed: seconds above 0, or text such as '0.5s'"),
        ({"time": float("inf")}, "time: given inf"),
        ({"time": True}, "time: given True"),
        ({"precision": "200%"}, "precision: given '200%'; allowed: a share"),
        ({"precision": 2}, "precision: given 2; allowed: a share above 0 and below 1, or text such as '2%'"),
    ],
)
def test_values_that_cannot_be_are_refused(options: Any, message: str) -> None:
    """Under the option's name, by every call."""
    for call in (archcost.profile, archcost.measure):
        with pytest.raises(InputError, match=message):
            call("resnet-20", **options)


def test_an_option_that_there_is_not_is_a_type_error() -> None:
    """As in any call of Python's, with the nearest name."""
    for call in (archcost.measure, archcost.compare):
        with pytest.raises(TypeError, match=r"there is no option 'treads' \(did you mean 'threads'\?\)"):
            call("resnet-20", treads=1)  # type: ignore[operator]  # wrong on purpose
