"""What a report holds, typed: sections of cards, texts, tables and charts.

Every text is as it came from outside, untouched: the page and the figures escape what they show, each once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

Form: TypeAlias = Literal["seconds", "share", "count", "bytes", "number"]
"""How an axis writes its values, which are in base units: 5 ms, 3%, 4 M, 4 MB, 4.2."""

Mark: TypeAlias = Literal["circle", "diamond", "square", "triangle", "cross"]

MOST_ROWS = 500
"""Rows a table shows; the rest is in the embedded data alone."""


class Card(NamedTuple):
    """One key number: what it is, the number with its unit, and what belongs to it."""

    label: str
    value: str
    note: str = ""


class Verdict(NamedTuple):
    """One limit and whether it is kept: PASS, FAIL or what else there is to say, in a word and a sentence."""

    word: Literal["PASS", "FAIL", "cannot tell"]
    text: str


class Head(NamedTuple):
    """The head of a column; note: what it means, where the name alone does not say it."""

    name: str
    numeric: bool = False
    note: str = ""


class Cell(NamedTuple):
    """One cell; value: what it is sorted by, where that is a number."""

    text: str
    value: float | None = None


class Row(NamedTuple):
    """One row; key: what selects it together with the points of charts, '' for none; copy: a text to copy, as YAML."""

    cells: tuple[Cell, ...]
    key: str = ""
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Cards:
    """Key numbers beside each other."""

    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Limits, each with its verdict."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of a name and a text, one a line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one a bullet; as `Text` one paragraph."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    text: str


class Step(NamedTuple):
    """One place of a slider: what it stands for, the answer in a sentence, more sentences.

    key: the row it selects; command: what is typed next, '' if there is nothing to type.
    """

    label: str
    answer: str
    lines: tuple[str, ...] = ()
    key: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Slider:
    """Answers to one question for each place of a slider; key: unique in the report; begin: the place it begins at."""

    key: str
    label: str
    steps: tuple[Step, ...]
    begin: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing that archcost made, as SVG whose texts are escaped already; words: what is to be seen.

    views: what each view of it shows, if a switch changes its colours.
    """

    svg: str
    words: str
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """What charts and drawings show, one of several views; key: unique in the report. All switches change together."""

    key: str
    label: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; key: unique in the report, of letters and hyphens; left_out: rows that are in the data alone.

    open: shown at once; else folded away under its caption. Every row has a cell for each head.
    """

    key: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    left_out: int = 0
    open: bool = True


class Axis(NamedTuple):
    """An axis; ticks: where the values are places, each with its name."""

    title: str
    form: Form = "number"
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind: x and y as long as each other, None if a line is broken.

    texts: what is said of each point; keys: the rows they select, '' for none; line: whether they are joined, as
    steps where `stepped`; faint: the background of others; spans: low and high end of each y, x_spans of each x.
    """

    name: str
    x: tuple[float | None, ...]
    y: tuple[float | None, ...]
    texts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    mark: Mark | None = "circle"
    line: bool = False
    stepped: bool = False
    faint: bool = False
    colour: int = 0
    spans: tuple[tuple[float, float] | None, ...] = ()
    x_spans: tuple[tuple[float, float] | None, ...] = ()


class Rule(NamedTuple):
    """A line across a chart, as a budget is; upright: at an x, else at a y."""

    at: float
    label: str
    upright: bool = False


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points and lines over two axes."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    rules: tuple[Rule, ...] = ()


class Bar(NamedTuple):
    """Bars of one kind, one for each label; texts: what is said of each."""

    name: str
    values: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars beside each other (stacked: on each other), from left to right, a group for each label, the first on top."""

    labels: tuple[str, ...]
    axis: Axis
    bars: tuple[Bar, ...]
    stacked: bool = False


class Leaf(NamedTuple):
    """One box of an icicle: its label, the place of the box it lies in (-1 for the outermost), its size, its words."""

    label: str
    parent: int
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Icicle:
    """Boxes in boxes; a box is as large as those in it together."""

    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; key: unique in the report; summary: what it shows, in words; table: key of the table with its numbers.

    left_out: points that are not drawn; view: the place of the switches at which it is shown, None: at each.
    """

    key: str
    title: str
    summary: str
    drawn: Scatter | Bars | Icicle
    table: str = ""
    left_out: int = 0
    view: int | None = None


Block: TypeAlias = Cards | Verdicts | Facts | Lines | Text | Slider | Drawing | Switch | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report with a head; key: where links lead."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. data: what `--json` prints of its sources; csv: the rows of its main table, whole.

    rows: in place of csv, the key in `data` of rows that are mappings.
    """

    title: str
    kind: Literal["profile", "comparison", "study"]
    head: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    data: dict[str, object] = field(default_factory=dict)
    csv: str = ""
    rows: str = ""
