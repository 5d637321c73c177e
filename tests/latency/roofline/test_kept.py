"""Peaks in the cache: read as they were written; what is damaged, foreign or cannot be read is never believed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from planted_peaks import peaks

from archcost.errors import InputError, TargetError
from archcost.latency.kept import Unusable
from archcost.latency.roofline import kept, stock
from archcost.latency.roofline.kept import Kept, Key, keep, known, place
from archcost.latency.roofline.roof import Peaks
from archcost.latency.samples import Conditions
from archcost.latency.targets import Target, fake, find

KEY = Key("0123456789ab", "cpu", 1, (0, 1), None, (("torch", "2.13.0"), ("python", "3.11.7")))
THEN = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)


def written(folder: Path, flops: float = 1e11, of: Key = KEY) -> Kept:
    """Keep peaks and return them."""
    made = Kept(of, peaks(flops, threads=of.threads), THEN)
    keep(made, folder)
    return made


def device(flops: float = 1e11) -> Target:
    """Return a target that counts how often its peaks are measured, in the FLOP/s it gives."""
    times = iter(range(1, 100))

    def measured(threads: int) -> Peaks:
        return peaks(flops * next(times), threads=threads)

    return Target("fake", "", fake.describe, fake.measure, peaks=measured)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """Every number, the key and the time of measuring come back as they were."""
    made = written(tmp_path / "new" / "roofline")
    assert made == known(KEY, tmp_path / "new" / "roofline")
    assert 3600.0 == made.age_s(THEN + timedelta(hours=1))
    assert 0.0 == made.age_s(THEN - timedelta(hours=1))


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    """Neither without a folder nor in an empty one."""
    assert known(KEY, tmp_path) is None
    assert known(KEY, tmp_path / "none") is None


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": "ba9876543210"},
        {"target": "cpu:0"},
        {"threads": 2},
        {"affinity": None},
        {"quota_cores": 1.5},
        {"versions": (("torch", "2.14.0"), ("python", "3.11.7"))},
    ],
)
def test_peaks_of_another_key_are_not_found_and_not_believed(tmp_path: Path, other: dict[str, object]) -> None:
    """They have another file; a file that was copied into the place of another is refused."""
    written(tmp_path)
    others = replace(KEY, **other)  # type: ignore[arg-type]
    assert known(others, tmp_path) is None
    place(KEY, tmp_path).rename(place(others, tmp_path))
    found = known(others, tmp_path)
    assert isinstance(found, Unusable)
    assert "of another device" in found.why


def changed(text: str, path: str, value: object) -> str:
    """Return a document with one value changed; a path ends in a key or a place."""
    made = json.loads(text)
    *inside, last = (int(part) if part.isdigit() else part for part in path.split("."))
    at = made
    for part in inside:
        at = at[part]
    at[last] = value
    return json.dumps(made)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("peaks.flops.0.peak.value", -1.0),
        ("peaks.flops.0.peak.value", 1e20),
        ("peaks.flops.0.peak.value", "1e11"),
        ("peaks.flops.0.peak.low", None),
        ("peaks.flops.0.more", 1),
        ("peaks.levels.3.peak", None),
        ("peaks.levels.0.name", "L4"),
        ("peaks.levels", []),
        ("peaks.threads", 2),
        ("peaks.threads", True),
        ("peaks", None),
        ("measured", "yesterday"),
        ("measured", "2026-11-30T07:00:00"),
        ("schema", 2),
        ("key", {}),
        ("more", 1),
    ],
)
def test_a_changed_file_is_not_believed(tmp_path: Path, path: str, value: object) -> None:
    """What no measurement gives, another schema and unknown keys are refused with a reason."""
    written(tmp_path)
    file = place(KEY, tmp_path)
    file.write_text(changed(file.read_text("utf-8"), path, value), "utf-8")
    assert isinstance(known(KEY, tmp_path), Unusable)


def test_no_part_of_a_file_is_believed(tmp_path: Path) -> None:
    """Cut anywhere it is damaged; so are an empty file, other bytes, one without end, and a folder in its place."""
    written(tmp_path)
    file = place(KEY, tmp_path)
    whole = file.read_bytes()
    for cut in range(0, len(whole) - 1, 97):
        file.write_bytes(whole[:cut])
        assert isinstance(known(KEY, tmp_path), Unusable), cut
    for content in (b"\xff\x00", b"[" * 60_000, whole + b" " * 70_000, whole.replace(b"100000000000.0", b"NaN")):
        file.write_bytes(content)
        assert isinstance(known(KEY, tmp_path), Unusable), content[:9]
    file.unlink()
    file.mkdir()
    assert isinstance(known(KEY, tmp_path), Unusable)


def test_a_reason_is_one_visible_line(tmp_path: Path) -> None:
    """What is in the file does not reach a terminal as it is."""
    written(tmp_path)
    file = place(KEY, tmp_path)
    file.write_text(changed(file.read_text("utf-8"), "schema", "\x1b[2J\n\u202e"), "utf-8")
    assert str(known(KEY, tmp_path)).isprintable()


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    """Whoever reads meanwhile sees the peaks of one of them, or none yet; nothing else is left."""
    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(written, tmp_path, 1e11 + i) for i in range(40)]
        seen = [known(KEY, tmp_path) for _ in range(200)]
        made = [each.result() for each in writers]
    assert all(each is None or each in made for each in seen)
    assert known(KEY, tmp_path) in made
    assert [place(KEY, tmp_path).name] == [each.name for each in tmp_path.iterdir()]


def test_peaks_are_measured_on_first_use_and_then_kept(tmp_path: Path) -> None:
    """The second use measures nothing; measuring again replaces them."""
    target = device()
    of = stock.key_of(target.describe(), None, Conditions())
    flops = [
        found.kept.peaks.flops_per_s("float32")
        for found in (
            stock.at_hand(of, target, folder=tmp_path),
            stock.at_hand(of, target, folder=tmp_path),
            stock.measured(of, target, folder=tmp_path),
            stock.at_hand(of, target, folder=tmp_path),
        )
    ]
    assert [1e11, 1e11, 2e11, 2e11] == flops


def test_what_is_damaged_is_measured_again_and_said(tmp_path: Path) -> None:
    """First use finds a file that it cannot believe, names it, and puts a good one in its place."""
    target = device()
    of = stock.key_of(target.describe(), None, Conditions())
    place(of, tmp_path).write_text("{}", "utf-8")
    found = stock.at_hand(of, target, folder=tmp_path)
    assert ["measured again" in each for each in found.remarks] == [True]
    assert found.kept == known(of, tmp_path)


def test_peaks_that_cannot_be_kept_are_still_of_use(tmp_path: Path) -> None:
    """A file in the place of the folder: they are measured, and a remark says that they are not kept."""
    (tmp_path / "file").write_text("", "utf-8")
    target = device()
    found = stock.measured(stock.key_of(target.describe(), 1, Conditions()), target, folder=tmp_path / "file" / "in")
    assert 1e11 == found.kept.peaks.flops_per_s("float32")
    assert ["not kept" in each for each in found.remarks][-1:] == [True]


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_more_threads_than_cpus_are_refused(threads: int) -> None:
    """The message says how many there may be."""
    with pytest.raises(InputError, match="1 to 64"):
        stock.key_of(fake.describe(), threads, Conditions())


def test_peaks_of_what_has_none_are_refused(tmp_path: Path) -> None:
    """A target elsewhere, or a GPU, cannot be measured yet."""
    target = find("fake")
    with pytest.raises(TargetError, match="on processors of this machine"):
        stock.at_hand(stock.key_of(target.describe(), 1, Conditions()), target, folder=tmp_path)
    assert find("cpu").peaks is not None


def test_the_key_has_the_versions_and_the_cpus() -> None:
    """What runs the kernels and what of the processor may be used are part of it."""
    made = kept.key(fake.describe(), 3, Conditions(affinity=(1,), quota_cores=2.0))
    assert (3, (1,), 2.0, fake.DEVICE.fingerprint) == (made.threads, made.affinity, made.quota_cores, made.fingerprint)
    assert {"archcost", "torch", "onnxruntime", "python"} == {name for name, _ in made.versions}
    assert json.loads(json.dumps(asdict(made)))["target"] == "fake"
