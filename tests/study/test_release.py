"""What leaves a study is what was confirmed: its weights, its file's results, and a bundle that runs without torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import refused, run
from released import APART, DIGITS, TEXT, WORDS, apart, released

import archcost
from archcost.data import load
from archcost.data.spec import DataSpec
from archcost.data.splits import Split
from archcost.errors import InputError
from archcost.nets.net import build, example
from archcost.nets.weights import alone
from archcost.study.records import confirmed, weights_folder
from archcost.study.records.source import address_named
from archcost.study.records.stored import Stored, find
from archcost.study.release import scores
from archcost.study.release.card import wilson
from archcost.study.release.scores import Check, Fed, scored, windows
from archcost.study.release.weights import source
from archcost.training import scoring
from archcost.training.score import Score

ROWS = DIGITS.replace(
    "family: fractal, columns: 2, widths: [4, 8], drop_path: {global: 0.5}", "family: hornn, hidden: 8, order: 2"
)
SEQUENCES = ROWS.replace("name: digits, examples: 300", "name: sequences, path: walks.npz")
OTHERS = {
    "an image by rows": (ROWS, "uint8", [1, 8, 8]),
    "as rows": (ROWS.replace("name: digits", "name: digits, as: rows"), "uint8", [1, 8, 8]),
    "sequences": (SEQUENCES, "float32", [6, 2]),
    "words": (TEXT, "int64", [6]),
    "characters": (TEXT.replace("steps: 6", "steps: 6, level: characters"), "int64", [6]),
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of digits whose fractal network is not confirmed, and whose column 1 is."""
    return released(tmp_path_factory.mktemp("digits"), names=("0/1",))


