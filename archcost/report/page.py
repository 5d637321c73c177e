"""A plain HTML page with a profile's numbers: one file, no script, no request."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from archcost import __version__, units
from archcost.describing import doubts, input_words, notes, witness_words
from archcost.errors import visible
from archcost.latency import summarise
from archcost.profiling import Profile
from archcost.reasons import refusals


def page(found: Profile) -> str:
    """Return the page; every text from outside is escaped once, here."""
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {
        "visible": visible,
        "grouped": units.grouped,
        "scaled": units.scaled,
        "size": units.data_size,
        "duration": units.duration,
        "percent": units.percent,
    }
    template = env.from_string((files("archcost") / "report" / "page.html").read_text(encoding="utf-8"))
    words = {"size": input_words(found), "seen": witness_words(found)}
    told = [*found.untrained, *found.differences, *notes(found), *doubts(found)]
    told += [f"not measured: {line}" for line in refusals(found.failures)]
    measured = (("Latency", found.latencies), ("Latency of one step", tuple(map(summarise, found.streaming))))
    return template.render(p=found, model=found.model, version=__version__, measured=measured, told=told, **words)
