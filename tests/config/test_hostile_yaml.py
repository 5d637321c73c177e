"""Hostile and damaged files: each one is read or refused with a message, and nothing else ever happens."""

from __future__ import annotations

import re
import unicodedata

import pytest
from mutants import MODELS, mutants

from archcost.config.document import MAX_BYTES, MAX_MISTAKES, Document, read_bytes
from archcost.errors import InputError

CHUNKS = 10
MUTANTS_OF_A_CHUNK = 3_000

# name: (the file, what the message begins with after the file's name)
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", ": the file is empty"),
    "only comments": (b"# family: nin\n\n# no more\n", ": the file is empty"),
    "only a marker": (b"---\n", ": the file is empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", ": the file is empty"),
    "UTF-16 little": ("a: 1".encode("utf-16"), ":1:1: UTF-16 is not read; save as UTF-8"),
    "UTF-16 big": (b"\xfe\xff" + "a: 1".encode("utf-16-be"), ":1:1: UTF-16 is not read"),
    "UTF-32 little": ("a: 1".encode("utf-32"), ":1:1: UTF-32 is not read"),
    "UTF-32 big": (b"\0\0\xfe\xff" + "a: 1".encode("utf-32-be"), ":1:1: UTF-32 is not read"),
    "UTF-16 without a mark": ("a: 1".encode("utf-16-le"), ":1:2: character U+0000 is not allowed"),
    "Latin-1": ("a: 1\nb: café\n".encode("latin-1"), ":2:7: byte 0xe9 is not UTF-8 ('é' in Latin-1)"),
    "Latin-1 after a mark": (b"\xef\xbb\xbfa: \xe9", ":1:4: byte 0xe9 is not UTF-8"),
    "UTF-8 cut short": (b"a: \xf0\x9f\x98", ":1:4: byte 0xf0 is not UTF-8"),
    "overlong UTF-8": (b"a: \xc0\xaf", ":1:4: byte 0xc0 is not UTF-8"),
    "surrogate in UTF-8": (b"a: \xed\xa0\x80", ":1:4: byte 0xed is not UTF-8"),
    "beyond Unicode": (b"a: \xf4\x90\x80\x80", ":1:4: byte 0xf4 is not UTF-8"),
    "NUL": (b"a: 1\nb: x\0y\n", ":2:5: character U+0000 is not allowed"),
    "terminal escape": (b"a: \x1b[2J", ":1:4: character U+001B is not allowed"),
    "DEL": (b"a: \x7f", ":1:4: character U+007F is not allowed"),
    "key hidden behind U+2028": ("# harmless\u2028evil: 1\na: 1".encode(), ":1:11: character U+2028 is not allowed"),
    "key hidden behind U+0085": ("# harmless\u0085evil: 1\na: 1".encode(), ":1:11: character U+0085 is not allowed"),
    "second byte order mark": ("a: 1\n\ufeffb: 2".encode(), ":2:1: character U+FEFF is not allowed"),
    "noncharacter": ("a: \uffff".encode(), ":1:4: character U+FFFF is not allowed"),
    "half a surrogate pair": (b'a: "\\ud800"', ":1:4: half a surrogate pair is not a character"),
    "half a pair in a key": (b'"\\udc00": 1', ":1:1: half a surrogate pair is not a character"),
    "escape beyond Unicode": (b'a: "\\U00110000"', ":1:7: a number here is out of range"),
    "escape beyond C": (b'a: "\\UFFFFFFFF"', ":1:7: a number here is out of range"),
    "version of 5,000 digits": (b"%YAML 1." + b"1" * 5_000, ":1:9: a number here is out of range"),
    "YAML 1.1": (b"%YAML 1.1\n---\na: no", ":1:1: directives such as %YAML and %TAG are not allowed"),
    "tag directive": (b"%TAG ! tag:yaml.org,2002:\n---\na: !int 1", ":1:1: directives such as"),
    "unknown directive": (b"# first\n%SECRET\n---\na: 1", ":2:1: directives such as"),
    "Python object": (b"a: !!python/object/apply:os.system ['id']", ":1:4: tag 'tag:yaml.org,2002:python/object/apply"),
    "local tag": (b"a: !x 1", ":1:4: tag '!x' is not allowed"),
    "bare tag": (b"a: ! 1", ":1:4: tag '!' is not allowed"),
    "verbatim tag": (b"!<tag:x> {a: 1}", ":1:1: tag 'tag:x' is not allowed"),
    "undefined tag handle": (b"a: !x!y 1", ":1:4: found undefined tag handle '!x!'"),
    "billion laughs": (
        b"a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
        ":1:4: 'a' is an anchor or alias, which are not allowed",
    ),
    "list in itself": (b"&a [*a]", ":1:1: 'a' is an anchor or alias"),
    "alias to nothing": (b"a: *b", ":1:4: 'b' is an anchor or alias"),
    "alias as a key": (b"*b : 1", ":1:1: 'b' is an anchor or alias"),
    "merge key": (b"<<: {a: 1}", ":1:1: merge keys (<<) are not allowed"),
    "duplicate key": (b"a: 1\nb: 2\na: 3", ":3:1: duplicate key 'a'; the first is at 1:1"),
    "duplicate in disguise": (b'a: 1\n"\\x61": 3', ":2:1: duplicate key 'a'; the first is at 1:1"),
    "duplicate of a number": (b"{1: a, '1': b}", ":1:8: duplicate key '1'; the first is at 1:2"),
    "list as a key": (b"? [a]\n: 1", ":1:3: a key must be text, not a list or a mapping"),
    "mapping as a key": (b"{{a: 1}: 2}", ":1:2: a key must be text, not a list or a mapping"),
    "null as a key": (b"~: 1", ":1:1: a key must be text that is not empty"),
    "nothing as a key": (b"?\n: 1", ":1:2: a key must be text that is not empty"),
    "empty text as a key": (b"'': 1\na: 2", ":1:1: a key must be text that is not empty"),
    "two documents": (b"a: 1\n---\na: 2", ":2:1: a second document starts here; only one is allowed"),
    "document after the end": (b"a: 1\n...\n---\nb: 2", ":3:1: a second document starts here"),
    "infinity": (b"a: .inf", ":1:4: '.inf' is not allowed; numbers must be finite"),
    "minus infinity": (b"a: -.INF", ":1:4: '-.INF' is not allowed; numbers must be finite"),
    "no number": (b"[.NaN]", ":1:2: '.NaN' is not allowed; numbers must be finite"),
    "overflow": (b"a: 1e999", ":1:4: '1e999' is not allowed; numbers must be finite"),
    "overflow without an exponent": (b"a: " + b"9" * 400 + b".0", ":1:4: '999"),
    "integer over 2^53": (b"a: 9007199254740993", ":1:4: '9007199254740993' is too large; integers lie between"),
    "integer under -2^53": (b"a: -9007199254740993", ":1:4: '-9007199254740993' is too large"),
    "hexadecimal over 2^53": (b"a: 0x20000000000001", ":1:4: '0x20000000000001' is too large"),
    "octal over 2^53": (b"a: 0o400000000000000001", ":1:4: '0o400000000000000001' is too large"),
    "integer of 5,000 digits": (b"a: " + b"7" * 5_000, ":1:4: '777777777777777777777777777777"),
    "hexadecimal of 1 MiB": (b"0x" + b"f" * (MAX_BYTES - 2), ":1:1: '0xffffffffff"),
    "tab before a key": (b"a:\n\tb: 1", ":2:1: a tab is not allowed here; indent with spaces"),
    "tab after a colon": (b"a:\t1", ":1:3: a tab is not allowed here"),
    "open list": (b"a: [1, 2\n", ":2:1: expected ',' or ']', but got text end, while parsing a flow sequence"),
    "open mapping": (b"a: {b: 1\n", ":2:1: expected ',' or '}', but got text end"),
    "open quote": (b"a: 'x\n", ":2:1: found unexpected end of text, while scanning a quoted scalar that starts at 1:4"),
    "closed too often": (b"a: ]", ":1:4: expected the node content, but found ']'"),
    "wrong indentation": (
        b"a:\n  b: 1\n c: 2",
        ":3:2: expected block end, but found block mapping start (is the inden",
    ),
    "two colons": (b"a: b: c", ":1:5: mapping values are not allowed here (is the indentation right?)"),
    "key without a colon": (b"a: 1\nb\nc: 2", ":3:1: could not find expected ':'"),
    "reserved character": (b"a: @b", ":1:4: found character '@' that cannot start any token; quotes make it text"),
    "unknown escape": (b'a: "\\q"', ":1:6: found unknown escape character 'q'"),
    "key of 2,000 characters": (b"k" * 2_000 + b": 1", ":1:2001: mapping values are not allowed here"),
    "more than 1 MiB": (b"#" * (MAX_BYTES + 1), ": is larger than 1 MiB"),
    "65 lists": (b"[" * 65 + b"]" * 65, ":1:65: nested deeper than 64 levels"),
    "1 MiB of [": (b"[" * MAX_BYTES, ":1:65: nested deeper than 64 levels"),
    "1 MiB of {": (b"{" * MAX_BYTES, ":1:2: a key must be text, not a list or a mapping"),
    "1 MiB of - ": (b"- " * (MAX_BYTES // 2), ":1:129: nested deeper than 64 levels"),
    "1 MiB of ? ": (b"? " * (MAX_BYTES // 2), ":1:3: a key must be text, not a list or a mapping"),
    "1 MiB of {a: ": (b"{a: " * (MAX_BYTES // 4), ":1:257: nested deeper than 64 levels"),
    "1 MiB of a: ": (b"a: " * (MAX_BYTES // 3), ":1:5: mapping values are not allowed here"),
    "1 MiB of &a [*a, ": (b"&a [*a, " * (MAX_BYTES // 8), ":1:1: 'a' is an anchor or alias"),
    "1 MiB of one quote": (b'"' * MAX_BYTES, ":1:3: expected document start, but found scalar"),
    "1 MiB of values": (b"[" + b"1," * (MAX_BYTES // 2 - 1), ":1:100000: more than 50,000 values are not allowed"),
    "1 MiB of keys": (b"{" + b"a," * (MAX_BYTES // 2 - 1), ":1:4: duplicate key 'a'; the first is at 1:2"),
    "1 MiB of documents": (b"---\n" * (MAX_BYTES // 4), ":2:1: a second document starts here"),
}

ACCEPTED: dict[str, tuple[bytes, object]] = {
    "64 lists": (b"[" * 64 + b"]" * 64, None),
    "one word of 1 MiB": (b"x" * MAX_BYTES, None),
    "one text of 1 MiB": (b"'" + b"x" * (MAX_BYTES - 2) + b"'", None),
    "half a million lines of one text": (b"x\n" * (MAX_BYTES // 2), None),
    "one line of comment of 1 MiB": (b"a: 1 #" + b"#" * (MAX_BYTES - 6), {"a": 1}),
    "half a million empty lines": (b"\n" * (MAX_BYTES - 4) + b"a: 1", {"a": 1}),
    "5,000 digits that are small": (b"a: " + b"0" * 5_000 + b"7", {"a": 7}),
    "a fraction of 5,000 digits": (b"a: 0." + b"0" * 5_000 + b"7", {"a": 0.0}),
    "turned text": ("a: '\u202e1'".encode(), {"a": "\u202e1"}),
    "controls as escapes": (b'a: "\\0\\e\\u2028"', {"a": "\0\x1b\u2028"}),
    "words of other programs": (
        b"[__class__, constructor, $ref, '=cmd()']",
        ["__class__", "constructor", "$ref", "=cmd()"],
    ),
}


@pytest.mark.parametrize(("data", "begins"), REFUSED.values(), ids=REFUSED)
def test_a_hostile_file_is_refused_at_its_place(data: bytes, begins: str) -> None:
    """Each hostile file is an InputError whose first line says where and what."""
    with pytest.raises(InputError) as caught:
        read_bytes(data, "m.yaml")
    assert f"m.yaml{begins}" == str(caught.value)[: len(begins) + 6]
    check_message(caught.value)


@pytest.mark.parametrize(("data", "tree"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_strange_file_within_the_limits_is_read(data: bytes, tree: object) -> None:
    """What is only strange is read; the tree is compared where the table names it."""
    found = read_bytes(data, "m.yaml").tree
    assert (found if tree is None else tree) == found


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mutant_is_read_or_refused(chunk: int) -> None:
    """30,000 damaged files: each is a Document or an InputError with clean messages."""
    for number, data in enumerate(mutants(MODELS, MUTANTS_OF_A_CHUNK, chunk)):
        try:
            assert isinstance(read_bytes(data, "m.yaml"), Document)
        except InputError as error:
            check_message(error)
        except Exception as error:
            pytest.fail(f"mutant(MODELS, '{chunk}/{number}'), {data!r}: {error!r}")


def test_the_mutants_are_the_same_every_time() -> None:
    """A mutant depends on its seed alone, and mutants differ."""
    first = list(mutants(MODELS, 50, 1))
    assert first == list(mutants(MODELS, 50, 1))
    assert first[:10] == list(mutants(MODELS, 10, 1))
    assert 45 < len(set(first + list(mutants(MODELS, 50, 2)))) <= 100


def check_message(error: InputError) -> None:
    assert 1 <= len(error.mistakes) <= MAX_MISTAKES
    hidden = {c for c in str(error) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert hidden <= {"\n"}
    for mistake in error.mistakes:
        assert re.match(r"m\.yaml(:[0-9]+:[0-9]+)?: ", str(mistake))
