"""A headless Chromium for tests: what a page draws, asks for and complains about; tests skip if there is none."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

WHY = "needs Chromium and its driver: apt install chromium chromium-driver"
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Browser:
    """A running Chromium."""

    driver: Any

    def open(self, path: Path, hash_: str = "", *, charts: bool = True) -> None:
        """Load a page from its file, and wait until its charts are drawn."""
        self.driver.get("about:blank")
        self.look()
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # what was before is another page's
        self.driver.get(f"{path.as_uri()}{hash_}")
        if charts:
            self.until("return document.documentElement.dataset.charts")

    def look(self, *, width: int = 1280, dark: bool = False, media: str = "") -> None:
        """Show the page in a window of this width, light or dark; media: 'print' as it is printed."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})

    def js(self, script: str, *arguments: object) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str) -> Any:
        """Return what a script returns as soon as that is true."""
        end = time.monotonic() + _PATIENCE_S
        while not (found := self.js(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return found

    def complaints(self) -> list[str]:
        """Return what stands in the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for besides the page itself and its own data."""
        told = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [one["params"]["request"]["url"] for one in told if one["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))]

    def violations(self) -> list[str]:
        """Return what axe-core holds against the page: rule and place."""
        self.js((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        return [f"{each['id']}: {node['html'][:120]}" for each in found["violations"] for node in each["nodes"]]


@contextmanager
def browsing() -> Iterator[Browser]:
    """Yield a browser; skip if none is installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(WHY)
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driven = webdriver.Chrome(options=options, service=Service(driver))
    driven.set_script_timeout(_PATIENCE_S)
    try:
        yield Browser(driven)
    finally:
        driven.quit()
