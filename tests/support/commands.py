"""The command line as tests run it: in this process, with what it printed and its exit code."""

from __future__ import annotations

import pytest

from archcost import cli

SMALL = "family: fractal\ninput: [3, 8, 8]\nclasses: 4\ncolumns: 2\nwidths: [4, 8]\n"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command that was called wrongly says: exit code 2, nothing printed, no traceback."""
    code, out, err = run(capsys, *arguments)
    assert (2, "") == (code, out)
    assert "Traceback" not in err
    return err
