"""Models on the Hub, got from and pushed to a server that speaks its API over HTTP."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from fake_hub import FakeHub, serve
from huggingface_hub import constants
from models_verb import run
from PIL import Image
from torch import nn

import comet_cli
from comet_cli.errors import CometError, FileFormatError, UsageError
from comet_cli.formats.components import read_components
from comet_cli.inputs.session import Session
from comet_cli.models import comet_model, hub, library
from comet_cli.models.architectures import build_encoder, build_energy_network
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.models.hub_reference import HubReference, origin_json, origin_of, parse_reference
from comet_cli.verbs.encode import encode_files

pytestmark = pytest.mark.usefixtures("home")


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The Hub, and huggingface_hub set up as its environment variables would have it."""
    server = FakeHub()
    thread = serve(server)
    point_at(server.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", os.fspath(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", os.fspath(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model(card: ModelCard) -> CometModel:
    torch.manual_seed(0)
    return CometModel(card.replace(labels=["sky", "sea", "ship"], description="Three things."))


@pytest.fixture
def folder(model: CometModel, tmp_path: Path) -> Path:
    recipe = {"recipe.toml": "# how\n", "README.md": "by hand\n"}
    comet_model.save(model, tmp_path / "tiny", extra=recipe)
    return tmp_path / "tiny"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def weights_are(found: CometModel, model: CometModel) -> bool:
    wanted = model.state_dict()
    return all(torch.equal(v, wanted[k]) for k, v in found.state_dict().items())


def test_a_name_on_the_hub_is_a_model_wherever_one_is_named(server, folder, model) -> None:
    commit = server.add("me/tiny", contents(folder))
    found = comet_model.load("hf:me/tiny", "cpu")
    assert weights_are(found, model)
    # A name that finds the same weights again, wherever and whenever.
    assert found.card == ModelCard.read(folder).replace(name=f"hf:me/tiny@{commit}")
    assert library.entry(library.find("hf:me/tiny")).origin == f"hf:me/tiny@{commit}"
    assert json.loads(run("show", "hf:me/tiny", "--json"))["origin"] == f"hf:me/tiny@{commit}"
    assert run("verify", "hf:me/tiny") == "hf:me/tiny: ok\n"
    assert library.list_models() == []


def test_only_the_files_of_a_model_are_downloaded(server, folder) -> None:
    more = {"pytorch_model.bin": b"pickle", "model.py": b"import os", "samples/a.png": b"png"}
    server.add("me/tiny", {**contents(folder), **more})
    found = library.find("hf:me/tiny")
    assert sorted(path.name for path in found.iterdir()) == sorted(hub.FILES)
    assert not server.requests("GET", r"\.bin|\.py|\.png")


def test_what_is_cached_needs_no_network(server, folder, model, monkeypatch) -> None:
    server.add("me/tiny", contents(folder))
    library.find("hf:me/tiny")
    server.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    try:
        assert weights_are(comet_model.load("hf:me/tiny", "cpu"), model)
        with pytest.raises(CometError, match="me/other is not in the cache, and HF_HUB_OFFLINE"):
            library.find("hf:me/other")
        monkeypatch.setenv("HF_TOKEN", "hf_writer")
        with pytest.raises(CometError, match="cannot be pushed: HF_HUB_OFFLINE forbids"):
            hub.push(folder, "me/tiny")
    finally:
        huggingface_hub.close_session()
    assert server.log == []


def test_a_revision_is_a_branch_or_a_commit(server, folder, tmp_path) -> None:
    first = server.add("me/tiny", contents(folder))
    torch.manual_seed(1)
    newer = CometModel(ModelCard.read(folder))
    comet_model.save(newer, tmp_path / "newer")
    second = server.add("me/tiny", contents(tmp_path / "newer"))
    server.repositories["me/tiny"].refs["v1"] = first
    assert library.find("hf:me/tiny@v1").name == library.find(f"hf:me/tiny@{first}").name == first
    assert library.find("hf:me/tiny").name == second
    assert weights_are(comet_model.load("hf:me/tiny@main", "cpu"), newer)
    with pytest.raises(CometError, match=r"me/tiny on http.* has no revision 'v2'"):
        library.find("hf:me/tiny@v2")


@pytest.mark.parametrize(
    ("facts", "token", "sentence"),
    [
        (None, None, r"there is no me/tiny on http://\S+, or it is private: .*set HF_TOKEN"),
        (None, "hf_reader", "there is no me/tiny on"),
        ({"private": True}, None, "or it is private"),
        ({"private": True}, "hf_wrong", "refuses the token; set HF_TOKEN to a valid one"),
        ({"gated": True}, None, r"me/tiny on http\S+ is gated: accept its conditions at http"),
    ],
)
def test_a_repository_that_is_not_open_is_one_sentence(
    server, folder, monkeypatch, home, facts, token, sentence
) -> None:
    if facts is not None:
        server.add("me/tiny", contents(folder), **facts)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CometError, match=sentence) as caught:
        library.pull("me/tiny")
    assert "\n" not in str(caught.value)
    assert not home.exists()


def test_a_token_opens_a_private_repository(server, folder, monkeypatch) -> None:
    server.add("me/tiny", contents(folder), private=True, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    assert library.find("hf:me/tiny").is_dir()


def test_without_a_network_the_sentence_names_the_server(server, monkeypatch) -> None:
    point_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(CometError, match=r"http://127\.0\.0\.1:9 cannot be reached .*Connect"):
        library.find("hf:me/tiny")


@pytest.mark.parametrize("text", ["hf:tiny", "hf:", "hf:a/b/c", "hf:../x", "hf:a/b@", "hf:a--b/c"])
def test_what_names_no_repository_is_refused_before_any_request(server, text: str) -> None:
    with pytest.raises(UsageError, match="names no repository of the Hub; expected hf:org/name"):
        library.find(text)
    assert server.log == []


def foreign(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    return {"config.json": b"{}", "pytorch_model.bin": b"x"}, (
        r"hf:me/tiny has no card.json \(it holds config.json, pytorch_model.bin\), so it is no "
        "comet model; only safetensors are read"
    )


def other_card(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    return {**files, "card.json": b'{"a": 1}'}, "hf:me/tiny: card.json is not a comet model card"


def no_text(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    return {**files, "card.json": b"\xff\xfe"}, "hf:me/tiny: card.json is not JSON"


def no_weights(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    kept = {k: v for k, v in files.items() if k != "model.safetensors"}
    return {**kept, "model.pth": b"x"}, "hf:me/tiny has no model.safetensors .it holds .*model.pth"


def damaged(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    weights = files["model.safetensors"][:-1] + b"\x7f"
    return {**files, "model.safetensors": weights}, "has sha256 .* but card.json says"


def misfit(files: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    card = ModelCard.from_json(files["card.json"].decode()).replace(latent_dim=7)
    return {**files, "card.json": card.to_json().encode()}, "does not fit its card.json"


@pytest.mark.parametrize("change", [foreign, other_card, no_text, no_weights, damaged, misfit])
def test_what_is_no_comet_model_is_refused_with_the_reason(server, folder, home, change) -> None:
    files, sentence = change(contents(folder))
    server.add("me/tiny", files)
    with pytest.raises(FileFormatError, match=sentence):
        library.pull("me/tiny")
    assert not home.exists()
    if change in (foreign, other_card, no_text):
        assert not server.requests("GET", r"/large/|\.bin")


def test_pull_keeps_a_model_by_name_with_its_commit(server, folder, model) -> None:
    commit = server.add("me/tiny", contents(folder))
    printed = run("pull", "me/tiny")
    pulled = library.find("tiny")
    assert printed.strip() == os.fspath(pulled)
    assert contents(pulled).items() >= contents(folder).items()
    assert not any(path.is_symlink() for path in pulled.iterdir())
    assert weights_are(comet_model.load("tiny", "cpu"), model)
    assert [entry.origin for entry in library.list_models()] == [f"hf:me/tiny@{commit}"]
    assert f"hf:me/tiny@{commit[:8]} " in run("list")
    shown = run("show", "tiny")
    assert f"origin            hf:me/tiny@{commit}\n" in shown
    assert "component 2       ship" in shown
    # What lies in its place later does not come from there.
    comet_model.save(CometModel(model.card), pulled, overwrite=True)
    assert library.list_models()[0].origin == "local"


def test_pulling_again_is_harmless_and_another_version_needs_force(server, folder, model) -> None:
    server.add("me/tiny", contents(folder))
    first = library.pull("hf:me/tiny")
    assert library.pull("me/tiny") == first
    changed = model.card.replace(description="Better.")
    comet_model.save(model, folder, card=changed, overwrite=True)
    (folder / "recipe.toml").unlink()
    repository = server.repositories["me/tiny"]
    repository.refs.clear()
    second = server.add("me/tiny", contents(folder))
    with pytest.raises(CometError, match="holds a model already; use --force"):
        run("pull", "me/tiny")
    assert library.find("tiny") == first[1] and "Three" in ModelCard.read(first[1]).description
    for name in ("checkpoint.pt", "log.jsonl", "samples-0000001.png", "measured.json"):
        (first[1] / name).write_text("{}")
    run("pull", "me/tiny", "--force")
    assert set(os.listdir(first[1])) == {*contents(folder), "origin.json"}
    assert library.list_models()[0].origin == f"hf:me/tiny@{second}"
    assert ModelCard.read(first[1]).description == "Better."
    assert not (first[1] / "recipe.toml").exists()


def test_pull_takes_another_name_but_not_a_shipped_one(server, folder, tmp_path) -> None:
    server.add("me/tiny", contents(folder))
    assert library.pull("me/tiny", "mine")[1].name == "mine"
    shutil.copytree(folder, tmp_path / "shipped" / "tiny")
    server.log.clear()
    with pytest.raises(UsageError, match="comes with comet"):
        library.pull("me/tiny")
    assert server.log == []


def test_a_download_that_breaks_off_goes_on_where_it_was(
    server, folder, model, monkeypatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    server.add("me/tiny", contents(folder))
    size = (folder / "model.safetensors").stat().st_size
    server.cut_after = size // 2
    assert weights_are(comet_model.load("hf:me/tiny", "cpu"), model)
    ranges = [h.get("Range") for h in server.requests("GET", "/large/")]
    assert ranges == [None, f"bytes={size // 2 // 1024 * 1024}-"]


def test_push_uploads_the_model_and_a_readme_of_its_card(server, folder, model, monkeypatch):
    with pytest.raises(CometError, match="pushing to hf:me/new needs a token"):
        run("push", os.fspath(folder), "me/new")
    assert server.log == []
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    printed = run("push", os.fspath(folder), "me/new", "--private", "--json")
    repository = server.repositories["me/new"]
    commit = repository.refs["main"]
    assert json.loads(printed)["origin"] == f"hf:me/new@{commit}"
    assert json.loads(printed)["url"] == f"{server.url}/me/new/commit/{commit}"
    assert repository.private
    assert server.messages == [f"tiny, by comet {comet_cli.__version__}"]
    files = repository.commits[commit]
    assert set(files) == {*hub.FILES, "config.json", ".gitattributes"}
    for name in ("card.json", "model.safetensors", "recipe.toml"):
        assert files[name] == (folder / name).read_bytes()
    readme = files["README.md"].decode()
    for words in ("library_name: comet-cli", "Three things.", "| components K | 3 |",
                  "sky, sea, ship", "-m hf:me/new", 'from_pretrained("me/new")'):  # fmt: skip
        assert words in readme
    pulled = library.pull("me/new")[1]
    assert weights_are(comet_model.load(pulled, "cpu"), model)
    # Once more: the repository is there, and its weights are not sent again.
    sent = len(server.requests("PUT", "/large/"))
    hub.push(folder, "hf:me/new")
    assert sent == len(server.requests("PUT", "/large/")) == 1


def test_a_push_takes_away_what_an_earlier_one_left(server, folder, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    server.add("me/tiny", {"recipe.toml": b"old", "notes.md": b"mine", "config.json": b"{}"})
    (folder / "recipe.toml").unlink()
    found, _ = hub.push(folder, "me/tiny")
    files = set(server.repositories["me/tiny"].commits[found.revision])
    assert files == {*hub.FILES, "config.json", "notes.md"} - {"recipe.toml"}


def test_a_push_that_is_to_be_private_publishes_nothing(server, folder, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    first = server.add("me/tiny", {"README.md": b"x"})
    with pytest.raises(CometError, match="me/tiny is there already and public, so nothing was up"):
        run("push", os.fspath(folder), "me/tiny", "--private")
    assert server.repositories["me/tiny"].refs["main"] == first
    server.repositories["me/tiny"].private = True
    run("push", os.fspath(folder), "me/tiny", "--private")
    assert server.repositories["me/tiny"].refs["main"] != first


@pytest.mark.parametrize(
    ("licence", "header"),
    [
        ("", {"license": "other"}),
        ("MIT", {"license": "mit"}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        *(
            (text, {"license": "other", "license_name": text})
            for text in ("CC BY 4.0: see http://x", 'ours, "as is"\nno more', "- #", "ähnlich")
        ),
    ],
)
def test_any_licence_is_a_header_that_the_hub_reads(
    server, folder, model, monkeypatch, licence, header
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    comet_model.save(model, folder, card=model.card.replace(licence=licence), overwrite=True)
    found, _ = hub.push(folder, "me/tiny")
    text = server.repositories["me/tiny"].commits[found.revision]["README.md"].decode()
    read = huggingface_hub.ModelCard(text).data.to_dict()
    assert {key: read[key] for key in read if key.startswith("license")} == header


def test_a_push_that_may_not_be_says_why(server, folder, monkeypatch) -> None:
    server.add("you/theirs", {"README.md": b"x"})
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(CometError, match="the token may not write to you/theirs on http"):
        hub.push(folder, "you/theirs")
    with pytest.raises(UsageError, match="names a revision"):
        hub.push(folder, "me/new@main")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    server.log.clear()
    with pytest.raises(FileFormatError, match="has sha256"):
        hub.push(folder, "me/new")
    assert server.log == []


def test_python_has_the_methods_of_the_mixin(server, model, tmp_path, monkeypatch) -> None:
    model.save_pretrained(tmp_path / "saved")
    assert set(contents(tmp_path / "saved")) == {
        "card.json", "config.json", "model.safetensors", "README.md",
    }  # fmt: skip
    assert weights_are(CometModel.from_pretrained(tmp_path / "saved"), model)
    assert weights_are(CometModel.from_pretrained(os.fspath(tmp_path / "saved")), model)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    url = model.push_to_hub("me/tiny", commit_message="mine")
    commit = server.repositories["me/tiny"].refs["main"]
    assert url.endswith(commit) and server.messages == ["mine"]
    found = CometModel.from_pretrained("me/tiny", revision=commit)
    assert weights_are(found, model) and not found.training
    found.save_pretrained(tmp_path / "again")
    assert ModelCard.read(tmp_path / "again").name == "tiny"
    with pytest.raises(CometError, match="is not in the cache"):
        CometModel.from_pretrained("me/absent", local_files_only=True)


def test_the_layout_is_that_of_the_mixin(server, model, monkeypatch) -> None:
    class Mixed(nn.Module, huggingface_hub.PyTorchModelHubMixin):
        def __init__(self, **facts) -> None:
            super().__init__()
            card = ModelCard.from_json(json.dumps(facts))
            self.encoder = build_encoder(card)
            self.energy_network = build_energy_network(card)

    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    model.push_to_hub("me/tiny")
    found = Mixed.from_pretrained("me/tiny", strict=True)
    wanted = model.state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in found.state_dict().items())


def test_components_remember_the_model_on_the_hub(server, folder, tmp_path) -> None:
    commit = server.add("me/tiny", contents(folder))
    picture = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    session = Session(model="hf:me/tiny", device="cpu")
    encode_files([os.fspath(tmp_path / "a.png")], session)
    assert read_components(tmp_path / "a.z").model == f"hf:me/tiny@{commit}"
    # Found once a command, however many pictures there are.
    asked = len(server.requests("GET", "/api/models/"))
    session.open(os.fspath(tmp_path / "a.png"))
    assert len(server.requests("GET", "/api/models/")) == asked
    notes: list[str] = []
    opened = Session(device="cpu", note=notes.append).open(os.fspath(tmp_path / "a.z"))
    assert opened.model.card.weights_sha256 == ModelCard.read(folder).weights_sha256
    assert "is taken from the Hub" in notes[0]


def test_the_environment_is_honoured(server, folder, tmp_path) -> None:
    commit = server.add("me/tiny", contents(folder), private=True)
    code = "from comet_cli.models.hub import fetch; print(fetch('hf:me/tiny'))"
    environment = {
        **os.environ, "HF_ENDPOINT": server.url, "HF_HOME": os.fspath(tmp_path / "hf"),
        "HF_TOKEN": "hf_reader", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    environment.pop("HF_HUB_CACHE", None)
    for offline in ("0", "1"):
        server.log.clear()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "HF_HUB_OFFLINE": offline},
            cwd=Path(comet_cli.__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        snapshots = tmp_path / "hf" / "hub" / "models--me--tiny" / "snapshots"
        assert Path(done.stdout.strip()) == snapshots / commit
        assert bool(server.log) == (offline == "0")
        asked = [{k.lower(): v for k, v in h.items()} for _, _, h in server.log]
        assert all(h["user-agent"].startswith("comet-cli/") for h in asked)


def test_no_module_imports_the_hub_before_it_is_needed() -> None:
    for path in Path(comet_cli.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            assert "huggingface_hub" not in [getattr(node, "module", ""), *names], path


def test_an_origin_is_believed_of_the_weights_it_was_written_for(tmp_path) -> None:
    origin = HubReference("me/tiny", "a" * 40)
    (tmp_path / "origin.json").write_text(origin_json(origin, "f" * 64))
    assert origin_of(tmp_path, "f" * 64) == origin
    assert origin_of(tmp_path, "0" * 64) is None
    for text in ("", "[]", '{"weights_sha256": "x", "repository": "../up", "commit": 3}'):
        (tmp_path / "origin.json").write_text(text)
        assert origin_of(tmp_path, "x") is None


def test_references_are_parsed() -> None:
    assert parse_reference("hf:me/a.b-c@refs/pr/1") == HubReference("me/a.b-c", "refs/pr/1")
    assert str(parse_reference("me/a")) == "hf:me/a" and parse_reference("me/a").name == "a"
