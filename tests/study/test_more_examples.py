"""Members that are confirmed on more training examples than the search had: trained, kept, shown and released so."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import run
from datasets_small import images
from fronts import OBJECTIVES, again, part, told
from plans import drawn, planned, specified

from archcost import Study
from archcost.data.load import fresh, load
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset
from archcost.errors import InputError
from archcost.models.load import Model
from archcost.study import jobs
from archcost.study import run as run_of_study
from archcost.study.code.consent import NONE
from archcost.study.phases.examples import with_examples
from archcost.study.preview import forecast
from archcost.study.records import confirmed, trials
from archcost.study.records.best.fidelity import fidelity
from archcost.study.records.confirmed import Confirmed, Extent
from archcost.study.records.database.addresses import Address
from archcost.study.records.front import Front
from archcost.study.records.source import address_named
from archcost.study.records.stored import Stored, find, network
from archcost.study.release.again import again as read_again
from archcost.study.release.bundle import Release, contents
from archcost.study.release.weights import source
from archcost.training import scoring

SMALL = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [8]}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {params: min}]
fit: {epochs: 1, batch: 64, rungs: [1], precision: float32}
search: {trials: 1, sampler: random}
confirm: {seeds: 1, members: 1, examples: all, epochs: 2}
"""
WORDS = "the cat saw the dog and the dog saw a cat\nno dog was there\n" * 40


def digits(examples: int | None = None) -> Dataset:
    return load(DataSpec(name="digits", examples=examples), folder=Path())


