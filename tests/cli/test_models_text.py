"""What ``comet models show`` prints of a card's figures."""

from comet_cli.cli.models_text import figures_table


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
