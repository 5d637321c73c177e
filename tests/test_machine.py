"""Memory is short or not, in the same words wherever it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from archcost.machine import saturates, shortage

SHORTAGES: list[tuple[int, int | None, str]] = [
    (1001, 1000, "needs 1.00 kB of memory, 1.00 kB are free"),
    (2 * 10**9, 103, "needs 2.00 GB of memory, 103 B are free"),
    (1000, 1000, ""),
    (10**15, None, ""),
]


@pytest.mark.parametrize(("needed", "free", "expected"), SHORTAGES)
def test_memory_is_short(needed: int, free: int | None, expected: str) -> None:
    """From the first byte that is too many; never where nobody knows what is free."""
    assert expected == shortage(needed, free)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", False),
        ("flags\t\t: avx512f avx512_vnni\n", False),
        ("processor\t: 0\nFeatures\t: asimd asimddp\n", False),
        ("", False),
    ],
)
def test_x86_without_vnni_saturates(cpuinfo: str, expected: bool, tmp_path: Path) -> None:
    """Its flags say so; of another processor, or without flags, it is not known that it does."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert expected == saturates(tmp_path)
