"""An object store as people have one: weights, data and a study in s3, which moto serves here on loopback."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import refused, run
from mirrors import goes_round

from archcost.data.remote import copies
from archcost.data.remote.copies import Most
from archcost.data.remote.systems import below, opened
from archcost.study.records.database.addresses import address
from archcost.study.records.mirror import Mirror, mirror
from archcost.study.records.stored import find

moto = pytest.importorskip("moto.server", reason="moto with its server is not installed")
pytest.importorskip("s3fs", reason="the extra remote is not installed")

STUDY = """
models:
  - {family: module, factory: "mynet:Small", args: {width: {choice: [2, 3]}}}
data: {name: sequences, path: ../data/waves.npz}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 2, sampler: random}
confirm: {members: 1, seeds: 1}
weights: s3://bucket/weights
"""
NET = """
import time, torch

class Small(torch.nn.Module):
    def __init__(self, classes, input, width=2):
        super().__init__()
        self.first, self.last = torch.nn.Linear(input["features"], width), torch.nn.Linear(width, classes)

    def forward(self, x):
        return self.last(self.first(x).mean(1))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of s3 in this process, on a free port."""
    one = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    one.start()
    host, port = one.get_host_and_port()
    yield f"http://{host}:{port}"
    one.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file system with an empty bucket; the environment says where it is, as that of a worker does."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    system, _ = opened("s3://bucket")
    if system.exists("bucket"):
        system.rm("bucket", recursive=True)
    system.mkdir("bucket")
    return system


def put(system: Any, name: str, content: bytes | str) -> None:
    system.pipe_file(f"bucket/{name}", content if isinstance(content, bytes) else content.encode())


def waves(tmp_path: Path) -> bytes:
    """Return a small file of sequences."""
    x, y = np.random.default_rng(0).normal(size=(40, 3, 2)), np.arange(40) % 2
    np.savez(tmp_path / "waves.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return (tmp_path / "waves.npz").read_bytes()


def test_weights_go_there_and_come_back(bucket: Any, tmp_path: Path) -> None:
    """One machine writes, another one that has looked before sees it; a file is replaced, and removed once."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found.append(mirror("s3://bucket/weights", tmp_path / name, "a study", "0123456789abcdef"))
    one, two = found
    assert isinstance(one, Mirror)
    assert isinstance(two, Mirror)
    assert () == two.names()
    goes_round(one, two)


def test_copies_are_renewed_by_the_tag_of_an_object(bucket: Any) -> None:
    """An object of the same size is another one; names that would leave the folder are refused."""
    put(bucket, "a/x", "first")
    copy = copies.file("s3://bucket/a/x", 10)
    before = copy.stat()
    assert before == copies.file("s3://bucket/a/x", 10).stat()
    put(bucket, "a/x", "other")
    assert "other" == copies.file("s3://bucket/a/x", 10).read_text()
    put(bucket, "a/b/../../../out", "hostile")
    with pytest.raises(copies.InputError, match="names that stay in their folder"):
        copies.folder("s3://bucket/a", below(""), lambda _: True, Most(10, 10**6))


def test_data_sets_with_a_name_are_found_there(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """ARCHCOST_DATA names a bucket's folder; what is not there is said."""
    monkeypatch.setenv("ARCHCOST_DATA", "s3://bucket/data")
    for part in ("train", "valid", "test"):
        put(bucket, f"data/ptb/ptb.{part}.txt", "a rose is a rose\n" * 30)
    listed = {each["name"]: each for each in json.loads(run(capsys, "datasets", "--json")[1])["datasets"]}
    assert ("s3://bucket/data/ptb", False) == (listed["ptb"]["source"], listed["mnist"]["here"])
    text = "models: [{family: hornn, order: 1, hidden: 2}]\ndata: {name: %s}\nobjectives: [{%s: min}]\n"
    (tmp_path / "text.yaml").write_text(text % ("ptb", "perplexity"), "utf-8")
    code, out, err = run(capsys, "study", "run", "text.yaml", "--dry-run")
    assert (0, True) == (code, "perplexity" in out), err
    (tmp_path / "mnist.yaml").write_text(text % ("mnist", "error"), "utf-8")
    assert "'mnist' is not in 's3://bucket/data/mnist' or" in refused(capsys, "study", "run", "mnist.yaml")


def test_a_study_there_runs_and_its_weights_are_there(
    bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """STUDY, its code and data are in the bucket; a member is exported by a machine that has trained nothing."""
    url = "s3://bucket/studies/mine/study.yaml"
    put(bucket, "studies/mine/study.yaml", STUDY)
    put(bucket, "studies/mine/mynet.py", NET)
    put(bucket, "studies/data/waves.npz", waves(tmp_path))
    code, _, err = run(capsys, "study", "worker", url, "--workers", "1", "--allow-code", "--storage", "mine.db")
    assert 0 == code, err
    (place,) = bucket.ls("bucket/weights", detail=False)
    shutil.rmtree("mine.db.weights")
    given = (url, "--storage", "mine.db")
    (member, *_) = json.loads(run(capsys, "study", "front", *given, "--json")[1])["members"]
    assert f"{place}/{member['trial']}.seed1.pt" in bucket.ls(place, detail=False)
    code, _, err = run(
        capsys, "export", *given, "--trial", member["trial"], "--to", "onnx", "-o", "net.onnx", "--allow-code"
    )
    assert (0, True) == (code, Path("net.onnx").is_file()), err
    put(bucket, "studies/mine/study.yaml", STUDY.replace("epochs: 1", "epochs: x"))
    assert f"{url}:6:15: fit.epochs: given 'x'" in refused(capsys, "study", "status", *given)


def test_a_killed_training_goes_on_elsewhere(bucket: Any, tmp_path: Path) -> None:
    """From its checkpoint in the bucket: the machine that goes on has no folder of weights."""
    put(bucket, "mine/study.yaml", STUDY.replace("../data/", "").replace("epochs: 1, rungs: [1]", "epochs: 100"))
    put(
        bucket,
        "mine/mynet.py",
        NET.replace("        return", "        time.sleep(0.2 * self.training)\n        return"),
    )
    put(bucket, "mine/waves.npz", waves(tmp_path))
    words = ["-m", "archcost", "study", "worker", "s3://bucket/mine/study.yaml", "--workers", "1", "--allow-code"]
    words += ["--set", "search.trials=1", "--set", "confirm.members=0", "--storage", str(tmp_path / "killed.db")]
    first = subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not _checkpoints() and time.monotonic() < until and first.poll() is None:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert _checkpoints()
    shutil.rmtree(tmp_path / "killed.db.weights")
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    lost, found = find(address("killed.db", tmp_path)).trials()
    assert ("interrupted", "complete") == (lost.fate, found.fate)
    assert found.ended is not None
    assert found.ended.before_s > 0


def _checkpoints() -> list[str]:
    system, _ = opened("s3://bucket")
    return [str(each) for each in system.find("bucket/weights") if str(each).endswith(".checkpoint")]


def test_a_server_that_is_not_there_is_said(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, no traceback; the same for a bucket that is not there."""
    assert "cannot read 's3://other/study.yaml': " in refused(capsys, "study", "status", "s3://other/study.yaml")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    err = refused(capsys, "study", "status", "s3://bucket/study.yaml")
    assert "cannot read 's3://bucket/study.yaml': " in err
    assert 1 == len(err.splitlines())
