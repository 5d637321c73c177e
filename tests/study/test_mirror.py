"""The second place of weights: files go there and come back whole, and without it a study goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run
from mirrors import goes_round

from archcost.errors import InputError
from archcost.study.records.mirror import Mirror, check, mirror

STUDY = """
name: mirrored
models: [{family: bottleneck, block: basic, depths: [1], widths: {scale: [4], by: {choice: [1, 2]}}}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 2}
confirm: {members: 1, seeds: 1}
weights: second
"""


def both(tmp_path: Path, url: str) -> tuple[Mirror, Mirror]:
    """Return the second place as two machines see it, each with a folder of its own."""
    folders = [tmp_path / name for name in ("one", "two")]
    for each in folders:
        each.mkdir()
    one, two = (mirror(url, each, "a study", "0123456789abcdef") for each in folders)
    assert one
    assert two
    return one, two


@pytest.mark.parametrize("url", ["{}/second", "memory://second", "file://{}/second"])
def test_a_file_goes_there_and_comes_back(tmp_path: Path, url: str) -> None:
    """One machine writes it, another one reads it, a third time it is replaced, and it is removed once."""
    one, two = both(tmp_path, url.format(tmp_path))
    goes_round(one, two)
    assert ["7.pt"] == [each.name for each in two.folder.iterdir()]


def test_what_is_here_is_not_replaced(tmp_path: Path) -> None:
    """A checkpoint of this machine may be further than the one there."""
    one, two = both(tmp_path, "memory://kept")
    for each, content in ((one, b"there"), (two, b"here")):
        (each.folder / "a.checkpoint").write_bytes(content)
    one.push(one.folder / "a.checkpoint")
    two.fetch(two.folder / "a.checkpoint")
    assert b"here" == (two.folder / "a.checkpoint").read_bytes()


def test_a_place_that_cannot_be_written_is_said_and_gone_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file stays in the study's folder."""
    (tmp_path / "second").write_text("a file in its place")
    one, _ = both(tmp_path, str(tmp_path / "second"))
    (one.folder / "7.pt").write_bytes(b"first")
    one.push(one.folder / "7.pt")
    assert b"first" == (one.folder / "7.pt").read_bytes()
    assert "7.pt cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("given", "words"),
    [("sftp://me:secret@host/x", "a user or password"), ("nosuch://host/x", "cannot be opened")],
)
def test_a_place_with_a_secret_or_of_no_kind_is_refused(given: str, words: str) -> None:
    """A secret is not shown, and nothing is kept of it."""
    with pytest.raises(InputError, match=words) as caught:
        check(given)
    assert "secret" not in str(caught.value)


def test_weights_come_from_the_second_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A member is exported though the folder beside the storage is gone, as on another machine."""
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(STUDY, "utf-8")
    assert 0 == run(capsys, "study", "run", "study.yaml")[0]
    (place,) = Path("second").iterdir()
    assert any(each.name.endswith(".seed1.pt") for each in place.iterdir())
    assert not [each.name for each in place.iterdir() if each.name.endswith((".checkpoint", ".part"))]
    shutil.rmtree("study.db.weights")
    (name, *_) = [
        each["trial"] for each in json.loads(run(capsys, "study", "front", "study.yaml", "--json")[1])["members"]
    ]
    assert {f"{name}.pt", f"{name}.seed1.pt"} == {each.name for each in place.iterdir()}
    code, _, said = run(capsys, "export", "study.yaml", "--trial", name, "--to", "onnx", "-o", "net.onnx")
    assert (0, True) == (code, Path("net.onnx").is_file()), said
