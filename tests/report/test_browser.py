"""Reports in a real browser: all is drawn, nothing is asked for, nothing is complained about, everyone can use it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import hostile
import pytest
from browser import Browser, browsing
from planted_times import beside, layered
from stored_studies import Wanted, made

import archcost
from archcost.latency.measure import Request
from archcost.models.load import read
from archcost.profiling import compare
from archcost.profiling.budget import Budget
from archcost.report import comparison, profile
from archcost.report.blocks import Bars, Document, Icicle, Scatter
from archcost.report.json_input import Compared, Profiled, typed
from archcost.report.page import charts, page
from archcost.report.study.document import study

FAKE: Final = {"target": "fake", "threads": 1}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield one browser for all tests of this file."""
    with browsing() as found:
        yield found


def profiled(source: str, limits: Budget | None = None, **options: object) -> Document:
    """Return the report of a network measured on the fake target."""
    told = archcost.profile(source, **{**FAKE, **options}).to_dict()  # type: ignore[arg-type]
    found = typed(told)
    assert isinstance(found, Profiled)
    return profile.report(found, told, f"archcost profile {source}", limits)


def compared() -> Document:
    """Return the report of three networks beside each other."""
    asked = Request(targets=("fake",), threads=(1,), witness=False)
    told = compare.compared([read(name) for name in ("resnet-20", "resnet-56", "resnet-20")], asked).to_dict()
    found = typed(told)
    assert isinstance(found, Compared)
    return comparison.report(found, told, "archcost compare resnet-20 resnet-56 resnet-20")


def timed() -> Document:
    """Return the report of a network whose layers were timed in two ways."""
    told = layered("fractalnet-ultra-2").to_dict()
    found = typed(told)
    assert isinstance(found, Profiled)
    return profile.report(found, told, "archcost report fractalnet-ultra-2 --layers")


def differing() -> Document:
    """Return the report of networks beside each other whose layers were timed."""
    told = json.loads(json.dumps(beside().to_dict()))
    found = typed(told)
    assert isinstance(found, Compared)
    return comparison.report(found, told, "archcost report resnet-20 resnet-20 resnet-56 --layers")


REPORTS: Final[dict[str, Callable[[], Document]]] = {
    "layers": timed,
    "fractal": lambda: profiled("fractalnet-ultra-2", Budget(params=10**6, latency_s=1e-9), batch=(1, 4)),
    "hornn": lambda: profiled("hornn-3"),
    "comparison": compared,
    "differences": differing,
    "study": lambda: study(made(wanted=Wanted(limits={"params": 200_000}))),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Document, Path]]:
    """Return every kind of report with the file of its page."""
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for name, make in REPORTS.items():
        report, path = make(), folder / f"{name}.html"
        path.write_text(page(report), encoding="utf-8")
        found[name] = (report, path)
    return found


@pytest.fixture(scope="module", params=REPORTS)
def opened(request: pytest.FixtureRequest, browser: Browser, pages: dict[str, tuple[Document, Path]]) -> Document:
    """Return a report that stands open in the browser: loaded once for all tests that only look at it."""
    report, path = pages[request.param]
    browser.open(path)
    return report


