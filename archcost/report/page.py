"""A report as one HTML file that makes no request.

All texts are escaped here, once. The page's policy lets two scripts run, each by its hash: the page's own, and
plotly's, which lies compressed in the page and comes from the installed package. The same document gives the same
bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archcost import units
from archcost.errors import visible
from archcost.report.blocks import Chart, Document
from archcost.report.figures import figure
from archcost.version import __version__


def page(document: Document) -> str:
    """Return a report as HTML."""
    script = _file("page.js")
    drawn = any(True for _ in charts(document))
    found = _environment().from_string(_file("page.html")).render(
        doc=document,
        version=__version__,
        hashes=Markup(" ".join(f"'{hashed(text)}'" for text in (script, *([get_plotlyjs()] if drawn else [])))),  # noqa: S704  # ours
        style=Markup(_file("page.css")),  # noqa: S704  # ours
        script=Markup(script),  # noqa: S704  # ours
        packed=Markup(packed(_data(document))),  # noqa: S704  # no '<' in it
        plotly=Markup(_plotly() if drawn else ""),  # noqa: S704  # the same
    )  # fmt: skip
    return str(found)


def charts(document: Document) -> Iterator[Chart]:
    """Yield the charts of a report."""
    for section in document.sections:
        yield from (block for block in section.blocks if isinstance(block, Chart))


def hashed(text: str) -> str:
    """Return what a Content-Security-Policy names an inline script by (CSP level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def packed(text: str) -> str:
    """Return a text compressed, as letters that are safe in a script element; the same text always gives the same.

    Base85 takes 6% less than base64; without its '<' no tag can be in it.
    """
    return base64.b85encode(gzip.compress(text.encode(), 9, mtime=0)).decode().replace("<", ":")


def _data(document: Document) -> str:
    figures = {chart.key: figure(chart) for chart in charts(document)}
    held = {"figures": figures, "data": document.data, "csv": document.csv, "rows": document.rows}
    return json.dumps(held, separators=(",", ":"))


@cache
def _plotly() -> str:
    return packed(get_plotlyjs())


def _file(name: str) -> str:
    return (files("archcost") / "report" / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "visible": visible,
        "lines": lambda text: "\n".join(map(visible, text.split("\n"))),
        "grouped": units.grouped,
        "sorted_by": lambda value: value if isinstance(value, int) else f"{value:.7g}",
        "kind": lambda block: type(block).__name__,
        "svg": lambda drawing: Markup(drawing.svg),  # noqa: S704  # archcost's own: drawing.py escapes the texts in it
        "copies": lambda table: any(row.copy for row in table.rows),
    }
    return made
