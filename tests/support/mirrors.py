"""What two machines see of a second place of weights that both have."""

from __future__ import annotations

from archcost.study.records.mirror import Mirror


def goes_round(one: Mirror, two: Mirror) -> None:
    """Let one write a file, and write it again, and the other one read it each time and remove it at last."""
    for content in (b"first", b"second"):
        (one.folder / "7.pt").write_bytes(content)
        one.push(one.folder / "7.pt")
        (two.folder / "7.pt").unlink(missing_ok=True)
        two.fetch(two.folder / "7.pt")
        assert content == (two.folder / "7.pt").read_bytes()
    assert ("7.pt",) == two.names()
    two.discard(two.folder / "7.pt")
    two.discard(two.folder / "7.pt")
    assert () == one.names()
