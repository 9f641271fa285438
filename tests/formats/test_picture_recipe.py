"""Recipes: exact round trips through a PNG, and hostile entries."""

import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from comet_cli.cli.replay import replayed_path
from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.images import decode_png, encode_png
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    embed_recipe,
    has_recipe,
    is_same,
    read_recipe,
    recipe_text,
)
from comet_cli.formats.png_entries import MAX_TEXT_BYTES

PIXELS = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
PLAIN = encode_png(PIXELS)


def example(**changes) -> PictureRecipe:
    z = np.array([1e-45, -0.0, 1 / 3, np.finfo(np.float32).max], np.float32)
    facts = {
        "verb": "compose",
        "models": (ModelReference("tetris", "ab" * 32),),
        "rows": (RecipeRow("scene", (RecipeTerm(0, z, -0.1, 2, "licht ☀"),), b"\x89PNG"),),
        "settings": {"seed": 2**63 - 1, "step_size": 0.1, "steps": None, "init": "noise"},
        "versions": {"comet": "0.1.0", "torch": "2.13.0"},
    }
    return PictureRecipe(**{**facts, **changes})


def changed(**changes) -> bytes:
    facts = {**json.loads(example().to_json()), **changes}
    return json.dumps({k: v for k, v in facts.items() if v is not ...}).encode()


def changed_term(**changes) -> bytes:
    facts = json.loads(example().to_json())
    facts["rows"][0]["terms"][0].update(changes)
    return json.dumps(facts).encode()


