"""The page in a real headless Chromium, from file://, at a desk and on a phone."""

import json
import os
import shutil

import pytest
from study_folder import Plan, grouped

from gradcam_eval.report.split import MOST
from gradcam_eval.results import Results

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        message = "needs a Chromium and its chromedriver on the PATH"
        if os.environ.get("GRADCAM_EVAL_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def page(browser, report):
    resize(browser, 1280)
    browser.get("about:blank")
    browser.get_log("performance")  # forget the requests of the browser's own first page
    browser.get(report.as_uri())
    return browser


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def column(page, body, index):
    script = """
      return [...document.querySelectorAll(arguments[0])]
        .filter((row) => !row.classList.contains('band'))
        .map((row) => row.cells[arguments[1]].dataset.value)"""
    return page.execute_script(script, f"table.summary tbody.{body} tr", index)


def test_page_loads_without_errors_or_requests(page, report):
    assert page.title.startswith("toy")
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in sent if not url.startswith("data:")] == [report.as_uri()]


def test_every_picture_is_decoded(page):
    script = "return [...document.images].map((image) => [image.complete, image.naturalWidth])"
    sizes = page.execute_script(script)
    assert len(sizes) == 11
    assert all(done and width > 0 for done, width in sizes)


def test_markup_in_names_is_inert(page):
    assert page.execute_script("return window.pwned === undefined")
    assert page.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert page.execute_script("return document.scripts.length") == 1


def test_headers_sort_and_controls_stay_apart(page):
    header = page.find_element("css selector", "table.summary th[data-column='2']")
    button = header.find_element("tag name", "button")
    before = column(page, "cells", 2)
    controls = sorted(column(page, "controls", 1))
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"  # the best of deletion first
    assert column(page, "cells", 2) == sorted(before, key=float)
    assert column(page, "controls", 2) == sorted(column(page, "controls", 2), key=float)
    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert column(page, "cells", 2) == sorted(before, key=float, reverse=True)
    assert sorted(column(page, "controls", 1)) == controls
    band = page.execute_script("return document.querySelector('tbody.controls').rows[0].className")
    assert band == "band"


def test_sorting_works_by_keyboard_and_undefined_stays_last(page):
    header = page.find_element("css selector", "table.summary th[data-column='3']")
    page.execute_script("arguments[0].querySelector('button').focus()", header)
    for expected in ("ascending", "descending"):
        page.switch_to.active_element.send_keys(" ")
        assert header.get_attribute("aria-sort") == expected
        assert column(page, "controls", 3)[-1] == ""  # random minus random
    others = page.find_elements("css selector", "table.summary th[aria-sort]:not([aria-sort=none])")
    assert len(others) == 1


def test_details_open_and_show_the_grid(page):
    details = page.find_element("css selector", "details.image")
    grid = details.find_element("css selector", ".scroll img")
    assert not grid.is_displayed()
    details.find_element("tag name", "summary").click()
    assert grid.is_displayed()


def test_printing_opens_everything_and_closes_it_again(page):
    count = "return document.querySelectorAll('details[open]').length"
    before = page.execute_script(count)
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert (
        page.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    )
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(count) == before


@pytest.mark.parametrize("width", [1280, 390])
def test_body_does_not_overflow(page, width):
    resize(page, width)
    page.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    shown, needed = page.execute_script(
        "return [window.innerWidth, document.documentElement.scrollWidth]"
    )
    assert shown == width
    assert needed <= width


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_of_many_groups_scrolls_inside_its_tables(browser, tmp_path, width):
    samples = tuple(f"disc_{n}" for n in range(12))
    plan = Plan(layers=("block2_expand",), methods=("grad_cam",), samples=samples, cost=False)
    classes = {name: f"a_class_with_a_long_name_{name}" for name in samples}
    folder = grouped(tmp_path / "toy", plan, **{"class": classes})
    resize(browser, width)
    browser.get(Results(folder).report(by="class").as_uri())
    needed = browser.execute_script("return document.documentElement.scrollWidth")
    assert needed <= width
    script = """
      const table = document.querySelector('table.split'), around = table.parentElement;
      return [table.scrollWidth, around.clientWidth, table.tHead.rows[0].cells.length]"""
    table, room, columns = browser.execute_script(script)
    assert columns == 3 + MOST
    assert table > room
