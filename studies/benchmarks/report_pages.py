"""Whether reports of studies keep to their sizes, and how soon they are read in a browser.

Targets: at most 2.3 MB for 500 trials and 3 MB for 5,000; text within half a second, charts within two. The studies
are made up (tests/support/stored_studies.py): real networks, errors and latencies from a formula. Times in the browser
are from the start of the navigation to the first text painted and to the last chart drawn, medians of five loads.

    python studies/benchmarks/report_pages.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sidebyside import machine, table

from archcost.report.page import page
from archcost.report.study.document import study

sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))

from browser import Browser, browsing
from stored_studies import Wanted, made

TARGETS = {500: 2.3e6, 5000: 3e6}
LOADS = 5
HEADS = ("trials", "gathered", "drawn and written", "bytes", "target", "text after", "charts after", "targets")


def loaded(browser: Browser, path: Path) -> tuple[float, float]:
    """Return the seconds until the first text was painted, and until the last chart was drawn."""
    texts, charts = [], []
    for _ in range(LOADS):
        browser.driver.get("about:blank")
        browser.driver.get(path.as_uri())
        charts.append(browser.until("return Number(document.documentElement.dataset.after)"))
        texts.append(browser.js("return performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    return median(texts) / 1e3, median(charts) / 1e3


def main() -> None:
    """Print the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, browsing() as browser:
        for trials, most in TARGETS.items():
            stored = made(wanted=Wanted(trials=trials))
            begun = time.perf_counter()
            report = study(stored)
            gathered = time.perf_counter()
            path = Path(folder) / f"{trials}.html"
            path.write_text(page(report), encoding="utf-8")
            written, size = time.perf_counter(), path.stat().st_size
            text, charts = loaded(browser, path)
            met = [size <= most, text <= 0.5, charts <= 2]
            words = ", ".join("met" if holds else "missed" for holds in met)
            times = (f"{gathered - begun:.2f} s", f"{written - gathered:.2f} s")
            rows.append((f"{trials:,}", *times, f"{size:,}", f"{most:,.0f}", f"{text:.2f} s", f"{charts:.2f} s", words))
    print(machine())
    print(table(HEADS, rows))


if __name__ == "__main__":
    main()
