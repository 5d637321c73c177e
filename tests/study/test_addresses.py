"""Where a study is stored, and that nobody is shown a password: URLs as people write them, and as nobody should."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from commands import run
from hypothesis import example, given
from hypothesis import strategies as st

from archcost import urls
from archcost.errors import InputError
from archcost.study.records.database.addresses import Address, address, shown

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "text", ["x.db", "./x.db", "a/../x.db", "sqlite:///{}/x.db", "sqlite+pysqlite:///{}/x.db", "{}/x.db", "link.db"]
)
def test_every_name_of_a_file_is_that_file(tmp_path: Path, text: str) -> None:
    """Paths, URLs and links: what is locked, read and kept beside is one file."""
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    assert Address(tmp_path / "x.db") == address(text.format(tmp_path), tmp_path)


@pytest.mark.parametrize("text", ["x?mode=memory.db", "a#b.db", "100%.db", "a:b", "päth.db"])
def test_a_files_name_may_hold_what_a_url_may_not(tmp_path: Path, text: str) -> None:
    """A path is no URL."""
    assert Address(tmp_path / text) == address(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", "a file, or the URL of a database"),
        (" ", "a file, or the URL of a database"),
        ("a\0b", "a file, or the URL of a database"),
        ("\udcff.db", "a file, or the URL of a database"),
        ("x" * 230, "a file's name of at most 220 bytes"),
        (":memory:", "a database in memory ends with its process"),
        ("file:x?mode=memory", "a database in memory ends with its process"),
        ("sqlite://", "a database in memory ends with its process"),
        ("sqlite:///:memory:", "a database in memory ends with its process"),
        ("sqlite:///file:x", "a database in memory ends with its process"),
        ("sqlite:///x.db?mode=memory&uri=true", "with three slashes and no options"),
        ("sqlite://x.db", "with three slashes and no options"),
        ("sqlite+aiosqlite:///x.db", "sqlite:///FILE or sqlite+pysqlite:///FILE"),
        ("postgresql://u@h:port/db", "dialect://user@host:port/database"),
        ("postgresql://u@[::1/db", "dialect://user@host:port/database"),
        ("postgresql:/u@h/db", "dialect://user@host:port/database"),
        ("://h/db", "dialect://user@host:port/database"),
    ],
)
def test_what_is_no_address_is_refused(tmp_path: Path, text: str, allowed: str) -> None:
    """With what is allowed instead."""
    with pytest.raises(InputError, match="storage: given") as refused:
        address(text, tmp_path)
    assert allowed in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:p@w/d@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://host/db?password=pw&sslmode=on", "postgresql://host/db?password=***&sslmode=on"),
        ("postgresql://host/db?sslpass%77ord=pw", "postgresql://host/db?sslpassword=***"),
        ("postgresql:/me:pw@host/db", "postgresql:/me:***@host/db"),
        ("://me:pw@host", "://me:***@host"),
        (" postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("ssh://me:pw@host:22", "ssh://me:***@host:22"),
        ("mysql+pymysql://me:pw@[::1", "mysql+pymysql://me:***@[::1"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, said: str) -> None:
    """Who connects where is shown, and what is not secret."""
    assert said == shown(url)


def test_what_is_no_url_is_shown_as_it_is() -> None:
    """Paths, addresses of mail and names of code have no password."""
    for text in ("a/b@c.db", "C:/me@home/x.db", "me@host", "nets:Mobile", "https://x.org/a?b=c", "ssh://me@host:22"):
        assert text == urls.shown(text)


_plain = st.text("abcxyz019._~-", min_size=1, max_size=8)
_around = st.text("ab1@:/?#[]%&=;!$ +'\"", max_size=6)  # what a password has around it that is looked for


@st.composite
def _urls(draw: st.DrawFn) -> str:
    """Draw URLs of databases and targets with a password somewhere, escaped or not, whole or broken."""
    scheme = draw(st.sampled_from(["postgresql", "postgresql+psycopg", "mysql", "mssql+pyodbc", "ssh", "x", ""]))
    slashes = draw(st.sampled_from(["://", ":/", ":///"])) if scheme not in ("", "x") else "://"
    secret = f"{draw(_around)}{SECRET}{draw(_around)}"
    secret = quote(secret, safe="") if draw(st.booleans()) else secret.replace("&", "")
    host = draw(st.sampled_from(["host", "host:5432", "host:port", "[::1]", "[::1", ""]))
    if draw(st.booleans()):
        return f"{draw(st.sampled_from(['', ' ']))}{scheme}{slashes}{draw(_plain)}:{secret}@{host}/{draw(_plain)}"
    key = draw(st.sampled_from(["password", "sslpassword", "PWD", "passw%6frd", "secret_key", "access_token"]))
    return f"{scheme}{slashes}{host}/{draw(_plain)}?sslmode=on&{key}={secret}"


@given(_urls())
@example(f"postgresql://u:a@{SECRET}/x@h/db")
@example(f"postgresql://u:{SECRET}@h?x=@y")
def test_no_secret_is_shown(url: str) -> None:
    """Whatever a URL looks like: by itself, as an address, in a message, in what a database's driver says."""
    assert SECRET not in shown(url)
    assert SECRET not in urls.shown(url)
    assert SECRET not in _said(url)


def _said(url: str) -> str:
    """Return all that is said of an address."""
    try:
        there = address(url, Path("/nowhere"))
    except InputError as error:
        return str(error)
    return f"{there} {there!r} {'' if there.file else there.hidden(f'cannot connect to {url}')}"


COMMANDS = (
    ("study", "status", "{}"),
    ("study", "front", "{}", "--json"),
    ("study", "export", "x.yaml", "--storage", "{}"),
    ("study", "run", "x.yaml", "--storage", "{}"),
    ("study", "run", "url.yaml"),
    ("study", "run", "url.yaml", "--debug"),
    ("study", "run", "x.yaml", "--set", "storage={}"),
    ("study", "run", "x.yaml", "--set", "objectives.1.target={}"),
    ("report", "{}", "-o", "page.html"),
    ("report", "{}", "more", "-o", "page.html"),
    ("export", "{}", "--trial", "1", "--to", "yaml"),
    ("profile", "resnet-20", "--target", "{}"),
    ("profile", "{}"),
    ("study", "status", "x.yaml", "{}"),
    ("study", "front", "{}", "--format", "{}"),
)
STUDY = """models: [{{family: bottleneck, depths: [1], widths: [8]}}]
data: {{name: digits}}
objectives: [{{error: min}}, {{latency: min}}]
storage: "{}"
"""


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@[::1",
        f"postgresql://me:{SECRET}@host:port/db",
        f"nodialect://me:{SECRET}@host/db",
        f"postgresql:/me:{SECRET}@host/db",
        f"://me:{SECRET}@host/db",
        f" nodialect://me:{SECRET}@host/db",
        f"nodialect://host/db?sslpassword={SECRET}",
        f"ssh://me:{SECRET}@host",
    ],
)
def test_no_command_shows_a_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Output, errors, tracebacks and files: exit code 2 or 3 with words, and no password anywhere."""
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(STUDY.format("x.db"), "utf-8")
    Path("url.yaml").write_text(STUDY.format(url), "utf-8")
    for command in COMMANDS:
        code, out, err = run(capsys, *[part.format(url) for part in command])
        assert code in (2, 3), (command, err)
        assert SECRET not in out + err, command
    assert ["url.yaml", "x.yaml"] == sorted(path.name for path in tmp_path.iterdir())
