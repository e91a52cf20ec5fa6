"""The built book in a browser, as a reader without a network and with a small screen meets it."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent.parent
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]
PAGES = [f"{name}.html" for name in PAGES] + ["genindex.html", "search.html"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def address():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=HTML)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "no Chromium found: install it, or set CHROMIUM to its path"
    # A container's root user may not use Chromium's own sandbox.
    arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    arguments += ["--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def phone(browser, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def open_page(page, url):
    page.goto(url, wait_until="load")
    page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")


def test_the_pages_are_there():
    assert HTML.is_dir(), "run `make book` first"
    for name in PAGES:
        assert (HTML / name).is_file(), name


@pytest.mark.parametrize("name", PAGES)
def test_loads_alone_and_without_errors(page, address, name):
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
    page.on("response", lambda r: r.status >= 400 and errors.append(f"{r.status}: {r.url}"))
    page.on("console", lambda m: m.type == "error" and errors.append(f"{m.text} ({m.location})"))
    page.on("pageerror", lambda error: errors.append(str(error)))
    open_page(page, address + name)
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []


@pytest.mark.parametrize("name", PAGES)
def test_all_mathematics_is_typeset(page, address, name):
    open_page(page, address + name)
    found = page.evaluate(
        """() => {
            const plain = [...document.querySelectorAll('.math')]
                .filter(e => !e.querySelector('mjx-container'));
            return {
                plain: plain.map(e => e.textContent),
                wrong: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
                    .map(e => e.textContent),
            };
        }"""
    )
    assert found == {"plain": [], "wrong": []}


@pytest.mark.parametrize("name", PAGES)
def test_every_image_says_what_is_to_be_seen(page, address, name):
    open_page(page, address + name)
    images = page.eval_on_selector_all(
        "img", "all => all.map(e => ({src: e.src, alt: e.alt, drawn: e.naturalWidth > 0}))"
    )
    # The name of a file is what a missing description is replaced by.
    bad = [i for i in images if not i["drawn"] or len(i["alt"]) < 20 or i["alt"] in i["src"]]
    assert bad == []


@pytest.mark.parametrize("name", PAGES)
def test_does_not_scroll_sideways_on_a_phone(phone, address, name):
    open_page(phone, address + name)
    assert phone.evaluate("document.documentElement.dataset.theme") in ("light", "dark")
    for details in phone.query_selector_all("details"):
        details.evaluate("e => { e.open = true; }")
    for button in phone.query_selector_all("button.toggle-button"):
        button.evaluate("e => e.click()")
    width = phone.evaluate(
        """() => {
            window.scrollTo(1000, 0);
            return {page: document.documentElement.scrollWidth, scrolled: window.scrollX};
        }"""
    )
    assert width == {"page": 390, "scrolled": 0}


@functools.cache
def anchors(path):
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return {tag.get("id") for tag in soup.find_all(id=True)} | {
        tag.get("name") for tag in soup.find_all("a", attrs={"name": True})
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_internal_link_resolves(name):
    soup = BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")
    tags = soup.find_all(["a", "img", "link", "script"])
    broken = []
    for link in filter(None, (tag.get("href") or tag.get("src") for tag in tags)):
        if urlsplit(link).scheme or link.startswith("//"):
            continue
        target, fragment = urldefrag(urljoin("/" + name, link))
        path = HTML / unquote(urlsplit(target).path).lstrip("/")
        exists = path.exists()
        if exists and fragment and path.suffix == ".html":
            exists = unquote(fragment) in anchors(path)
        if not exists:
            broken.append(link)
    assert broken == []