def extent(**changes: Any) -> Extent:
    """Return how long members of a study on digits are trained."""
    spec = specified(**changes)
    data = spec.study.data
    assert isinstance(data, DataSpec)
    return with_examples(spec, Extent(), len(digits(data.examples).train))


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (100, r"confirm\.examples: given 100; allowed: 200 or more, those of 'data', or all"),
        ("some", r"confirm\.examples: given 'some'; allowed: an integer of at least 1, or 'all'"),
        (0, r"confirm\.examples: given 0; allowed: an integer of at least 1, or 'all'"),
        (True, r"confirm\.examples: given true; allowed: an integer of at least 1, or 'all'"),
    ],
)
def test_members_have_no_fewer_examples_than_the_search(examples: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        specified(data={"name": "digits", "examples": 200}, confirm={"examples": examples})


def test_data_that_code_gives_have_no_more_examples() -> None:
    with pytest.raises(InputError, match=r"confirm\.examples: goes with data that have a name, and mine:data is code"):
        specified(data={"code": "mine:data"}, confirm={"examples": "all"})


def test_as_many_examples_as_in_the_search_change_nothing() -> None:
    few = {"name": "digits", "examples": 200}
    assert Extent() == extent(data=few, confirm={"examples": 200})
    assert Extent() == extent(data=few)
    assert Extent() == extent(confirm={"examples": "all"})
    assert Extent() == extent(confirm={"examples": len(digits().train)})
    assert Extent(300, 0, digits(300).fingerprint) == extent(data=few, confirm={"examples": 300})
    assert Extent(len(digits().train), 0, digits().fingerprint) == extent(data=few, confirm={"examples": "all"})


def test_more_examples_than_there_are_are_refused_at_the_key() -> None:
    few = {"name": "digits", "examples": 200}
    with pytest.raises(
        InputError, match=r"confirm\.examples: given 9,999; allowed: at most 1,295, the training ex"
    ) as e:
        extent(data=few, confirm={"examples": 9999})
    assert e.value.mistakes[0].place is not None
    with pytest.raises(InputError, match=r"confirm\.examples: given 7; allowed: 1,295, with which the search trains"):
        extent(confirm={"examples": 7})


def test_a_text_has_more_tokens(tmp_path: Path) -> None:
    """The vocabulary is that of the whole text, whatever part of it is trained on."""
    (tmp_path / "said.txt").write_text(WORDS, "utf-8")
    data: dict[str, Any] = {"name": "text", "path": str(tmp_path / "said.txt"), "steps": 6, "examples": 90}
    model, objective = {"family": "hornn", "hidden": 8, "order": 2}, {"perplexity": "min"}
    spec = specified(models=[model], data=data, objectives=[objective], confirm={"examples": 300})
    found = with_examples(spec, Extent(), 90)
    whole = load(DataSpec(**{**data, "examples": 300}), folder=Path())
    assert (300, whole.fingerprint) == (found.examples, found.data)
    too_many = specified(models=[model], data=data, objectives=[objective], confirm={"examples": 9999})
    with pytest.raises(InputError, match=r"confirm\.examples: given 9,999; allowed: at most [0-9]+, the tr"):
        with_examples(too_many, Extent(), 90)


def test_the_job_of_a_member_reads_the_other_data_and_takes_so_much_longer() -> None:
    plan = planned(images(120), confirm={"epochs": 4})  # 60 examples to train with, 2 epochs
    more = replace(plan, extent=replace(plan.extent, examples=180, data="d"))
    folder = Path("folder")
    assert "folder/data.pt" == jobs.confirm(plan, drawn(plan), folder, 1, 1).data
    assert ("folder/more.pt", 4) == (
        (job := jobs.confirm(more, drawn(more), folder, 1, 1)).data,
        job.fit["epochs"],
    )
    assert "folder/data.pt" == jobs.train(more, drawn(more), folder, 1).data
    assert (2.0, 6.0) == (plan.lengthened, more.lengthened)


def test_a_forecast_of_confirming_grows_with_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 s to start, 1 s to train in the search and three times that for a member, 2 s of measuring each."""
    monkeypatch.setattr(forecast, "_prepare", lambda: None)
    monkeypatch.setattr(forecast, "_training_s", lambda *_: (3.0, 1.0))
    plan = planned(confirm={"seeds": 1, "members": 2})
    plan = replace(plan, extent=Extent(3 * plan.examples, 0, "d"))
    assert 2 * ((3 + 3) + 2) == forecast.foresee(plan, drawn(plan), images(), 1, 0.0).confirm_s


def test_data_that_change_while_a_study_runs_end_it() -> None:
    """Its members would not be confirmed on what the plan says."""
    plan = planned(data={"name": "digits", "examples": 200}, confirm={"examples": 300})
    assert 300 == len(run_of_study._more(replace(plan, extent=Extent(300, 0, digits(300).fingerprint))).train)
    with pytest.raises(InputError, match="have changed since the run began: fingerprint"):
        run_of_study._more(replace(plan, extent=Extent(300, 0, "d" * 64)))


def test_what_is_read_for_members_is_not_kept() -> None:
    few = DataSpec(name="digits", examples=300)
    assert load(few, folder=Path()) is load(few, folder=Path())
    assert fresh(few, folder=Path()) is not fresh(few, folder=Path())
    assert fresh(few, folder=Path()).fingerprint == digits(300).fingerprint


def small(study: optuna.Study) -> Stored:
    trials.remember(study, "about", {"same": {"fit": {"epochs": 8}}})
    trials.remember(study, "examples", 10_000)
    return Stored(study, Address(Path("study.db")), "one", OBJECTIVES, ("error", "latency", "params"))


def shown(extents: dict[str, Extent]) -> tuple[Stored, Front]:
    """Return a study of three networks, of which some are confirmed, and its front."""
    study = told(part("a", 0.4, 0.1), part("b", 0.3, 0.2), part("c", 0.2, 0.3))
    for name, each in extents.items():
        error = 0.3 - 0.1 * int(name)
        confirmed.keep(study, name, replace(again(error, error), **vars_of(each)))
    stored = small(study)
    return stored, stored.front()


def vars_of(each: Extent) -> dict[str, Any]:
    return {"examples": each.examples, "epochs": each.epochs, "data": each.data}


def test_only_those_that_were_trained_alike_are_compared() -> None:
    """More epochs on fewer examples are another training; who was confirmed so is confirmed anew."""
    more = Extent(50_000, 30, "d")
    stored, now = shown({"0": more, "1": more, "2": Extent(epochs=30)})
    assert {"0", "1"} == {each.network for each in now.comparable}
    assert ["2"] == [each.name for each in stored.contenders().members if not each.standing]
    found = fidelity(stored, now)
    assert found is not None
    words = "confirmed with 30 epochs on 50,000 examples, searched with 8 on 10,000: the orders of 2 networks agree"
    assert found.words.startswith(words)
    assert (50_000, 10_000) == (found.json["examples"], found.json["search_examples"])


def test_more_examples_alone_have_the_epochs_of_the_search() -> None:
    stored, now = shown({"0": Extent(50_000, 0, "d")})
    found = fidelity(stored, now)
    assert found is not None
    assert (8, 8) == (found.epochs, found.search_epochs)
    assert ["0"] == [each.name for each in now.members]


def test_of_more_epochs_alone_the_json_is_as_it_was() -> None:
    """No key of examples: in the front, and in what is kept of a network."""
    stored, now = shown({"0": Extent(epochs=30)})
    found = fidelity(stored, now)
    assert found is not None
    assert {"networks", "epochs", "search_epochs", "kendall_tau", "interval"} == set(found.json)
    kept = trials.remembered(stored.study, "confirmed:0")
    assert {"seeds", "scores", "tests", "samples", "reason", "ways", "skipped", "epochs"} == set(kept)


def test_seeds_of_other_examples_do_not_count() -> None:
    held = replace(again(0.1, 0.2), epochs=3)
    assert held is held.with_extent(Extent(0, 3))
    other = held.with_extent(Extent(500, 3, "d"))
    assert ((), 500, 3, "d", held.samples) == (other.seeds, other.examples, other.epochs, other.data, other.samples)
    assert () == replace(other, seeds=(1,)).with_extent(Extent(500, 3, "e")).seeds  # as many, but others


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Confirmed]]:
    """A study that was run with 400 examples for members, then with all; and what was kept after each run."""
    file = tmp_path_factory.mktemp("more") / "study.yaml"
    kept = []
    for examples in ("400", "all"):
        file.write_text(SMALL.replace("examples: all", f"examples: {examples}"), "utf-8")
        Study(file).run()
        found = confirmed.confirmed(find(address_named(str(file))).study, "0")
        assert found is not None
        kept.append(found)
    return file, kept


def test_a_member_is_trained_on_all_examples_and_anew_if_their_number_changes(
    twice: tuple[Path, list[Confirmed]], caplog: pytest.LogCaptureFixture
) -> None:
    file, (first, last) = twice
    assert Extent(400, 2, digits(400).fingerprint) == first.extent
    assert Extent(len(digits().train), 2, digits().fingerprint) == last.extent
    assert first.scores != last.scores
    with caplog.at_level(logging.INFO):
        Study(file).run()
    assert not [line for line in caplog.messages if "confirming" in line]  # nothing is left to be trained
    assert last == confirmed.confirmed(find(address_named(str(file))).study, "0")


def test_its_weights_are_of_inputs_normalised_by_all(twice: tuple[Path, list[Confirmed]]) -> None:
    """The loss that was recorded is that with mean and deviation of all examples, not of the search's."""
    file, (_, last) = twice
    stored = find(address_named(str(file)))
    found = source(stored, "0")
    model = network(found.network)
    assert isinstance(model, Model)
    net = found.trained.net()
    losses = [scoring.evaluate(net, each.validation, each).loss for each in (digits(), digits(200))]
    assert losses[0] == pytest.approx(last.scores[0].loss, rel=1e-4)
    assert losses[1] != pytest.approx(last.scores[0].loss, rel=1e-4)


def test_it_leaves_with_mean_and_deviation_of_all(twice: tuple[Path, list[Confirmed]]) -> None:
    """In a bundle; the weights of the search's trial leave with those of its own examples."""
    file, _ = twice
    stored = find(address_named(str(file)))
    study = read_again(file, stored, NONE)
    found = source(stored, "0")
    held = study.material(stored, found)
    assert held.preprocess is not None
    assert (digits().mean, digits().std) == (held.preprocess.mean, held.preprocess.std)
    assert digits().mean != digits(200).mean
    facts = contents(Release(stored, found, found.trained.net(), held, study.spec.study.data, file.parent)).facts
    assert (len(digits().train), digits().fingerprint) == (facts["data"]["examples"], facts["data"]["fingerprint"])
    before = study.material(stored, replace(found, seed=None)).preprocess
    assert before is not None
    assert digits(200).mean == before.mean


def test_it_is_exported_and_shown(
    twice: tuple[Path, list[Confirmed]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is written reaches what was recorded, and its card says on how many examples it was trained."""
    file, _ = twice
    code, out, err = run(capsys, "export", str(file), "--trial", "0", "--bundle", str(tmp_path / "made"))
    assert (0, True) == (code, "recorded with these weights" in out), err
    card = " ".join((tmp_path / "made" / "card.md").read_text("utf-8").split())
    assert "Trained on 1,295" in card
    assert "The search trained on 200 of these examples, and these weights on all." in card
    code, out, _ = run(capsys, "study", "front", str(file), "--json")
    held = json.loads(out)
    assert (1295, 200) == (held["fidelity"]["examples"], held["fidelity"]["search_examples"])
    assert [1295] == [each["examples"] for each in held["members"]]
    page = tmp_path / "page.html"
    assert 0 == run(capsys, "report", str(file), "-o", str(page))[0]
    words = "Members were confirmed with 2 epochs on 1,295 examples, searched with 1 on 200: networks that were not are"
    assert words in page.read_text("utf-8")
    code, out, _ = run(capsys, "study", "run", str(file), "--dry-run")
    assert (0, True) == (code, "searched on 200 examples, confirmed on 1,295" in out)


def test_other_data_than_it_was_confirmed_with_are_refused(twice: tuple[Path, list[Confirmed]]) -> None:
    file, _ = twice
    stored = find(address_named(str(file)))
    study, found = read_again(file, stored, NONE), source(stored, "0")
    held = found.network.confirmed
    assert held is not None
    other = replace(found, network=replace(found.network, confirmed=replace(held, data="0" * 64)))
    with pytest.raises(InputError, match="are not those that 0 was confirmed with: fingerprint"):
        study.material(stored, other)
