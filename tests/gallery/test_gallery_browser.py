"""The page in a real browser, opened as a file; skipped where there is none."""

from pathlib import Path

import pytest
from hostile_results import HOSTILE_NAME
from webdriver import missing_programs

from comet_cli.verbs.gallery import write_gallery

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=missing_programs() or "there is one"
)
TAB, ENTER, ESCAPE, CONTROL, SPACE = "\ue004", "\ue007", "\ue00c", "\ue009", " "
FOCUSED = "document.activeElement"


@pytest.fixture
def shown(browser, page):
    """Return the browser with the page open."""
    browser.complaints()
    browser.open(Path(page).as_uri())
    return browser


def card(name: str) -> str:
    """Return a script that finds a card by the name that it shows."""
    quoted = name.replace("'", "\\'")
    return (
        "[...document.querySelectorAll('.card')].find("
        f"c => c.querySelector('h2').textContent === '{quoted}')"
    )


def test_hostile_names_and_recipes_are_text(shown):
    assert shown.run("return document.querySelectorAll('.card').length") == 9
    assert shown.run("return window.pwned === undefined")
    assert shown.run("return document.scripts.length") == 1
    name = HOSTILE_NAME
    assert shown.run(f"return {card(name)}.querySelector('h2').textContent") == name
    loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert shown.wait_for(loaded)
    assert shown.complaints() == []  # neither an error nor anything that the policy refused
    asked = shown.run(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(n => !n.startsWith('data:'))"
    )
    assert asked == []


def test_the_policy_refuses_a_script_that_is_not_ours(shown):
    shown.run(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        "document.body.append(s);"
    )
    assert shown.run("return window.pwned === undefined")
    assert any("Content Security Policy" in c for c in shown.complaints())


def test_typing_filters_the_cards(shown):
    shown.click("#filter")
    shown.press(*"seed10")
    visible = "[...document.querySelectorAll('.card:not([hidden]) h2')].map(h => h.textContent)"
    assert shown.wait_for("document.getElementById('status').textContent.startsWith('1 of 9')")
    assert shown.run(f"return {visible}") == ["x-10.png"]


def test_two_pictures_are_compared_with_the_keyboard_alone(shown):
    for name in ("x-2.png", "x-10.png"):
        shown.run(f"{card(name)}.querySelector('.choose').focus()")
        shown.press(ENTER)
    assert shown.run("return document.getElementById('comparison').open")
    assert shown.run("return document.getElementById('comparison').scrollTop") == 0
    names = "[...document.querySelectorAll('#pair h2')].map(h => h.textContent)"
    assert shown.run(f"return {names}") == ["x-2.png", "x-10.png"]
    differing = (
        "[...document.querySelectorAll('#pair dd.differs')]"
        ".map(d => d.previousElementSibling.textContent + ' ' + d.textContent)"
    )
    assert shown.run(f"return {differing}") == ["seed 2", "seed 10"]
    widths = "[...document.querySelectorAll('#pair section')].map(s => s.getBoundingClientRect())"
    left, right = shown.run(f"return {widths}")
    assert left["top"] == right["top"] and left["right"] < right["left"]
    shown.press(ESCAPE)
    assert shown.wait_for("!document.getElementById('comparison').open")
    # The dialog's close event, which takes the choice back, comes a task after it has closed.
    assert shown.wait_for("!document.querySelector('.chosen, [aria-pressed=true]')")
    assert shown.run(f"return {FOCUSED}.classList.contains('choose')")


def test_choosing_a_picture_twice_takes_it_back(shown):
    button = f"{card('x-2.png')}.querySelector('.choose')"
    for pressed in ("true", "false"):
        shown.run(f"{button}.focus()")
        shown.press(SPACE)
        assert shown.run(f"return {button}.getAttribute('aria-pressed')") == pressed
    assert not shown.run("return document.getElementById('comparison').open")


def test_the_copy_button_copies_the_command(shown):
    button = f"{card('sub/sheet.png')}.querySelector('.copy')"
    shown.run(f"{button}.focus()")
    shown.press(ENTER)
    said = shown.wait_for("document.getElementById('status').textContent")
    assert said == "Copied: comet replay sub/sheet.png"
    assert shown.run(f"return {FOCUSED} === {button}")
    shown.click("#filter")
    shown.press(CONTROL + "v")
    assert shown.wait_for("document.getElementById('filter').value") == said[len("Copied: ") :]


def test_tab_reaches_every_control_in_order(shown):
    shown.run(f"{FOCUSED}.blur(); window.scrollTo(0, 0)")
    controls = "[...document.querySelectorAll('input, a, summary, main button')]"
    count = shown.run(f"return {controls}.length")
    reached = []
    for _ in range(count):
        shown.press(TAB)
        reached.append(shown.run(f"return {controls}.indexOf({FOCUSED})"))
    assert reached == list(range(count)) and count > 30


def test_a_page_beside_the_folder_links_to_its_pictures(browser, results):
    write_gallery(".", output="../beside.html")
    browser.open((results.parent / "beside.html").as_uri())
    link = browser.run(f"return {card('x-2.png')}.querySelector('a').href")
    assert link == (results / "x-2.png").as_uri()
    browser.open(link)
    assert browser.run("return document.images[0].naturalWidth") == 24