@pytest.fixture
def study(digits: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    shutil.copytree(digits.parent, tmp_path / "study")
    return tmp_path / "study" / "study.yaml"


def stored(file: Path) -> Stored:
    return find(address_named(str(file)))


def test_a_confirmed_network_leaves_with_the_median_seed(digits: Path) -> None:
    """Its weights are that seed's, its recorded scores too; others leave with their trial's, and say so."""
    held = stored(digits)
    found = source(held, "0/1")
    again = found.network.confirmed
    assert again is not None
    place = sorted(range(3), key=lambda each: (again.scores[each].error, each))[1]
    assert (place + 1, again.scores[place], again.tests[place]) == (found.seed, found.validation, found.test)
    assert f"0-1.seed{place + 1}.pt" == found.trained.weights.name
    assert f"of 0/1 of {held.name}, confirmed: seed {place + 1}, the median of 3 seeds by validation" == (
        found.trained.words
    )
    other = source(held, "0/2")
    assert (None, None, "0.pt") == (other.seed, other.test, other.trained.weights.name)
    assert other.trained.words.endswith("column 2, shared with the others; the network was not confirmed")


def test_lost_weights_of_a_seed_are_said(study: Path) -> None:
    """If some are there, the nearest to the median is taken; if none is, nothing else is written in their name."""
    folder = study.parent / "study.db.weights"
    seed = source(stored(study), "0/1").seed
    (folder / f"0-1.seed{seed}.pt").unlink()
    assert "the nearest that is kept to the median of 3 seeds" in source(stored(study), "0/1").trained.words
    for each in folder.glob("0-1.*"):
        each.unlink()
    with pytest.raises(InputError, match=r"no weights of 0/1 .*: moved, or removed from 'study.db.weights'"):
        source(stored(study), "0/1").trained.net()


def test_weights_of_another_seed_are_refused(study: Path) -> None:
    """A file that says it is another seed's, column's or study's is not taken."""
    folder, seed = study.parent / "study.db.weights", source(stored(study), "0/1").seed
    other = 1 if seed != 1 else 2
    shutil.copy(folder / f"0-1.seed{other}.pt", folder / f"0-1.seed{seed}.pt")
    with pytest.raises(InputError, match="holds the weights of another network or study"):
        source(stored(study), "0/1").trained.net()


@pytest.mark.parametrize("name", ["../../etc/passwd", "0/../../x", "/0", "0/9", "0-1", "\u202e", "0/1\0", "-1"])
def test_a_hostile_trial_name_leads_nowhere(
    capsys: pytest.CaptureFixture[str], digits: Path, tmp_path: Path, name: str
) -> None:
    """A name that is no network's is exit code 2: no file is looked for by it, and none is written."""
    before = sorted(digits.parent.rglob("*"))
    message = refused(capsys, "export", str(digits), f"--trial={name}", "--to", "pt2", "-o", str(tmp_path / "x"))
    assert ("no complete trial", False) == (message[10:27], "\u202e" in message)
    assert ([], before) == (list(tmp_path.iterdir()), sorted(digits.parent.rglob("*")))


def test_a_file_is_evaluated_beside_what_was_recorded(
    capsys: pytest.CaptureFixture[str], digits: Path, tmp_path: Path
) -> None:
    """Validation and test split of a confirmed network, in torch for pt2; of another one the validation split alone."""
    file = str(tmp_path / "x.pt2")
    code, out, _ = run(capsys, "export", str(digits), "--trial", "0/1", "--to", "pt2", "-o", file)
    assert (0, True, True) == (code, "validation error" in out, "test       error" in out)
    assert ("(the file, 359 examples)" in out, "more than" in out) == (True, False)
    code, out, _ = run(capsys, "export", str(digits), "--trial", "0", "--to", "pt2", "-o", file, "--batch", "8")
    assert (0, True, False) == (code, "validation error" in out, "test       error" in out)
    code, out, _ = run(capsys, "export", str(digits), "--trial", "0", "--to", "pt2", "-o", file, "--no-scores")
    assert (0, False) == (code, "error" in out)


def test_a_file_that_is_not_what_was_recorded_is_exit_1(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a tenth of a point apart: both results are printed, and the exit code is 1."""
    real = scores.scored

    def worse(*given: Any, **more: Any) -> Score:
        found = real(*given, **more)
        return replace(found, error=(found.error or 0.0) + 0.0011)

    monkeypatch.setattr(scores, "scored", worse)
    code, out, err = run(capsys, "export", str(study), "--trial", "0/1", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert (1, True) == (code, "recorded with these weights" in out)
    assert (2, True) == (out.count("more than a tenth of a point apart"), "from what was recorded" in err)


def test_other_data_are_refused(capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path) -> None:
    """A study whose file names other data than it was made with: exit code 2, and nothing is written."""
    study.write_text(DIGITS.replace("examples: 300", "examples: 200"), "utf-8")
    before = sorted(tmp_path.rglob("*"))
    for to in (("--to", "pt2", "-o", str(tmp_path / "x.pt2")), ("--bundle", str(tmp_path / "b"))):
        message = refused(capsys, "export", str(study), "--trial", "0/1", *to)
        assert "are not those that the study was made with: fingerprint" in message
    assert before == sorted(tmp_path.rglob("*"))


def test_another_test_split_is_refused(
    capsys: pytest.CaptureFixture[str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was confirmed on one test split is not evaluated on another."""
    from archcost.study.code import answers

    real = answers.load

    def spoilt(spec: DataSpec, *, folder: Path) -> object:
        found = real(spec, folder=folder)
        return replace(found, read_test=lambda: found.validation)

    monkeypatch.setattr(answers, "load", spoilt)
    to = ("--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert "has changed since the study began" in refused(capsys, "export", str(study), "--trial", "0/1", *to)


def test_a_storage_alone_is_not_evaluated(capsys: pytest.CaptureFixture[str], digits: Path, tmp_path: Path) -> None:
    """It does not say where the data are: a file is written and that is said, a bundle is not."""
    storage = str(digits.parent / "study.db")
    code, out, err = run(capsys, "export", storage, "--trial", "0/1", "--to", "pt2", "-o", str(tmp_path / "x.pt2"))
    assert (0, False, True) == (code, "error" in out, "not evaluated: a storage does not say" in err)
    assert "needs the study's file" in refused(
        capsys, "export", storage, "--trial", "0/1", "--bundle", str(tmp_path / "b")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bundle", "b"), "--bundle needs --trial"),
        (("--bundle", "b", "--trial", "0", "--to", "onnx"), "--bundle and --to exclude each other"),
        (("--bundle", "b", "--trial", "0", "--batch", "2"), "--bundle and --batch exclude each other"),
        (("--bundle", "b", "--trial", "0", "--no-scores"), "--bundle and --no-scores exclude each other"),
        (("--trial", "0"), "Missing option '--to' (or '--bundle')"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], digits: Path, options: tuple[str, ...], message: str
) -> None:
    """One message and exit code 2."""
    assert message in refused(capsys, "export", str(digits), *options)


def bundled(capsys: pytest.CaptureFixture[str], file: Path, trial: str, folder: Path) -> dict[str, Any]:
    code, out, err = run(capsys, "export", str(file), "--trial", trial, "--bundle", str(folder))
    assert 0 == code, out + err
    *said, wrote, try_it = out.splitlines()  # last of all, what to do next
    assert max(map(len, said)) <= 80
    assert (f"wrote {folder}", ["try", "it:", "python", f"{folder}/predict.py"]) == (wrote, try_it.split()[:4])
    return dict(json.loads((folder / "meta.json").read_text("utf-8")))


def test_a_bundle_reproduces_its_test_error_without_torch(
    capsys: pytest.CaptureFixture[str], digits: Path, tmp_path: Path
) -> None:
    """All test images as bytes through predict.py, where importing torch or archcost fails, and one as a file."""
    from PIL import Image

    meta = bundled(capsys, digits, "0/1", tmp_path / "b")
    test = load.load(DataSpec(name="digits"), folder=tmp_path).read_test()
    np.savez(tmp_path / "test.npz", x=test.inputs.numpy(), y=test.targets.numpy())
    (tmp_path / "apart.py").write_text(APART, "utf-8")
    printed = apart(tmp_path, "apart.py", tmp_path / "b", "test.npz").split()
    error, said, count, seen = map(float, printed)
    assert abs(error - said) <= 0.001
    assert (len(test), len(test)) == (count, seen)
    assert (meta["recorded"]["test"]["count"], [str(i) for i in range(10)]) == (count, meta["classes"])
    assert abs(meta["test"]["error"] - meta["recorded"]["test"]["error"]) <= 0.001
    Image.fromarray(test.inputs[0, 0].numpy()).save(tmp_path / "one.png")
    printed = apart(tmp_path, tmp_path / "b" / "predict.py", "one.png")
    assert ("one.png:", True) == (printed.split()[0], printed.split()[1] in meta["classes"])


def test_an_unconfirmed_network_is_not_tested(capsys: pytest.CaptureFixture[str], digits: Path, tmp_path: Path) -> None:
    """A column with shared weights runs with its own statistics; the card says that it was not confirmed."""
    meta = bundled(capsys, digits, "0/2", tmp_path / "b")
    assert (None, None, None) == (meta["test"], meta["recorded"]["test"], meta["seed"])
    assert "The network was not confirmed" in (tmp_path / "b" / "card.md").read_text("utf-8")
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        given = archcost.load_trained(tmp_path / "b")(x)
        torch.testing.assert_close(archcost.load_trained(digits, "0/2")(x), given)


def made(folder: Path, text: str) -> Path:
    (folder / "said.txt").write_text(WORDS, "utf-8")
    chance, walks = np.random.default_rng(0), {}
    for part, count in (("train", 90), ("valid", 30), ("test", 30)):
        y = np.arange(count) % 2
        walks |= {f"y_{part}": y, f"x_{part}": chance.normal(5 + y[:, None, None], 2, (count, 6, 2))}
    np.savez(folder / "walks.npz", **walks)
    return released(folder, text)


@pytest.mark.parametrize("case", OTHERS)
def test_other_data_have_bundles_too(capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str) -> None:
    """Images that are read by rows take bytes, sequences raw features, texts tokens; load_trained gives the module."""
    text, dtype, shape = OTHERS[case]
    (tmp_path / "s").mkdir()
    file = made(tmp_path / "s", text)
    meta = bundled(capsys, file, "0", tmp_path / "b")
    assert (dtype, shape) == (meta["input"]["dtype"], meta["input"]["shape"])
    assert meta["test"]["count"] == meta["recorded"]["test"]["count"]
    found = archcost.load_trained(tmp_path / "b")
    net = archcost.load_trained(file, "0")
    x = example(net.graph, 2)
    with torch.no_grad():
        torch.testing.assert_close(net(x), found(x))


@pytest.mark.parametrize("level", ["words", "characters"])
def test_a_text_is_read_in_windows_that_do_not_carry_over(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, level: str
) -> None:
    """predict.py gives a text the perplexity that meta.json says of the test part, and the next tokens."""
    (tmp_path / "s").mkdir()
    file = made(tmp_path / "s", OTHERS[level][0])
    meta = bundled(capsys, file, "0", tmp_path / "b")
    card = (tmp_path / "b" / "card.md").read_text("utf-8")
    assert (6, True) == (meta["test"]["windows"], "the state does not carry over" in card)
    assert meta["test"]["perplexity"] != meta["recorded"]["test"]["perplexity"]
    tokens = json.loads((tmp_path / "b" / "vocabulary.json").read_text("utf-8"))
    test = load.load(DataSpec(name="text", path="said.txt", level=level, steps=6), folder=file.parent).read_test()  # type: ignore[arg-type]
    words = [tokens[number] for number in test.targets.tolist()]
    said = "".join(words) if level == "characters" else " ".join(words).replace("<eos>", "\n")
    (tmp_path / "test.txt").write_text(said, "utf-8")
    first, second = apart(tmp_path, tmp_path / "b" / "predict.py", "test.txt").splitlines()
    assert ("next ", True) == (second[:5], any(repr(token) in second for token in tokens))
    # the first token of the test part comes after the end of a line there, too
    assert float(first.split()[1]) == pytest.approx(meta["test"]["perplexity"], rel=1e-3)


def test_load_trained_gives_a_studys_network(digits: Path) -> None:
    """By its file or its storage, columns included, in evaluation mode, with the weights that were recorded."""
    dataset = load.load(DataSpec(name="digits", examples=300), folder=digits.parent)
    for name in ("0", "0/1", "0/2"):
        found = source(stored(digits), name)
        for place in (digits, str(digits.parent / "study.db")):
            net = archcost.load_trained(place, name)
            assert not net.training
            assert found.validation == scoring.evaluate(net, dataset.validation, dataset)  # type: ignore[arg-type]


def test_load_trained_asks_which_network(digits: Path, tmp_path: Path) -> None:
    """None given of several, one that is none, a folder that is no bundle: each is one message."""
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: archcost.load_trained(digits), "missing: the trial of '.*'; on the front there are: 0"),
        (lambda: archcost.load_trained(digits, 7), "no complete trial '7'"),
        (lambda: archcost.load_trained(tmp_path), "is no bundle"),
        (lambda: archcost.load_trained(tmp_path, "0"), "is a bundle, which has one network"),
        (lambda: archcost.load_trained(tmp_path / "nowhere.yaml", "0"), "nowhere.yaml"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()


def test_load_trained_reads_a_bundle_without_onnx(digits: Path, tmp_path: Path) -> None:
    """model.yaml and weights.safetensors are enough; weights that are another network's, or damaged, are refused."""
    from safetensors.torch import save

    found = source(stored(digits), "0/2")
    net = found.trained.net()
    (tmp_path / "meta.json").write_text('{"archcost": "0.4.0", "bundle": 1}', "utf-8")
    (tmp_path / "model.yaml").write_text(found.trained.model.yaml, "utf-8")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(save(alone(net)))
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(net(x), archcost.load_trained(tmp_path)(x))
    whole = save(alone(build(source(stored(digits), "0").trained.model.graph)))
    for content, message in ((whole, "does not fit this network"), (b"cut", "damaged"), (whole[:99], "damaged")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=message):
            archcost.load_trained(tmp_path)


def test_a_text_is_cut_into_windows() -> None:
    """Every token counts once: what fills the last window is no target."""
    given = windows(Split(torch.arange(7), torch.arange(1, 8)), 3, 10)
    assert [[1, 2, 3], [4, 5, 6], [7, -1, -1]] == given.targets.tolist()
    assert [[3, 4, 5], [6, 0, 0]] == given.inputs(torch.tensor([1, 2])).tolist()


@pytest.mark.parametrize("batch", [None, 2, 4, 9])
def test_a_batch_that_is_filled_up_counts_nothing_twice(batch: int | None) -> None:
    """Five examples of which one is wrong, in batches that a file has fixed."""
    inputs = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])] * 9
    sizes: list[int] = []

    def predict(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return x

    found = scored(predict, Fed(lambda chosen: inputs[chosen], torch.tensor([0, 1, 2, 0, 2])), batch=batch)
    assert (0.2, 5, {batch or 5}) == (found.error, found.count, {*sizes})


@pytest.mark.parametrize(
    ("given", "expected", "agrees"),
    [
        (Score(1.0, 9, 0.1), Score(1.0, 9, 0.101), True),
        (Score(1.0, 9, 0.1), Score(1.0, 9, 0.1011), False),
        (Score(1.0, 9, 0.1, 100.0), Score(1.0, 9, 0.9, 100.1), True),
        (Score(1.0, 9, 0.1, 100.0), Score(1.0, 9, 0.1, 100.2), False),
        (Score(1.0, 9), Score(1.0, 9), False),
    ],
)
def test_a_tenth_of_a_point_is_allowed(given: Score, expected: Score, agrees: bool) -> None:
    """Of error; of perplexity a thousandth of it. What has neither is not taken to agree."""
    metric = "error" if given.perplexity is None else "perplexity"
    assert agrees == Check("test", "the file", metric, given, expected).agrees


def test_wilsons_interval() -> None:
    """Two of ten, as its closed form gives it; the ends stay shares."""
    assert wilson(0.2, 10) == pytest.approx((0.05668, 0.50984), abs=1e-5)
    assert (wilson(0.0, 10)[0], wilson(1.0, 10)[1]) == pytest.approx((0.0, 1.0))
    assert all(0 <= end <= 1 for share in (0.0, 0.5, 1.0) for end in wilson(share, 1))


def test_files_of_seeds_are_where_the_study_says(digits: Path) -> None:
    """The study notes which seeds have files, the folder has them under their numbers."""
    held = stored(digits)
    folder = weights_folder.folder_of(held.address, held.name, held.identity)
    expected = {weights_folder.seed_file(folder, 0, 1, seed) for seed in confirmed.files(held.study, "0/1")}
    assert expected == set(folder.glob("*.seed*"))
