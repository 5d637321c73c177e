"""Damaged files from sound ones: seeded, so that a number brings each of them back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

MODELS: tuple[bytes, ...] = (
    b"""# yaml-language-server: $schema=model.json
name: resnet-56
family: bottleneck
input: [3, 32, 32]
classes: 10
stem: {channels: 16, kernel: 3, stride: 1, pool: none}
block: basic
depths: [9, 9, 9]
widths: [16, 32, 64]
shortcut: pad
""",
    b"""family: nin
input:
  - 3
  - 32
  - 32
classes: 10
layers:
  - {kernel: 5, widths: [192, 160, 96], pool: max, dropout: 0.5}
  - kernel: 5
    widths: [192, 192, 192]   # the spatial one, then two 1x1
    pool: avg
    sparse: [0, 1, 1]
    span: 4
  - {kernel: 3, widths: [192, 192, 10]}
""",
    b"""name: 'fractal: C=3'
family: fractal
input: [3, 32, 32]
classes: 100
columns: 3
widths: [64, 128, 256]
drop_path: {local: 0.15, global: .5}
dropout: [0, 1e-1, 2.0E-1]
use_columns: ~
""",
    b"""---
name: "hornn \\u00e9"
family: hornn
input: {steps: 35, vocab: 10000}
hidden: 400
order: 3
pooling: fofe
alpha: +0.6
embedding: null
...
""",
    """models:
- {family: fractal, columns: {int: [1, 3]}, widths: {scale: [16, 32], by: {choice: [1, 2]}}}
data: {name: digits, as: image}
notes: >-
  two lines – folded
  into one
literal: |
  kept: as it is
objectives: [{error: min}, {latency: min, target: cpu}]
limits: {params: 1M, latency: 5 ms}
""".encode(),
)

# What files break parsers with: the grammar's own characters, other encodings, YAML 1.1, other programs' doors.
TOKENS: tuple[bytes, ...] = (
    *b"[ ] { } , : ? - # & * ! | > ' \" % @ ` ~ \\".split(),
    *(b"\n", b"\r", b"\r\n", b"\t", b" ", b"  ", b": ", b"- ", b"? ", b" #", b"\n\n", b"\n  ", b"\n\t"),
    *(b"[[[[[[[[", b"]]]]", b"{{{{", b"&a [*a]", b"&a ", b"*a", b"<<: ", b"<<: *a", b"? [", b"? {a: 1}\n: "),
    *(b"!!python/object/apply:os.system ['true']", b"!!int ", b"!x ", b"!<tag:x> ", b"!a!b ", b"! "),
    *(b"%YAML 1.1\n", b"%YAML 1." + b"1" * 5000 + b"\n---\n", b"%TAG ! tag:x\n", b"---\n", b"...\n", b"|2\n", b">-\n"),
    *(
        b"1e999",
        b"-.inf",
        b".nan",
        b"9" * 20,
        b"9" * 5000,
        b"0x",
        b"0o8",
        b"010",
        b"1:30",
        b"2020-01-01",
        b"null",
        b"no",
    ),
    *(
        b"\0",
        b"\x1b[31m",
        b"\x7f",
        b"\x80",
        b"\xc3",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
    ),
    *(c.encode() for c in "\u0085 \u2028 \u2029 \u202e \u200b \ufeff \ufffd \u0130 \u0660 \U0001f600".split(" ")),
    *(b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x"', b'"\\0"', b"'''", b'""', b"name: x\n", b"family: nin\n", b"k" * 1100),
)


def mutants(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` damaged copies of `seeds`; number n depends on `seeds`, `seed` and n alone."""
    for number in range(count):
        yield mutant(seeds, f"{seed}/{number}")


def mutant(seeds: Sequence[bytes], seed: str) -> bytes:
    """Return one of the seeds after one to five damages."""
    chance = random.Random(seed)
    data = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        data = chance.choice(_DAMAGES)(data, chance, seeds)
    return data


def _flip(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    at = _somewhere(data, chance)
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :] if at < len(data) else data


def _delete(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, stop = _stretch(data, chance)
    return data[:start] + data[stop:]


def _repeat(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, stop = _stretch(data, chance)
    return data[:stop] + data[start:stop] * chance.choice((1, 1, 2, 70)) + data[stop:]


def _move(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, stop = _stretch(data, chance)
    rest = data[:start] + data[stop:]
    at = _somewhere(rest, chance)
    return rest[:at] + data[start:stop] + rest[at:]


def _insert(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    at = _somewhere(data, chance)
    return data[:at] + chance.choice(TOKENS) + data[at:]


def _overwrite(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    start, stop = _stretch(data, chance)
    return data[:start] + chance.choice(TOKENS) + data[stop:]


def _splice(data: bytes, chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    return data[: _somewhere(data, chance)] + other[_somewhere(other, chance) :]


def _somewhere(data: bytes, chance: random.Random) -> int:
    return chance.randint(0, len(data))


def _stretch(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = _somewhere(data, chance)
    return start, min(len(data), start + chance.choice((1, 2, 4, 16, 64)))


_DAMAGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _flip,
    _delete,
    _repeat,
    _move,
    _insert,
    _insert,
    _overwrite,
    _splice,
)
