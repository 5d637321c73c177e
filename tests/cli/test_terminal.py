"""What is said on standard error: in lines of a terminal's width, in one line each where it goes to a file."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from archcost.cli import terminal

pty = pytest.importorskip("pty", reason="needs terminals of a Unix")
fcntl = pytest.importorskip("fcntl", reason="needs terminals of a Unix")
termios = pytest.importorskip("termios", reason="needs terminals of a Unix")

COLUMNS = 50
LONG = ("compare", "resnet-20", "--set", "widht=3")
MESSAGE = "resnet-20: widht"


def said(columns: int, *arguments: str) -> list[str]:
    """Return the lines that a command says on a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "archcost", *arguments]
    done = subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, check=False)
    os.close(theirs)
    assert done.returncode == 2
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:  # the other side is closed
        pass
    finally:
        os.close(ours)
    return text.decode().splitlines()


def test_a_terminal_gets_lines_of_its_width(tmp_path: Path) -> None:
    """The words are those that a file gets, in one line."""
    asked = ("check", "resnet-20", "--budget", str(tmp_path / "no.yaml"))
    lines = said(COLUMNS, *asked)
    done = subprocess.run([sys.executable, "-m", "archcost", *asked], capture_output=True, text=True, check=False)
    assert len(done.stderr.splitlines()) == 1
    assert len(lines) > 1
    assert done.stderr.split() == " ".join(lines).split()
    words = {len(word) for word in done.stderr.split()}
    assert max(map(len, lines)) <= max(COLUMNS, max(words) + 2)


def test_a_wide_terminal_gets_one_line(tmp_path: Path) -> None:
    """Nothing is wrapped that fits."""
    assert len(said(500, "check", "resnet-20", "--budget", str(tmp_path / "no.yaml"))) == 1


def test_words_and_commands_stay_whole() -> None:
    """A word longer than the line, and a line that begins with a space, are not cut."""
    command = "  archcost study run study.yaml --dry-run"
    given = ["note: see /a/path/that/is/longer/than/the/line for more", command]
    assert list(terminal._broken(given, 20)) == [
        *("note: see", "  /a/path/that/is/longer/than/the/line", "  for more"), command
    ]  # fmt: skip


def test_without_a_terminal_a_line_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    """However long it is: logs are searched line by line."""
    terminal.say("word " * 100)
    assert capsys.readouterr().err == "word " * 100 + "\n"
