"""A headless Chromium, and what a reader does with a page that was opened from a file."""

from __future__ import annotations

import json
import shutil
from urllib.parse import urlsplit

import pytest

from halueval.errors import SourceError
from halueval.source import Wanted, fetch

# axe-core 4.12.1 (MPL-2.0), out of a wheel of which nothing is installed or imported.
AXE = Wanted(
    "pypi:axe-playwright-python==0.1.8#axe_playwright_python/axe.min.js",
    "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8",
)


def start(profile):
    """A browser with a profile of its own; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ["no-first-run", "disable-background-networking", "disable-component-update"]
    quiet += ["disable-sync", "disable-quic"]
    # A sandbox of its own is refused to root, as whom containers commonly run.
    for name in [*quiet, "headless", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"]:
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))


def axe_script():
    """Text of axe-core; the test is skipped where it cannot be had."""
    try:
        return fetch(AXE, what="axe-core").path.read_text(encoding="utf-8")
    except SourceError as error:
        pytest.skip(f"axe-core cannot be had: {error}")


class Page:
    """A page in the browser. `check_quiet` judges all that happened since it was opened."""

    def __init__(self, driver, path):
        self.driver = driver
        for kind in ("browser", "performance"):
            driver.get_log(kind)
        driver.get(path if isinstance(path, str) else path.as_uri())

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, test):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, 0.05).until(lambda _: test())

    def texts(self, css):
        return self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", css)

    def check_inert(self, allowed):
        """The samples shown hold no element but these, and no attribute that could do anything."""
        assert self.js(f"return document.querySelectorAll('#rows *:not({allowed})').length") == 0
        names = "return [...document.querySelectorAll('#rows *')].flatMap(e => e.getAttributeNames())"
        assert set(self.js(names)) <= {"class", "dir", "open"}

    @property
    def on_last_page(self):
        return self.js("return document.querySelector(\"[data-step='1']\").disabled")

    def violations(self, axe):
        """What axe-core finds serious or critical, a line each."""
        if not self.js("return Boolean(window.axe)"):
            self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})  # the page's policy allows no tag
        found = self.driver.execute_async_script(
            """const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] })
                .then((found) => done(found.violations), (error) => done(String(error)));"""
        )
        assert isinstance(found, list), found
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def asked(self):
        """Addresses that were asked for, without their fragments."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        # The browser's own start page is loaded through the same log.
        urls = {e["request"]["url"] for e in sent if not e["documentURL"].startswith("chrome://")}
        return {url.partition("#")[0] for url in urls}

    def check_quiet(self, *, beside=False):
        """No error on the console, no dialogue, nothing asked of anyone but files `beside` the page where allowed."""
        said = [entry["message"][:500] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]
        assert said == []
        asked = self.asked()
        if beside:
            assert {urlsplit(url).scheme for url in asked} <= {"file"}
        else:
            assert asked == {self.driver.current_url.partition("#")[0]}


def emulate(driver, *, width=1280, height=900, scheme="light"):
    """Give the browser a screen of this size and this choice of colours; `None` takes it back."""
    if width is None:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        return
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