def test_every_chart_is_drawn_with_its_marks(browser: Browser, opened: Document) -> None:
    """Each chart has as many points, bars or boxes in it as its facts; the console is silent; nothing is asked for."""
    drawn = browser.js(
        "return Object.fromEntries([...document.querySelectorAll('[data-figure]')].map((plot) => [plot.dataset.figure,"
        " ['.scatterlayer .point', '.barlayer .point path', '.iciclelayer .slice'].map("
        "(marks) => plot.querySelectorAll(marks).length)]))"
    )
    for chart in charts(opened):
        points, bars, boxes = drawn[chart.key]
        match chart.drawn:
            case Scatter(series=series):
                given = sum(value is not None for one in series if one.mark for value in one.y)
                assert (given, 0, 0) == (points, bars, boxes), chart.key
            case Bars(bars=kinds):
                assert (0, sum(value != 0 for one in kinds for value in one.values), 0) == (points, bars, boxes)
            case Icicle():
                assert boxes > 1
    assert [] == browser.complaints()
    assert [] == browser.requests()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(browser: Browser, opened: Document, dark: bool) -> None:
    """axe-core holds nothing against a report, light or dark, with everything unfolded."""
    browser.look(dark=dark)
    browser.js("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert [] == browser.violations()


def test_nothing_sticks_out_at_320_pixels(browser: Browser, opened: Document) -> None:
    """A page as narrow as 320 px does not scroll sideways: its tables and drawings do, each by itself."""
    browser.look(width=320)
    assert browser.until("return document.documentElement.scrollWidth === 320")


def test_it_prints(browser: Browser, opened: Document) -> None:
    """Printed, a dark page is dark on white, without what only a screen needs."""
    browser.look(dark=True, media="print")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert "rgb(255, 255, 255)" == browser.js(style, "body", "backgroundColor")
    assert "rgb(0, 0, 0)" == browser.js(style, "body", "color")
    assert "none" == browser.js(style, "nav", "display")
    assert "rgb(0, 0, 0)" == browser.js(style, ".plot .xtick text", "fill")


ROWS: Final = (
    "return [...document.querySelectorAll('#table-layers-1 tbody tr')]"
    ".filter((row) => !row.hidden).map((row) => Number(row.cells[3].dataset.v))"
)


def test_a_table_sorts_and_filters_and_keeps_that_in_the_address(
    browser: Browser, pages: dict[str, tuple[Document, Path]]
) -> None:
    """A head sorts by number, a word filters; the address leads back to both and unfolds the table."""
    path = pages["comparison"][1]
    browser.open(path, charts=False)
    assert not browser.js("return document.querySelector('#fold-layers-1').open")
    browser.js("document.querySelectorAll('#table-layers-1 th button')[3].click()")
    macs = browser.js(ROWS)
    assert sorted(macs, reverse=True) == macs
    browser.js(
        "const box = document.querySelector('#filter-layers-1'); box.value = 'stage2 conv';"
        " box.dispatchEvent(new Event('input'))"
    )
    some = browser.js(ROWS)
    assert 0 < len(some) < len(macs)
    browser.open(path, browser.js("return location.hash"), charts=False)
    assert some == browser.js(ROWS)
    assert browser.js("return document.querySelector('#fold-layers-1').open")
    assert "descending" == browser.js("return document.querySelectorAll('#table-layers-1 th')[3].ariaSort")


def test_the_data_can_be_saved(browser: Browser, pages: dict[str, tuple[Document, Path]]) -> None:
    """The buttons hand out the document as it was made, and its rows as CSV."""
    report, path = pages["fractal"]
    browser.open(path, charts=False)
    handed = saved(browser)
    assert report.csv in handed
    assert any(f'"digest": "{report.data["model"]["digest"]}"' in text for text in handed)  # type: ignore[index]
    assert {"FractalNet", ".json", ".csv"} <= {
        part for text in handed for part in re.findall(r"^FractalNet|\.json$|\.csv$", text)
    }


def test_hostile_names_are_text_in_every_place(browser: Browser, tmp_path: Path) -> None:
    """Whatever a name holds, it runs nothing, links nowhere and asks for nothing, wherever it stands."""
    path = tmp_path / "page.html"
    path.write_text(page(hostile.report(*hostile.NAMES)), encoding="utf-8")
    browser.open(path)
    assert 4 * len(hostile.NAMES) == int(browser.js("return document.documentElement.dataset.charts"))
    for plot in browser.js("return [...document.querySelectorAll('[data-figure]')].map((plot) => plot.dataset.figure)"):
        browser.js(
            "const plot = document.querySelector(`[data-figure='${arguments[0]}']`);"
            "try { Plotly.Fx.hover(plot, [{curveNumber: 0, pointNumber: 0}]); } catch {}", plot
        )  # fmt: skip
    browser.js(
        "document.querySelectorAll('button').forEach((button) => { if (!button.closest('#save')) button.click(); })"
    )
    harmless(browser)


def test_hostile_layers_are_text_in_every_place(browser: Browser, tmp_path: Path) -> None:
    """A file's names of layers, operators and groups are shown as they are: in tables, boxes and the roofline."""
    told = layered("resnet-20").to_dict()
    for times in told["layer_times"]:  # type: ignore[attr-defined]
        for layer, name in zip(times["layers"], hostile.NAMES, strict=False):
            layer.update(name=name, op=name, group=name, module=name, fused=[name])
        times.update(runtime=hostile.NAMES[1], notes=[*hostile.NAMES])
    found = typed(told)
    assert isinstance(found, Profiled)
    path = tmp_path / "page.html"
    path.write_text(page(profile.report(found, told, "")), encoding="utf-8")
    browser.open(path)
    browser.js("document.querySelectorAll('.switch input').forEach((each) => each.click())")
    browser.js("document.querySelectorAll('.stepper button, tr[data-key]').forEach((each) => each.click())")
    harmless(browser)


def test_a_hostile_study_is_text_in_every_place(browser: Browser, tmp_path: Path) -> None:
    """A study whose names, parameters and reasons are attacks is a report like any other."""
    path = tmp_path / "page.html"
    path.write_text(page(study(made(wanted=Wanted(hostile=True)))), encoding="utf-8")
    browser.open(path)
    texts = [text for text in saved(browser) if text.startswith("trial,")]
    lines = list(csv.reader(io.StringIO(texts[0])))
    assert {len(lines[0])} == {len(line) for line in lines}
    assert not any(cell.startswith("=") or "\u202e" in cell for line in lines for cell in line)
    harmless(browser)


def saved(browser: Browser) -> list[str]:
    """Return what the buttons that save hand out: names of files and texts."""
    browser.js(
        "window.saved = []; URL.createObjectURL = (blob) => {"
        " blob.text().then((text) => window.saved.push(text)); return 'blob:none'; };"
        " HTMLAnchorElement.prototype.click = function () { window.saved.push(this.download); };"
        " document.querySelectorAll('#save button').forEach((button) => button.click())"
    )
    found = browser.until("return window.saved.length === 4 && window.saved")
    assert isinstance(found, list)
    return found


def harmless(browser: Browser) -> None:
    """Assert that nothing of a page's texts ran, links anywhere or was asked for."""
    assert browser.js("return window.harmed === undefined")
    # three scripts of the page's own and plotly; links to its own sections and tables alone
    assert 0 == browser.js(
        "return [...document.scripts].filter((one) => one.textContent.startsWith('window.harmed')).length"
    )
    assert [] == browser.js(
        "return [...document.querySelectorAll('a')].filter((a) => a.getAttribute('href')?.[0] !== '#')"
        ".map((a) => a.outerHTML)"
    )
    assert [] == browser.js(
        "return [...document.querySelectorAll('img, iframe, b, i, object, base, link')].map((one) => one.outerHTML)"
    )
    assert [] == browser.complaints()
    assert [] == browser.requests()


def test_points_are_walked_through_by_keys(browser: Browser, pages: dict[str, tuple[Document, Path]]) -> None:
    """Arrow keys go from one point of the front to the next: it is said, its row is picked, the address leads there."""
    from selenium.webdriver.common.keys import Keys

    path = pages["study"][1]
    browser.open(path)
    button = browser.driver.find_element("css selector", "#chart-front .stepper button:nth-of-type(2)")
    button.send_keys(Keys.ARROW_RIGHT)
    first = browser.js("return document.querySelector('#chart-front output').textContent")
    button.send_keys(Keys.ARROW_RIGHT)
    said = browser.js("return document.querySelector('#chart-front output').textContent")
    picked = browser.js("return document.querySelector('#table-front-table tr.picked').dataset.key")
    assert first != said
    assert picked in said
    hash_ = browser.js("return location.hash")
    browser.open(path, hash_)
    assert picked == browser.js("return document.querySelector('#table-front-table tr.picked').dataset.key")


def test_a_budget_slides_by_keys(browser: Browser, pages: dict[str, tuple[Document, Path]]) -> None:
    """An arrow key shows the answer for the next budget and picks its row; the address leads back to it."""
    path = pages["study"][1]
    browser.open(path, charts=False)
    answer = "return document.querySelector('.answer strong').textContent"
    answers = browser.js("return [...document.querySelectorAll('.slider dd > p')].map((each) => each.textContent)")
    begin = browser.js("return Number(document.querySelector('.slider').dataset.begin)")
    assert answers[begin] == browser.js(answer)
    browser.driver.find_element("css selector", ".slider input").send_keys("\ue012")  # the arrow to the left
    assert answers[begin - 1] == browser.js(answer)
    words = browser.js("return document.querySelector('.slider input').getAttribute('aria-valuetext')")
    assert words == browser.js(f"return document.querySelectorAll('.slider dt')[{begin - 1}].textContent")
    picked = browser.js("return document.querySelector('#table-front-table tr.picked')?.dataset.key ?? ''")
    assert picked in ("", browser.js(f"return document.querySelectorAll('.slider dd')[{begin - 1}].dataset.key"))
    browser.open(path, browser.js("return location.hash"), charts=False)
    assert answers[begin - 1] == browser.js(answer)
    assert [] == browser.complaints()


def test_a_switch_changes_what_boxes_show(browser: Browser, pages: dict[str, tuple[Document, Path]]) -> None:
    """An arrow key goes from MACs to the time in a way: boxes, drawing and all switches change, nothing is loaded."""
    path = pages["layers"][1]
    browser.open(path)
    shown = (
        "return [[...document.querySelectorAll('figure[data-view]')].filter((one) => one.offsetHeight)"
        ".map((one) => one.id), [...document.querySelectorAll('.switch input:checked')].map((one) => one.value),"
        " [...document.querySelectorAll('g[data-heat]')].map((box) => box.style.getPropertyValue('--heat'))"
        ".join() === [...document.querySelectorAll('g[data-heat]')].map((box) => box.dataset.heat.split(' ')"
        "[Number(document.querySelector('.switch input:checked').value)]).join()]"
    )
    assert [["chart-modules"], ["0", "0"], True] == browser.js(shown)
    browser.driver.find_element("css selector", "#switch-graph input").send_keys("\ue014")  # the arrow to the right
    assert [["chart-modules-1"], ["1", "1"], True] == browser.js(shown)
    assert browser.until(
        "const plot = document.querySelector('#chart-modules-1 .plot');"
        " return plot.clientWidth === plot.querySelector('svg').clientWidth"
    )
    browser.open(path, browser.js("return location.hash"))
    assert [["chart-modules-1"], ["1", "1"], True] == browser.js(shown)
    assert ([], []) == (browser.complaints(), browser.requests())


def test_without_scripts_text_and_tables_are_there(browser: Browser, pages: dict[str, tuple[Document, Path]]) -> None:
    """With scripts off every number is in the page and no empty chart takes room."""
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(pages["fractal"][1], charts=False)
        text = browser.driver.find_element("tag name", "main").text
        for words in ("847,716", "FAIL", "19,182,080", "Columns, each as a network of its own", "need JavaScript"):
            assert words in text
        assert "none" == browser.driver.find_element("class name", "plot").value_of_css_property("display")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
