"""What ``comet models show`` prints of a card."""

import pytest

from comet_cli.cli.models_text import describe, figures_table
from comet_cli.models import library


@pytest.mark.parametrize(
    ("model", "first", "other"),
    [
        ("clevr", "background", "object"),
        ("clevr-lighting", "light", "object"),
        ("tetris", "black", "block"),
    ],
)
def test_components_of_a_colouring_encoder_have_names_that_can_be_typed(model, first, other):
    entry = library.entry(library.find(model))
    lines = describe(library.to_json(entry), entry.card).splitlines()
    count = entry.card.components
    names = [first, *(f"{other}{k}" for k in range(1, count))]
    shown = [line.split() for line in lines if line.startswith("component ")]
    assert shown == [["component", str(k), name] for k, name in enumerate(names)]
    assert f"components        up to {count}" in lines


def test_of_any_other_encoder_all_components_are_there():
    entry = library.entry(library.find("faces"))
    lines = describe(library.to_json(entry), entry.card).splitlines()
    assert f"components        {entry.card.components}" in lines


def test_figures_are_aligned_lines_and_tables():
    figures = {
        "reconstruction": {"count": 500, "psnr": 36.88},
        "swaps": {
            "pairs": 200,
            "factors": {
                "colour": {"component": 0, "probe": 0.9988},
                "size": {"component": 12, "probe": None},
            },
        },
    }
    assert figures_table(figures) == [
        "",
        "FIGURES",
        "reconstruction  count  500",
        "reconstruction  psnr   36.88",
        "swaps           pairs  200",
        "",
        "SWAPS FACTORS  component  probe",
        "colour         0          0.9988",
        "size           12         -",
    ]


def test_figures_of_any_shape_are_shown():
    assert figures_table({}) == []
    odd = {"a\x1b": 1, "b": {"c": {"d": {"e": [1, 2]}}}, "f": {"g": {"h": 1}, "i": {"j": {}}}}
    assert figures_table(odd) == [
        "",
        "FIGURES",
        "         a\\x1b  1",
        "b c d    e      [1, 2]",
        "f g      h      1",
    ]
