"""The mixing table of ``comet recombine --html`` in a real browser; skipped where there is none."""

import base64
import io

import numpy as np
import pytest
from hostile_results import ATTACK, pixels
from PIL import Image
from webdriver import missing_programs

from comet_cli.drawing.mixing_page import Mixing, draw_mixing
from comet_cli.formats.overwriting import made_by_comet

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=missing_programs() or "there is one"
)
PICTURES = ["a", ATTACK, "c"]
COMPONENTS = ["hair", ATTACK]
RIGHT, TAB, ENTER, SPACE = "\ue014", "\ue004", "\ue007", " "


@pytest.fixture
def shown(browser, tmp_path):
    """Return the browser with a page of 3² mixtures open; two of them are the same picture."""
    mixing = Mixing(
        PICTURES,
        COMPONENTS,
        [pixels(20 * n) for n in range(8)],
        [0, 1, 2, 3, 4, 5, 6, 7, 7],
        [f"comet compose {ATTACK if n == 4 else n} -o mix.png" for n in range(9)],
    )
    page = tmp_path / "mix.html"
    page.write_bytes(draw_mixing(mixing, title=ATTACK))
    assert made_by_comet(page)
    browser.complaints()
    browser.open(page.as_uri())
    return browser


def mixture(browser, css: str = "#mixture") -> int:
    """Return the number of the picture that an element shows."""
    source = browser.run(f"return document.querySelector('{css}').src")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        found = np.asarray(image)
    return next(n for n in range(8) if np.array_equal(found, pixels(20 * n)))


def cell(k: int, n: int) -> str:
    return f"tbody tr:nth-child({k + 1}) td:nth-child({n + 2}) img"


def command(browser) -> str:
    return browser.run("return document.getElementById('command').textContent")


def test_a_click_looks_the_mixture_and_its_command_up(shown):
    assert (mixture(shown), command(shown)) == (0, "comet compose 0 -o mix.png")
    for k, n, wanted in ((0, 2, 2), (1, 1, 5), (0, 0, 3), (1, 2, 6), (0, 2, 8)):
        before = mixture(shown, cell(k, n))
        shown.click(cell(k, n))
        assert mixture(shown) == before == min(wanted, 7)
        assert command(shown) == f"comet compose {wanted} -o mix.png"
        chosen = "return [...document.querySelectorAll('input')].map(i => i.checked ? 1 : 0)"
        assert sum(shown.run(chosen)) == 2
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert shown.wait_for(loaded) and shown.complaints() == []


def test_cells_show_what_a_click_would_give(shown):
    shown.click(cell(0, 1))
    grid = [[mixture(shown, cell(k, n)) for n in range(3)] for k in range(2)]
    assert grid == [[0, 1, 2], [1, 4, 7]]


def test_all_of_a_picture_is_one_click(shown):
    shown.click("thead th:nth-child(4) button")
    assert mixture(shown) == 7 and command(shown) == "comet compose 8 -o mix.png"


def test_hostile_names_are_text(shown):
    shown.click("thead th:nth-child(3) button")
    assert shown.run("return window.pwned === undefined")
    assert command(shown) == f"comet compose {ATTACK} -o mix.png"
    assert shown.run("return document.querySelector('h1').textContent") == ATTACK
    assert shown.run("return document.querySelectorAll('main img').length") == 7
    assert shown.complaints() == []


def test_the_keyboard_alone_does_it(shown):
    shown.run("document.querySelector('tbody input').focus()")
    shown.press(RIGHT)
    assert command(shown) == "comet compose 1 -o mix.png"
    shown.press(TAB)
    shown.press(RIGHT, RIGHT)
    assert command(shown) == "comet compose 7 -o mix.png"
    said = "document.getElementById('status').textContent"
    assert shown.run(f"return {said}").endswith(f"{ATTACK} of c")
    shown.run("document.querySelector('.copy').focus()")
    shown.press(ENTER)
    assert shown.wait_for(f"{said}.startsWith('Copied: comet compose 7 -o mix.png')")


def test_a_narrow_window_holds_the_page(shown):
    assert shown.run("return document.documentElement.scrollWidth <= window.innerWidth")
