"""No message prints a password: whatever is quoted, and the line of a file that is pointed at, is shown without it."""

from __future__ import annotations

import pytest
from commands import run
from hypothesis import assume, given
from hypothesis import strategies as st

from archcost.errors import InputError, Place, quoted
from archcost.latency import targets
from archcost.urls import shown

SHOWN = {
    "ssh://user:pw@host": "ssh://user:***@host",
    "ssh://user@host": "ssh://user@host",
    "ssh://user@host:22": "ssh://user@host:22",
    "ssh://host:22": "ssh://host:22",
    "ssh://me@[::1]:22": "ssh://me@[::1]:22",
    "ssh://user:pw@[::1": "ssh://user:***@[::1",
    "ssh://user:pw@host:99999": "ssh://user:***@host:99999",
    "ssh://:pw@host": "ssh://:***@host",
    "ssh://user:@host": "ssh://user:***@host",
    "ssh://u:p@s:s/w@rd?#&@host/x": "ssh://u:***@host/x",
    "ssh://u:my pass@host": "ssh://u:***@host",
    "ssh://u:x://y@host": "ssh://u:***@host",
    "ssh:/u:pw@host": "ssh:/u:***@host",
    "//u:pw@host": "//u:***@host",
    "SSH://u:pw@host": "SSH://u:***@host",
    "postgresql+psycopg://u:p%40w@h:5432/db": "postgresql+psycopg://u:***@h:5432/db",
    "given ssh://a:b@c, ssh://d:e@f and ssh://g@h": "given ssh://a:***@c, ssh://d:***@f and ssh://g@h",
    "postgresql://h/db?user=me&password=x&sslmode=on": "postgresql://h/db?user=me&password=***&sslmode=on",
    "mysql://h/db?PassWd=x&ssl%5Fkey=y&a=b": "mysql://h/db?PassWd=***&ssl%5Fkey=***&a=b",
    "mysql://h/db?p%61ssword=x;y z": "mysql://h/db?p%61ssword=***",
    "cannot use 'mysql://h/db?pwd=x': gone": "cannot use 'mysql://h/db?pwd=***",
    "mysql://u:pw@h/db?auth_token=x": "mysql://u:***@h/db?auth_token=***",
    "no.module:thing": "no.module:thing",
    "sqlite:////home/me/study.db": "sqlite:////home/me/study.db",
    "a: b@c": "a: b@c",
    "": "",
}


@pytest.mark.parametrize("text", SHOWN)
def test_passwords_are_hidden(text: str) -> None:
    """Of a URL everything but its password is shown, and what has none is shown as it is."""
    assert SHOWN[text] == shown(text)
    assert SHOWN[text] == shown(SHOWN[text])


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("ab:/@?&=#[]%. '\"", min_size=1))
def test_no_password_is_shown(user: str, junk: str) -> None:
    """Whatever characters are around it, short of another URL, nothing of a secret before the host is left."""
    assume("://" not in junk)
    name = user.translate(dict.fromkeys(map(ord, ":/@\\"), "_"))
    for secret in (f"SECRET{junk}", f"{junk}SECRET", f"{junk}SECRET{junk}"):
        assert "SECRET" not in shown(f"ssh://{name}:{secret}@host")


def test_a_hostile_text_takes_no_time() -> None:
    """A megabyte of anything is read a few times at most: read again from each place it would take hours."""
    for piece in ("a", "a:", "//", "a://", " a://b:c@d", "?", "?a", "?key=", "&", "@", ":", "a.b+c-", "%", " ", " a"):
        for start in ("", "ssh://", "ssh://u:p@h?"):
            assert shown(start + piece * (10**6 // len(piece)))


def test_a_long_password_is_hidden_before_it_is_cut() -> None:
    """A text is cut behind 60 characters, which may be before the @."""
    assert "'ssh://user:***@host'" == quoted(f"ssh://user:{'pw' * 50}@host")


def test_the_line_that_is_pointed_at_hides_it() -> None:
    """The source line below a mistake has no password, and the caret stands where it did."""
    line = 'target: "ssh://user:hunter2@host"  # wrong'
    assert ['    target: "ssh://user:***@host"  # wrong', "            ^"] == Place(
        "study.yaml", 1, 9, line
    ).caret().splitlines()[1:]
    behind = Place("study.yaml", 1, line.index("#") + 1, line).caret().splitlines()
    assert behind[1].index("#") == behind[2].index("^")


NAMES = [
    "ssh://user:hunter2@host", "ssh://user:hunter2@host:99999", "ssh://user:hunter2@[::1", "ssh://u:hunter2/x@host",
    "sshx://user:hunter2@host", "ssh:user:hunter2@host", "ssh:/user:hunter2@host", "user:hunter2@host",
    "cpu:user:hunter2@host", "cpu:ssh://user:hunter2@host", "cuda:ssh://user:hunter2@host",
    "mps:ssh://user:hunter2@host", "fake:ssh://user:hunter2@host", f"ssh://user:hunter2{'x' * 99}@host",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_target_hides_its_password(name: str) -> None:
    """A target with a password is refused, and the message has the host, not the password."""
    with pytest.raises(InputError) as error:
        targets.find(name)
    assert "hunter2" not in str(error.value)
    assert "***@" in str(error.value)


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_command_prints_a_password(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory, debug: tuple[str, ...]
) -> None:
    """Not from an option, an override, or the line of a file that is wrong."""
    name = "ssh://user:hunter2@host"
    study = tmp_path_factory.mktemp("study") / "study.yaml"
    study.write_text(
        "models: [{family: bottleneck, depths: [1], widths: [8]}]\ndata: {name: digits}\n"
        f'objectives: [{{error: min}}, {{latency: min, target: "{name}"}}]\n'
    )
    for command in (
        ("profile", "resnet-20", "--target", name),
        ("compare", "resnet-20", "resnet-20", "--target", name),
        ("study", "run", str(study), "--dry-run"),
        ("study", "run", str(study), "--dry-run", "--set", f"objectives.1.target={name}"),
        ("study", "run", str(study), "--dry-run", "--set", f"objectives.1.target:{name}"),
    ):
        code, out, err = run(capsys, *command, *debug)
        assert (2, "") == (code, out)
        assert ("user:***@host" in err, "hunter2" in err) == (True, False)
