"""Names that would do harm where they are not shown as text, and a report that has one in every place for a text."""

from __future__ import annotations

from typing import Any

from archcost.report.blocks import (
    Axis,
    Bar,
    Bars,
    Card,
    Cards,
    Cell,
    Chart,
    Document,
    Drawing,
    Facts,
    Head,
    Icicle,
    Leaf,
    Lines,
    Row,
    Rule,
    Scatter,
    Section,
    Series,
    Switch,
    Table,
    Text,
    Verdict,
    Verdicts,
)

NAMES = (
    "</script><script>window.harmed = 1</script>",
    "<img src=https://harm.example/a.png onerror='window.harmed = 1'>",
    "<a href='https://harm.example/'>click</a>",
    '<b style="background:url(https://harm.example/b.png)">bold</b>',
    "\"'><svg onload=window.harmed=1>",
    "line\u2028separator \u202eright to left\u202c and \x1b[31m a control",
    "{{ 7 * 7 }} %{x} $\\href{https://harm.example/}{x}$ &lt;i&gt; </textarea></style>",
)


def _section(name: str, number: int) -> Section:
    series = Series(name, (1.0, 2.0), (1.0, 3.0), texts=(name, name), keys=(name, "b"), line=True)
    faint = Series(name, (1.5,), (2.0,), texts=(name,), faint=True)
    ticks = ((1.0, name), (2.0, name))
    charts: tuple[Any, ...] = (
        Scatter(Axis(name), Axis(name, "share"), (series, faint), (Rule(1.5, name), Rule(1.5, name, upright=True))),
        Scatter(Axis(name, ticks=ticks), Axis(name, ticks=ticks), (series,)),
        Bars((name, "b"), Axis(name), (Bar(name, (1.0, 2.0), (name, name)), Bar(name, (1.0, 2.0), (name, name)))),
        Icicle((Leaf(name, -1, 3.0, name), Leaf(name, 0, 1.0, name), Leaf("b", 0, 2.0, name))),
    )
    rows = tuple(Row((Cell(name), Cell(name, float(place))), key=name if place == 0 else f"b{place}", copy=name)
                 for place in range(9))  # fmt: skip
    heads = (Head(name, note=name), Head(name, numeric=True, note=name))
    blocks = (
        Cards((Card(name, name, name),)),
        Verdicts((Verdict("FAIL", name), Verdict("cannot tell", name))),
        Facts(((name, name),)),
        Lines((name,)),
        Text(name),
        Switch(f"w{number}", name, (name, name)),
        Drawing('<svg viewBox="0 0 9 9"></svg>', name, (name, name)),
        *(Chart(f"c{number}-{place}", name, name, drawn, f"t{number}-0", 3) for place, drawn in enumerate(charts)),
        *(
            Table(f"t{number}-{place}", f"{name} {number}-{place}", heads, rows, 3, open=bool(place))
            for place in range(2)
        ),
    )
    return Section(f"s{number}", name, blocks)


def report(*names: str) -> Document:
    """Return a report with each of these texts in every place that has one."""
    sections = tuple(_section(name, number) for number, name in enumerate(names))
    title = "".join(names)
    head = tuple(("Name", name) for name in names)
    return Document(title, "profile", head, sections, {"name": title, title: [title]}, f"{title},1\n")