def with_entry(data: bytes, *, packed: bool = False, crc: int | None = None) -> bytes:
    """Return a PNG whose comet entry holds any bytes."""
    body = b"iTXtcomet\0" + (b"\1\0" if packed else b"\0\0") + b"\0\0" + data
    crc = zlib.crc32(body) if crc is None else crc
    return (
        PLAIN[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", crc) + PLAIN[33:]
    )


def test_recipe_survives_a_png_exactly():
    found = read_recipe(embed_recipe(PLAIN, example()))
    assert found.to_json() == example().to_json()
    z = example().rows[0].terms[0].z
    assert found.rows[0].terms[0].z.tobytes() == z.tobytes()
    assert found.rows[0].terms[0].weight == -0.1
    assert found.rows[0].picture == b"\x89PNG"
    assert found.settings == example().settings


def test_embedding_changes_no_pixel_and_repeats_byte_for_byte():
    png = encode_png(PIXELS, example())
    assert np.array_equal(decode_png(png), PIXELS)
    assert png == encode_png(PIXELS, example())


def test_other_programs_read_the_entry(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_png(PIXELS, example()))
    with Image.open(tmp_path / "a.png") as image:
        image.verify()
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["comet"] == example().to_json()


def test_compressed_entry_is_read_too():
    assert recipe_text(with_entry(zlib.compress(b"hello"), packed=True)) == b"hello"


def test_decompression_is_bounded():
    bomb = zlib.compress(bytes(MAX_TEXT_BYTES + 1), 9)
    with pytest.raises(FileFormatError, match="unpacks to more than 64 MiB"):
        read_recipe(with_entry(bomb, packed=True))


def test_pngs_without_recipe_say_so():
    assert not has_recipe(PLAIN)
    with pytest.raises(FileFormatError, match="'a.png' holds no recipe"):
        read_recipe(PLAIN, "'a.png'")
    with pytest.raises(FileFormatError, match="is not a PNG"):
        read_recipe(b"GIF89a")


def test_damaged_entries_say_so():
    assert has_recipe(with_entry(b"{}", crc=0))
    for png in (
        with_entry(b"{}", crc=0),
        with_entry(b"not zlib", packed=True),
        PLAIN[:33] + struct.pack(">I", 6) + b"iTXtcomet\0" + bytes(4) + PLAIN[33:],
    ):
        with pytest.raises(FileFormatError, match="damaged"):
            read_recipe(png)


HOSTILE = {
    "not JSON": (b"{", "not valid JSON"),
    "not UTF-8": (b"\xff", "not UTF-8"),
    "a list": (b"[]", "not of the format"),
    "another format": (changed(format="x"), "not of the format"),
    "a later version": (changed(version=2), "has version 2, this comet reads 1; update"),
    "no verb": (changed(verb=...), "key 'verb' is missing"),
    "unknown verb": (changed(verb="rm"), "the verb must be one of"),
    "unknown key": (changed(command="rm"), "unknown keys 'command'"),
    "models no list": (changed(models={}), "models must be a list"),
    "model no object": (changed(models=["x"]), "malformed"),
    "model with an escape": (changed(models=[{"name": "\x1b", "sha256": ""}]), "must be text"),
    "no rows": (changed(rows=[]), "rows must be a list"),
    "row no object": (changed(rows=[1]), "malformed"),
    "no terms": (changed(rows=[{"name": "", "picture": "", "terms": []}]), "terms must be a list"),
    "settings no object": (changed(settings=[]), "settings must be an object"),
    "setting no value": (changed(settings={"seed": []}), "setting seed is no value"),
    "versions no text": (changed(versions={"comet": 1}), "a version must be text"),
    "latent no base64": (changed_term(z="@@@"), "not base64"),
    "mask no base64": (changed_term(mask="@@@"), "a mask is not base64"),
    "latent no text": (changed_term(z=1), "must be base64 text"),
    "latent empty": (changed_term(z=""), "must be float32"),
    "latent of three bytes": (changed_term(z="AAAA"), "must be float32"),
    "latent NaN": (changed_term(z="AADAfw=="), "not finite"),
    "model out of range": (changed_term(model=1), "not listed"),
    "model negative": (changed_term(model=-1), "not listed"),
    "component text": (changed_term(component="0"), "component must be a number"),
    "weight text": (changed_term(weight="1"), "weight must be a number"),
    "weight infinite": (changed_term().replace(b"-0.1", b"1e999"), "weight must be a number"),
    "weight NaN": (changed_term().replace(b"-0.1", b"NaN"), "NaN is not a number"),
    "label no text": (changed_term(label=None), "label must be text"),
    "key twice": (b'{"format": "comet-recipe", "format": "comet-recipe"}', "given twice"),
    "deep nesting": (b"[" * 100_000, "nested too deeply|not valid JSON"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_recipe_gets_its_own_sentence(case):
    data, sentence = HOSTILE[case]
    with pytest.raises(FileFormatError, match=sentence) as caught:
        read_recipe(with_entry(data), "'a.png'")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("value", [None, True, "7", -1, 2**70, 1.5])
def test_settings_are_checked_when_they_are_used(value):
    with pytest.raises(FileFormatError, match="setting 'seed' is"):
        example(settings={"seed": value}).setting("seed", int, low=0, high=2**63 - 1)
    with pytest.raises(FileFormatError, match="setting 'init' is"):
        example(settings={"init": value}).choice("init", ("noise", "grey"))


def test_recipes_hold_nothing_that_numbers_cannot_survive():
    with pytest.raises(ValueError):
        example(settings={"step_size": float("nan")}).to_json()


def test_replays_go_beside_their_picture():
    assert replayed_path("dir/out.png", None) == "dir/out-replay.png"
    assert replayed_path("out.PNG", "x.png") == "x.png"
    with pytest.raises(UsageError, match="needs an output"):
        replayed_path("-", None)


def test_a_mask_survives_and_its_absence_leaves_the_text_as_it_was():
    term = example().rows[0].terms[0]
    masked = example(rows=(RecipeRow("scene", (replace(term, mask=PLAIN),)),))
    found = read_recipe(embed_recipe(PLAIN, masked))
    assert found.rows[0].terms[0].mask == PLAIN and found.to_json() == masked.to_json()
    assert "mask" not in example().to_json()


def test_recipes_are_the_same_but_for_the_rounding_of_latents():
    row, term = example().rows[0], example().rows[0].terms[0]

    def with_z(z, **changes):
        terms = (replace(term, z=np.asarray(z, np.float32), **changes),)
        return example(rows=(replace(row, terms=terms),))

    one = with_z([1, -2, 3])
    assert is_same(one, with_z([1, -2 * (1 + 2e-7), 3]))
    assert not is_same(one, with_z([1, -2.001, 3]))
    assert not is_same(one, with_z([1, -2]))
    assert not is_same(one, with_z([1, -2, 3], weight=2.0))
    assert not is_same(one, replace(one, settings={"seed": 1}))


def test_terms_that_rounding_has_put_in_another_order_are_the_same():
    row, term = example().rows[0], example().rows[0].terms[0]
    latents = ([1, -2, 3], [1, -2, 4], [0.5, 1, 1])

    def recipe(latents, components=(0, 0, 1)):
        terms = tuple(
            replace(term, z=np.asarray(z, np.float32), component=k)
            for z, k in zip(latents, components, strict=True)
        )
        return example(rows=(replace(row, terms=terms),))

    one = recipe(latents)
    turned = [np.multiply(z, 1 + 3e-7) for z in latents[::-1]]
    assert is_same(one, recipe(turned, (1, 0, 0)))
    assert not is_same(one, recipe(turned, (0, 0, 1)))
    assert not is_same(one, recipe([latents[0], latents[0], latents[2]]))
    assert not is_same(recipe([latents[0], latents[0], latents[2]]), one)


def test_a_number_that_no_float_holds_is_a_sentence():
    facts = json.loads(example().to_json())
    huge = 10**400
    facts["rows"][0]["terms"][0]["weight"] = huge
    with pytest.raises(FileFormatError, match="malformed"):
        PictureRecipe.from_json(json.dumps(facts).encode())
    with pytest.raises(FileFormatError, match="setting 'step_size' is 1000"):
        example(settings={"step_size": huge}).setting("step_size", float, low=0, high=1)
