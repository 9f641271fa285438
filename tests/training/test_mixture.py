"""Recipes that train on several data sets, on packs, and on published files."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.data.dataset_folder import load_folder
from comet_cli.data.packing import pack_dataset
from comet_cli.errors import CometError, CometWarning, FileFormatError, UsageError
from comet_cli.evaluation.measure import measure
from comet_cli.training.batches import draw_batch
from comet_cli.training.going_on import Memory, differences
from comet_cli.training.loading import load_data, measure_held_out
from comet_cli.training.loop import train
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe
from comet_cli.training.sources import TrainingData, parse_sources

MODEL = """[model]
name = "tiny"
encoder = "recurrent"
attention = "colouring"
ground = true
energy = "quadratic"
filter_dim = 8
components = 3
latent_dim = 6
image_size = 16
step_size = 1.0
num_steps = 1
init = "grey"
[train]
iterations = 4
batch = 8
learning_rate = 1e-3
ema = 0.5
threads = 1
[data]
"""


@pytest.fixture
def light(tmp_path):
    """A plain folder of 40 light pictures of another size."""
    folder = tmp_path / "light"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for n in range(40):
        pixels = rng.integers(200, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{n:02d}.png")
    return folder


def two(data_folder, light, more=""):
    """A recipe on the data set (dark) and the light pictures, three to one."""
    return (
        f'{MODEL}train = [{{path = "{data_folder}", share = 0.75}}, '
        f'{{path = "{light}", share = 0.25, name = "bright"}}]\n{more}'
    )


def is_light(pictures):
    return np.asarray(pictures).reshape(len(pictures), -1).min(1) > 150


def test_each_batch_holds_the_shares_whatever_the_sizes_of_the_sets(data_folder, light):
    recipe = parse_recipe(two(data_folder, light))
    images, _, _ = load_data(recipe, 8)
    assert images.shape == (12 + 36, 16, 16, 3)
    for iteration in range(20):
        x = draw_batch(images, recipe, iteration)
        assert is_light(x * 255).sum() == 2 and x.shape == (8, 3, 16, 16)
        assert torch.equal(draw_batch(images, recipe, iteration), x)
    assert not torch.equal(draw_batch(images, recipe, 0), draw_batch(images, recipe, 1))


def test_held_out_pictures_are_of_all_sets_in_any_first_few(data_folder, light):
    recipe = parse_recipe(two(data_folder, light, "held_out_count = 4"))
    images, held_out, judged = load_data(recipe, 4)
    assert judged is held_out
    assert is_light(held_out.images).tolist() == [False, False, True, False][: len(held_out.images)]
    assert held_out.masks is None, "the light pictures have none"
    dark, dark_masks = held_out.parts["squares"]
    bright, bright_masks = held_out.parts["bright"]
    assert len(dark) == 3 and len(dark_masks) == 3 and len(bright) == 1 and bright_masks is None
    trained = {image.tobytes() for image in images}
    assert not trained & {image.tobytes() for image in held_out.images}


def test_figures_are_over_all_and_of_each_set(tmp_path, data_folder, light):
    path = tmp_path / "recipe.toml"
    path.write_text(two(data_folder, light))
    card, result = train_recipe(path, tmp_path / "out", device="cpu", measured=8)
    images, held_out, _ = load_data(parse_recipe(path.read_text()), 8)
    assert card.figures == measure_held_out(result.model, held_out)
    assert set(card.figures) == {"reconstruction", "squares", "bright"}
    assert card.figures["squares"] == measure(result.model, *held_out.parts["squares"])
    assert (
        "segmentation" in card.figures["squares"]
        and "psnr" in card.figures["bright"]["reconstruction"]
    )
    counts = [card.figures[n]["reconstruction"]["count"] for n in ("squares", "bright")]
    assert sum(counts) == card.figures["reconstruction"]["count"]
    assert json.loads((tmp_path / "out" / "card.json").read_text())["figures"] == card.figures
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "| bright.reconstruction.psnr |" in readme


def test_resuming_a_mixed_training_gives_the_uninterrupted_weights(tmp_path, data_folder, light):
    recipe = parse_recipe(two(data_folder, light))
    images, _, _ = load_data(recipe, 8)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = train(recipe, images, tmp_path / "whole")
    calls = []

    def stop_after_two(line):
        calls.append(line)
        if len(calls) == 2:
            raise KeyboardInterrupt

    halting = parse_recipe(
        two(data_folder, light).replace(
            "ema = 0.5", "ema = 0.5\nlog_every = 1\ncheckpoint_minutes = 0"
        )
    )
    with pytest.raises(KeyboardInterrupt):
        train(halting, images, tmp_path / "parts", report=stop_after_two)
    again, _, _ = load_data(recipe, 8)
    resumed = train(recipe, again, tmp_path / "parts")
    assert resumed.iteration == 4
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_held_out_and_measured_may_be_lists_of_their_own(tmp_path, data_folder, light):
    recipe = parse_recipe(
        f'{MODEL}train = "{data_folder}"\nheld_out = "{light}"\n'
        f'measured = ["{light}", {{path = "{data_folder}"}}]'
    )
    images, held_out, judged = load_data(recipe, 10)
    assert len(images) == 12 and is_light(held_out.images).all() and held_out.parts == {}
    assert set(judged.parts) == {"light", "squares"}
    assert [len(part) for part, _ in judged.parts.values()] == [5, 5]


def shared(first, second) -> int:
    """How many pictures of the first are in the second too."""
    theirs = {picture.tobytes() for picture in np.asarray(second)}
    return sum(picture.tobytes() in theirs for picture in np.asarray(first))


@pytest.mark.parametrize(
    ("train", "more"),
    [
        ('["{a}", "{b}"]', 'held_out = "{a}"'),
        ('["{a}", "{b}"]', 'held_out = ["{b}", "{a}"]'),
        ('["{a}", "{b}"]', 'measured = "{a}"'),
        ('"{a}"', 'measured = "{a}"'),
        ('"{a}"', 'held_out = "{other_name}"'),
        ('"{a}"', 'measured = "{other_name}"'),
        ('["{a}", "{other_name}", "{b}"]', ""),
    ],
)
def test_no_picture_is_trained_on_and_held_out_or_measured(tmp_path, train, more):
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        for n in range(40):
            picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
            picture.save(tmp_path / name / f"{n:02d}.png")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    names = {"a": tmp_path / "a", "b": tmp_path / "b", "other_name": tmp_path / "link"}
    recipe = parse_recipe(f"{MODEL}train = {train}\n{more}".format(**names))
    images, held_out, judged = load_data(recipe, 10)
    assert len(held_out.images) and len(judged.images)
    assert shared(held_out.images, images) == shared(judged.images, images) == 0


def save_pictures(folder, pictures):
    folder.mkdir(parents=True)
    for n, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{n:02d}.png")
    return folder


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture
def sets(tmp_path, pictures):
    """The same 40 pictures under many names, and data sets that share some of them."""
    pics = save_pictures(tmp_path / "pics", pictures)
    pack_dataset(pics, tmp_path / "pics.pack", size=16, lossless=True)
    save_pictures(tmp_path / "copy", pictures)
    for name, some in (("a", pictures[:20]), ("b", pictures[20:])):
        save_pictures(tmp_path / "big" / name, some)
    others = np.random.default_rng(1).integers(0, 256, (10, 16, 16, 3), np.uint8)
    save_pictures(tmp_path / "more", [*pictures[:35], *others])
    save_pictures(tmp_path / "split" / "train", pictures[:20])
    save_pictures(tmp_path / "split" / "test", [*pictures[30:], *pictures[:2]])
    return tmp_path


@pytest.mark.parametrize(
    ("train", "more", "counts"),
    [
        ('"{}/pics.pack"', 'measured = "{}/pics"', (36, 4, 4)),
        ('"{}/pics"', 'measured = "{}/copy"', (36, 4, 4)),
        ('"{}/pics"', 'held_out = "{}/copy"', (36, 4, 4)),
        ('{path = "{}/pics", reader = "images"}', 'measured = "{}/pics"', None),
        ('"{}/pics"', 'measured = {path = "{}/pics", reader = "images"}', None),
        ('"{}/big"', 'held_out = "{}/big/a"', (20, 20, 20)),
        ('["{}/pics", "{}/more"]', "", None),
        ('["{}/pics", "{}/more"]', 'measured = "{}/copy"', None),
        ('"{}/more"', 'held_out = "{}/split"', (45 - 7, 12, 12)),
        ('"{}/split"', "", (18, 12, 12)),
        ('"{}/split"', 'measured = "{}/pics"', (18, 12, 22)),
    ],
)
def test_pictures_of_the_same_pixels_are_not_both_trained_on_and_measured(
    sets, train, more, counts
):
    recipe = parse_recipe(f"{MODEL}train = {train}\n{more}".replace("{}", str(sets)))
    memory = Memory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CometWarning)
        found = load_data(recipe, 40, memory)
        again = load_data(recipe, 40, Memory(memory.now))
    images, held_out, judged = found
    assert len(images) >= 18 and len(held_out.images) and len(judged.images)
    assert shared(held_out.images, images) == shared(judged.images, images) == 0
    if counts is not None:
        assert (len(images), len(held_out.images), len(judged.images)) == counts
    assert np.array_equal(np.asarray(images), np.asarray(again[0]))
    assert np.array_equal(judged.images, again[2].images)


def test_what_is_left_out_is_told(sets):
    recipe = parse_recipe(f'{MODEL}train = "{sets}/big"\nheld_out = "{sets}/big/a"')
    with pytest.warns(CometWarning, match="20 of the pictures of '.*big' are held out or measured"):
        load_data(recipe, 40)
    recipe = parse_recipe(f'{MODEL}train = "{sets}/pics"\nmeasured = "{sets}/copy"')
    with pytest.warns(CometWarning, match="36 of the pictures of '.*copy' are trained on"):
        load_data(recipe, 40)


def test_where_all_that_is_measured_is_trained_on_one_sentence_says_so(sets, pictures):
    save_pictures(sets / "first" / "test", pictures[2:15])
    recipe = parse_recipe(f'{MODEL}train = "{sets}/split"\nmeasured = "{sets}/first"')
    with (
        pytest.warns(CometWarning, match="13 of the pictures"),
        pytest.raises(CometError, match="all pictures of '.*first' are trained on"),
    ):
        load_data(recipe, 40)


@pytest.mark.filterwarnings("ignore::comet_cli.errors.CometWarning")
def test_a_training_goes_on_with_its_pictures_whatever_is_measured_now(sets):
    text = f'{MODEL}train = "{sets}/split"\nheld_out = "{sets}/light"\n'
    recipe, memory = parse_recipe(text + f'measured = "{sets}/big/b"'), Memory()
    save_pictures(sets / "light", np.full((3, 16, 16, 3), 255, np.uint8))
    images, _, _ = load_data(recipe, 40, memory)
    assert len(images) == 20
    recipe = parse_recipe(text + f'measured = "{sets}/more"')
    again, _, judged = load_data(recipe, 45, Memory(memory.now))
    assert np.array_equal(images, again) and len(judged.images) == 45 - 20
    older = {
        name: {k: v for k, v in facts.items() if k != "left_out"}
        for name, facts in memory.now.items()
    }
    assert np.array_equal(images, load_data(recipe, 45, Memory(older))[0])


def test_copies_of_a_picture_that_is_held_out_are_not_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(20):
        picture = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        for copy in "xy":
            picture.save(tmp_path / f"{copy}{n:02d}.png")
    images, held_out, _ = load_data(parse_recipe(f'{MODEL}train = "{tmp_path}"'), 10)
    assert len(held_out.images) == 4 and shared(held_out.images, images) == 0
    assert len(images) >= 40 - 2 * 4


def test_what_was_all_trained_on_is_not_held_out_when_a_training_goes_on(tmp_path, light):
    before = {"0": {"rows": [], "held_out": [], "pictures": 40, "sample": "x"}}
    recipe = parse_recipe(f'{MODEL}train = "{light}"')
    with pytest.raises(UsageError, match="has seen all pictures of .*light"):
        load_data(recipe, 10, Memory(before))


def test_a_list_of_one_is_the_set_alone(data_folder):
    alone = parse_recipe(f'{MODEL}train = [{{path = "{data_folder}"}}]')
    plain = parse_recipe(f'{MODEL}train = "{data_folder}"')
    found, expected = load_data(alone, 5), load_data(plain, 5)
    assert torch.equal(draw_batch(found[0], alone, 3), draw_batch(expected[0], plain, 3))
    assert (found[1].images == expected[1].images).all() and found[1].parts == {}


def test_training_on_a_pack_gives_the_weights_of_the_folder(tmp_path, data_folder):
    pack = pack_dataset(data_folder, tmp_path / "squares.pack").file
    weights = []
    for number, source in enumerate((data_folder, pack)):
        path = tmp_path / f"{number}.toml"
        path.write_text(f'{MODEL}train = "{source}"')
        card, _ = train_recipe(path, tmp_path / str(number), device="cpu")
        weights.append((card.weights_sha256, card.figures))
    assert weights[0] == weights[1] and "segmentation" in weights[0][1]


def test_of_a_pack_without_splits_the_same_tenth_is_held_out(tmp_path, light):
    pack = pack_dataset(light, tmp_path / "light.pack", size=16, lossless=True).file
    sets = [load_data(parse_recipe(f'{MODEL}train = "{p}"'), 5) for p in (light, pack)]
    assert (np.asarray(sets[0][0]) == np.asarray(sets[1][0])).all()
    assert (sets[0][1].images == sets[1][1].images).all() and len(sets[0][1].images) == 4


def test_published_files_are_trained_on_where_they_are(tmp_path, cache):
    root = tmp_path / "CLEVR_v1.0" / "images" / "train"
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(30):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(root / f"{n:06d}.png")
    recipe = parse_recipe(f'{MODEL}train = {{path = "{root.parents[1]}", reader = "clevr"}}')
    images, held_out, _ = load_data(recipe, 10)
    assert len(images) + len(held_out.images) == 30 and images.shape[1:] == (16, 16, 3)
    (entry,) = (cache / "imports").iterdir()
    assert len(load_folder(entry)) == 30
    again, _, _ = load_data(recipe, 10)
    assert np.array_equal(np.asarray(again), np.asarray(images))


def test_a_source_that_is_not_there_is_named(tmp_path, data_folder):
    recipe = parse_recipe(f'{MODEL}train = ["{data_folder}", "{tmp_path / "absent"}"]')
    with pytest.raises(CometError, match="there is no folder .*absent"):
        load_data(recipe, 5)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "train must be of type str, not 3, or a list of tables"),
        ([3], "train must be of type str, not 3"),
        ([], "train is an empty list"),
        ("", "train must name a folder"),
        ([{"share": 1}], "train must name a folder"),
        ([{"path": "a", "weight": 1}], "train: unknown weight; known are path, share"),
        ([{"path": "a", "share": "half"}], "train: share must be of type float"),
        ([{"path": "a", "share": True}], "train: share must be of type float"),
        ([{"path": "a", "limit": 1.5}], "train: limit must be of type int"),
        ([{"path": "a", "share": 0}], "share of 0, expected a positive number"),
        ([{"path": "a", "share": float("nan")}], "share of nan"),
        ([{"path": "a", "share": float("inf")}], "share of inf"),
        ([{"path": "a", "reader": "clevr", "crop": -1}], "crop or limit below 0"),
        ([{"path": "a", "crop": 100}], "crop or limit without a reader"),
        (["x/faces", "y/faces"], "train needs a name of its own for 'x/faces'"),
        (["a", {"path": "b", "name": "segmentation"}], "needs a name of its own for 'b'"),
    ],
)
def test_a_wrong_source_is_one_sentence(value, sentence):
    with pytest.raises(FileFormatError, match=r"^recipe, \[data\]: ") as caught:
        parse_sources(value, "train")
    assert sentence in str(caught.value)


def test_wrong_held_out_sources_are_said_when_the_recipe_is_read():
    with pytest.raises(FileFormatError, match=r"\[data\]: measured: unknown speed"):
        parse_recipe(f'{MODEL}train = "a"\nmeasured = [{{path = "b", speed = 1}}]')


def test_names_of_the_hub_need_no_reader():
    (found,) = parse_sources("hf:owner/pets", "train")
    assert found == TrainingData("owner/pets", name="pets", reader="hf")
    (found,) = parse_sources({"path": "hf:owner/pets", "limit": 5, "name": "animals"}, "train")
    assert found == TrainingData("owner/pets", name="animals", reader="hf", limit=5)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ('train = "pics"', 'train = "./pics/"'),
        ('train = {path = "a//b/"}', 'train = {path = "a/b"}'),
        ('train = ["a", "b/"]', 'train = ["a/", "b"]'),
        ('train = "a"\nmeasured = "b/"\nswaps = "c"', 'train = "a"\nmeasured = "b"\nswaps = "c/"'),
    ],
)
def test_recipes_that_spell_a_path_otherwise_are_the_same(before, now):
    first, second = (parse_recipe(MODEL + text) for text in (before, now))
    assert differences(first, second) == {}
    found = [parse_sources(recipe.data.train, "train") for recipe in (first, second)]
    assert found[0] == found[1]
    assert "data.train" in differences(first, parse_recipe(MODEL + 'train = "other"'))
