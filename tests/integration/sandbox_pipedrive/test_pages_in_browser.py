"""The pages of the simulator in a real browser, at the size of a desk and of a phone."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from sandbox.common.asgi import application
from sandbox.common.serve import base_url, bind
from sandbox.pipedrive.options import Options
from tests.integration.sandbox_pipedrive.browser import Tab, browsing, executable
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver
from tests.unit.sandbox_pipedrive.pages_data import HOSTILE, Filled, fill_everything, fill_extremes

BROWSER = executable()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
SIZES = ((1280, 800), (360, 740))
OVERFLOW = """[document.documentElement, document.body, document.querySelector('main')]
    .filter(item => item.scrollWidth > item.clientWidth).map(item => `${item.tagName} ${item.scrollWidth} > ${item.clientWidth}`)"""
FAINT = """(() => {
    const parse = text => {
        const numbers = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
        const scale = text.startsWith('color(') ? 255 : 1;
        return [numbers[0] * scale, numbers[1] * scale, numbers[2] * scale, numbers.length > 3 ? numbers[3] : 1];
    };
    const over = (top, below) => [0, 1, 2].map(index => top[index] * top[3] + below[index] * (1 - top[3])).concat(1);
    const ground = item => {
        const own = parse(getComputedStyle(item).backgroundColor);
        if (own[3] === 1) return own;
        return over(own, item.parentElement ? ground(item.parentElement) : [255, 255, 255, 1]);
    };
    const light = color => color.slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const faint = [];
    for (const item of document.querySelectorAll('body *')) {
        const text = [...item.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent.trim()).join('');
        const style = getComputedStyle(item);
        if (!text || !item.checkVisibility() || item.closest('.unseen, .skip')) continue;
        const below = ground(item), shades = [light(over(parse(style.color), below)), light(below)];
        const ratio = (Math.max(...shades) + 0.05) / (Math.min(...shades) + 0.05);
        const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (isLarge ? 3 : 4.5)) faint.push(`${item.tagName}.${item.className}: ${ratio.toFixed(2)} ${text.slice(0, 30)}`);
    }
    return faint;
})()"""
UNNAMED = """[...document.querySelectorAll('a, button, input, summary, img')]
    .filter(item => !(item.textContent.trim() || item.alt || item.labels?.length || item.ariaLabel || item.querySelector('img[alt]')))
    .map(item => item.outerHTML.slice(0, 120))"""

OFF_SCREEN_MENUS = """[...document.querySelectorAll('.menu')].map(menu => {
    menu.open = true;
    const box = menu.querySelector('ul').getBoundingClientRect();
    menu.open = false;
    return [box.left, box.right];
}).filter(([left, right]) => left < 0 || right > innerWidth)"""


@asynccontextmanager
async def _served(driver: Driver) -> AsyncIterator[str]:
    """Serve an account on a free port."""
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application(driver.app.handle), lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield base_url(listener)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def _opened(driver: Driver, folder: Path) -> AsyncIterator[tuple[Tab, str]]:
    assert BROWSER is not None
    async with _served(driver) as url, browsing(BROWSER, folder / "profile", url) as tab:
        yield tab, url


def _driver(seed: int | None) -> Driver:
    return Driver(Options(token=TOKEN, control_key=CONTROL_KEY, seed=seed, limits=False, contact_sync=True))


def _addresses(ids: Filled) -> tuple[str, ...]:
    return (
        "/", "/pipeline/1?status=all", "/stage/1?status=all", f"/deal/{ids.deal}", "/deal/2", "/leads", f"/lead/{ids.lead}", "/activities",
        "/activities?show=done", "/organizations", f"/organization/{ids.organization}", "/persons", f"/person/{ids.person}", "/products",
        f"/product/{ids.product}", "/search", "/search?q=acme", "/about", "/deal/99999",
    )  # fmt: skip


async def _check(tab: Tab, address: str, size: tuple[int, int], folder: Path) -> None:
    """Look at the page that is open."""
    width, height = size
    assert await tab.evaluate(OVERFLOW) == [], (address, size)
    assert await tab.evaluate(UNNAMED) == [], address
    assert await tab.evaluate("document.querySelectorAll('h1').length") == 1, address
    assert await tab.evaluate("['header', 'nav', 'main', 'footer'].filter(name => !document.querySelector(name))") == [], address
    assert await tab.evaluate(OFF_SCREEN_MENUS) == [], (address, size)
    picture = await tab.screenshot()
    assert struct.unpack(">II", picture[16:24]) == (width, height)
    (folder / f"{address.strip('/').replace('/', '-').replace('?', '-') or 'board'}-{width}.png").write_bytes(picture)


@pytest.mark.slow
async def test_pages_fit_are_legible_and_run_nothing(tmp_path: Path) -> None:
    driver = _driver(7)
    ids = await fill_everything(driver)
    async with _opened(driver, tmp_path) as (tab, url):
        for address in _addresses(ids):
            for size in SIZES:
                await tab.open(url + address, *size)
                await _check(tab, address, size, tmp_path)
            for scheme in ("light", "dark"):
                await tab.open(url + address, *SIZES[0], scheme=scheme)
                assert await tab.evaluate(FAINT) == [], (address, scheme)
            if address != "/deal/99999":
                assert tab.errors == [], address
        await tab.open(f"{url}/deal/{ids.deal}", *SIZES[0])
        document = await tab.evaluate("document.documentElement.outerHTML")
        assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in document
        assert await tab.evaluate(
            "Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode(); })).then(all => all.length)"
        )
    assert await asyncio.to_thread(lambda: len(list(tmp_path.glob("*.png")))) == len(SIZES) * len(_addresses(ids))


@pytest.mark.slow
async def test_long_names_and_big_deals_fit_on_a_phone(tmp_path: Path) -> None:
    driver = _driver(7)
    addresses = await fill_extremes(driver)
    async with _opened(driver, tmp_path) as (tab, url):
        for address in addresses:
            for size in SIZES:
                await tab.open(url + address, *size)
                await _check(tab, address, size, tmp_path)
        assert tab.errors == []


async def test_empty_account_says_so(tmp_path: Path) -> None:
    async with _opened(_driver(None), tmp_path) as (tab, url):
        for address in ("/", "/leads", "/activities", "/organizations", "/persons", "/products", "/search?q=nothing"):
            for size in SIZES:
                await tab.open(url + address, *size)
                await _check(tab, address, size, tmp_path)
        await tab.open(url, *SIZES[1])
        assert "There are no deals yet" in await tab.evaluate("document.body.innerText")
        assert tab.errors == []


async def test_columns_snap_on_a_phone_and_the_keyboard_is_seen(tmp_path: Path) -> None:
    async with _opened(_driver(7), tmp_path) as (tab, url):
        await tab.open(url, *SIZES[1])
        columns = "document.querySelector('.columns')"
        assert await tab.evaluate(f"{columns}.scrollWidth > {columns}.clientWidth")
        assert await tab.evaluate(f"getComputedStyle({columns}).scrollSnapType") == "x mandatory"
        await tab.open(url, 740, 360)
        assert await tab.evaluate("document.querySelector('.column').offsetHeight") > 150
        assert await tab.evaluate(OVERFLOW) == []
        await tab.open(url, *SIZES[0])
        await tab.press_tab()
        assert await tab.evaluate("document.activeElement.className") == "skip"
        await tab.press_tab()
        await tab.press_tab()
        assert await tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
