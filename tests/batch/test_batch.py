"""Batches: the list, its parts, its windows, and what is done when memory runs out."""

import io
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from comet_cli.batch.jobs import BadLine, Job, Sessions, plan_job
from comet_cli.batch.lists import (
    MAX_LINE_BYTES,
    Ledger,
    check_length,
    read_lines,
    remove_leftovers,
    spool,
)
from comet_cli.batch.memory import (
    BatchSize,
    free_memory,
    is_out_of_memory,
    local_device,
    picture_bytes,
)
from comet_cli.batch.rendering import Renderer, draw_together
from comet_cli.batch.running import AHEAD, MOST_UNWRITTEN, run_jobs
from comet_cli.batch.shards import Shard, choose_shard
from comet_cli.errors import CometError, DivergenceError, UsageError
from comet_cli.formats.components import ComponentSet, write_components
from comet_cli.formats.picture_recipe import read_recipe
from comet_cli.inputs.compose_request import parse_request
from comet_cli.models import comet_model, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.verbs.compose_drawing import draw_composition

FACTS = {
    "encoder": "global",
    "filter_dim": 8,
    "components": 3,
    "latent_dim": 8,
    "image_size": 16,
    "positional": [True] * 3,
    "num_steps": 2,
    "render_steps": 3,
}
ENERGIES = {"pooled-64": 100.0, "quadratic": 1.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a COMET_HOME with a model for each kind of energy, and components of both."""
    folder = tmp_path_factory.mktemp("home")
    for energy, step in ENERGIES.items():
        torch.manual_seed(0)
        size = 32 if energy == "pooled-64" else 16
        facts = {**FACTS, "name": energy, "energy": energy, "image_size": size}
        card = ModelCard(**facts, step_size=step, render_step_size=step)
        comet_model.save(CometModel(card).eval().requires_grad_(False), folder / "models" / energy)
    return folder


@pytest.fixture
def work(home, tmp_path, monkeypatch):
    """Work in a folder that holds two `.z` of each model."""
    monkeypatch.setenv("COMET_HOME", str(home))
    monkeypatch.setattr(library, "shipped_root", lambda: tmp_path / "nothing-shipped")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for energy in ENERGIES:
        card = ModelCard.read(home / "models" / energy)
        for name in "ab":
            z = rng.normal(size=(3, 8)).astype(np.float32)
            parts = ComponentSet(
                z=z,
                model=energy,
                model_sha256=card.weights_sha256,
                image_size=card.image_size,
                source="",
                source_sha256="0" * 64,
            )
            write_components(f"{name}-{energy[0]}.z", parts)
    return tmp_path


def job(n: int, energy: str = "q", **facts) -> Job:
    selections = facts.pop("selections", (f"a-{energy}.z:0", f"b-{energy}.z:1"))
    settings = {"seed": n, **facts.pop("settings", {})}
    return Job(n, parse_request(selections, f"{n}.png", **settings), **facts)


def written(results) -> list[tuple[int, str]]:
    return [(r.line, r.status) for r in results]


class Count:
    """Renders, and remembers how many at once."""

    def __init__(self, fits: int = 1000, error: type[Exception] = RuntimeError) -> None:
        self.sizes: list[int] = []
        self.fits, self.error = fits, error

    def __call__(self, recipes, session):
        self.sizes.append(len(recipes))
        if len(recipes) > self.fits:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [np.full((4, 4, 3), r.settings["seed"] % 256, np.uint8) for r in recipes]


# The list


def test_blank_lines_and_comments_are_no_compositions_but_count_as_lines():
    file = io.BytesIO(b"\xef\xbb\xbfa.z -o 1.png\n\n  # no\n\t b.z -o 2.png \r\nlast")
    found = [(line.number, line.index, line.text) for line in read_lines(file)]
    assert found == [(1, 0, "a.z -o 1.png"), (4, 1, "b.z -o 2.png"), (5, 2, "last")]
    assert len(list(read_lines(file))) == 3  # from the start again


def test_a_line_without_an_end_is_not_read_into_memory():
    file = io.BytesIO(b"x" * (3 * MAX_LINE_BYTES + 5) + b"\nb.z -o 2.png\n")
    first, second = read_lines(file)
    assert len(first.text) == MAX_LINE_BYTES + 1 and second.number == 2
    with pytest.raises(UsageError, match="longer than 1 MiB"):
        check_length(first)
    check_length(second)


def test_a_list_is_read_from_a_copy(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.z -o 1.png\n")
    with spool(str(path)) as copy:
        path.write_text("other\n")
        assert [line.text for line in read_lines(copy)] == ["a.z -o 1.png"]
    with pytest.raises(UsageError, match="there is no file"):
        spool(str(tmp_path / "gone.txt"))


def test_lines_that_write_one_file_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(tmp_path, "link")
    ledger = Ledger()
    ledger.enter(1, ["x.png"], ["a.z"])
    ledger.enter(2, ["y.png"], ["a.z"])
    with pytest.raises(UsageError, match="lines 1 and 5 would both be written to 'link/x.png'"):
        ledger.enter(5, ["link/x.png"], [])
    with pytest.raises(UsageError, match="line 2 writes './y.png', which line 6 reads"):
        ledger.enter(6, ["z.png"], ["./y.png"])
    with pytest.raises(UsageError, match="line 7 writes 'a.z', which line 1 reads"):
        ledger.enter(7, ["a.z"], [])
    assert list(ledger.folders()) == [str(tmp_path.resolve())]
    ledger.close()


def test_only_temporary_files_older_than_the_run_are_removed(tmp_path):
    names = [".comet-0123456789abcdef.tmp", ".comet-fedcba9876543210.tmp", ".comet-mine.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    now = time.time()
    os.utime(tmp_path / names[0], (now - 60, now - 60))
    os.utime(tmp_path / names[2], (now - 60, now - 60))
    assert remove_leftovers(iter([str(tmp_path), str(tmp_path / "gone")]), now - 30) == 1
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])


# Parts


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_hold_every_line_exactly_once(count):
    parts = [choose_shard(f"{i}/{count}", {}) for i in range(count)]
    held = [[i for i in range(20) if part.holds(i)] for part in parts]
    assert sorted(sum(held, [])) == list(range(20))
    assert max(map(len, held)) - min(map(len, held)) <= 1


def test_parts_come_from_the_option_then_torchrun_then_slurm():
    slurm = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}
    torchrun = {"RANK": "1", "WORLD_SIZE": "2"}
    assert choose_shard(None, {}) == Shard(0, 1)
    assert choose_shard(None, slurm) == Shard(3, 8, 1, "SLURM_PROCID")
    assert choose_shard(None, {**slurm, **torchrun}) == Shard(1, 2, None, "RANK")
    assert choose_shard("0/4", {**slurm, **torchrun}) == Shard(0, 4)
    assert choose_shard(None, {"RANK": "1"}) == Shard(0, 1)


@pytest.mark.parametrize("text", ["4/4", "0/0", "1", "-1/2", "a/b", "1/2/3", ""])
def test_a_part_that_does_not_exist_is_refused(text):
    with pytest.raises(UsageError, match="--shard is"):
        choose_shard(text, {})


def test_a_rank_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="WORLD_SIZE is 'many'"):
        choose_shard(None, {"RANK": "0", "WORLD_SIZE": "many"})
    with pytest.raises(UsageError, match="RANK is 2 and WORLD_SIZE is 2"):
        choose_shard(None, {"RANK": "2", "WORLD_SIZE": "2"})


def test_ranks_of_one_machine_take_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [local_device("auto", rank) for rank in (0, 3, 5)] == ["cuda:0", "cuda:3", "cuda:1"]
    assert local_device("auto", None) == "auto" and local_device("cpu", 1) == "cpu"


# Rendering


@pytest.mark.parametrize("energy", ["p", "q"])
def test_a_picture_is_the_same_alone_and_in_a_batch(work, energy):
    sessions = Sessions()
    picks = [(f"a-{energy}.z:0", f"b-{energy}.z:1"), (f"b-{energy}.z:0", f"a-{energy}.z:1")]
    jobs = [job(n, selections=picks[n % 2]) for n in range(5)]
    plans = [plan_job(j, sessions) for j in jobs]
    assert len({p.kind for p in plans}) == 1
    together = draw_together([p.recipe for p in plans], plans[0].session)
    for plan, found in zip(plans, together, strict=True):
        alone = draw_composition(plan.recipe, plan.session).astype(int)
        assert np.abs(found - alone).max() <= 1
    assert np.abs(together[0].astype(int) - together[1]).max() > 20  # seeds and latents differ


def test_what_differs_in_more_than_latents_and_seed_is_not_rendered_together(work):
    sessions = Sessions()
    kinds = [
        plan_job(j, sessions).kind
        for j in (
            job(0),
            job(1, selections=("b-q.z:1", "b-q.z:0")),
            job(2, selections=("a-q.z:0", "b-q.z:1*0.5")),
            job(3, selections=("a-q.z:0", "b-q.z:2")),
            job(4, settings={"steps": 4}),
            job(5, settings={"size": 24}),
            job(6, "p"),
            job(7, precision="bfloat16"),
        )
    ]
    assert kinds[0] == kinds[1] and len(set(kinds)) == len(kinds) - 1


def test_results_come_in_the_order_of_the_lines_and_of_kinds_that_alternate(work):
    jobs = [job(n, "pq"[n % 2]) for n in range(7)]
    jobs.insert(3, BadLine(99, UsageError("no")))
    draw = Count()
    results = list(run_jobs(jobs, renderer=Renderer(BatchSize(4), draw=draw)))
    good = [(n, "written") for n in range(7)]
    assert written(results) == [*good[:3], (99, "failed"), *good[3:]]
    assert sorted(draw.sizes) == [3, 4]
    for n in range(7):
        assert read_recipe(Path(f"{n}.png").read_bytes()).settings["seed"] == n


def test_ten_thousand_lines_are_read_as_they_are_needed(work):
    taken = 0

    def lines():
        nonlocal taken
        for n in range(10_000):
            taken += 1
            yield BadLine(n, UsageError("no")) if n >= 20 else job(n)

    most = 0
    told = 0
    for result in run_jobs(lines(), renderer=Renderer(BatchSize(4), draw=Count())):
        assert result.line == told
        told += 1
        most = max(most, taken - told)
    assert told == 10_000 and most <= AHEAD * 4 + MOST_UNWRITTEN


def test_large_pictures_to_start_from_close_a_window(work, monkeypatch):
    from PIL import Image

    from comet_cli.batch import running

    Image.new("RGB", (16, 16), "red").save("start.png")
    monkeypatch.setattr(running, "MAX_PICTURE_BYTES", 100)
    draw = Count()
    jobs = [job(n, settings={"init": "start.png"}) for n in range(4)]
    assert len(list(run_jobs(jobs, renderer=Renderer(BatchSize(4), draw=draw)))) == 4
    assert max(draw.sizes) < 4


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, MemoryError])
def test_out_of_memory_halves_the_batch_and_fails_nothing(work, error):
    notes: list[str] = []
    draw = Count(fits=3, error=error)
    renderer = Renderer(BatchSize(16), draw=draw, note=notes.append)
    results = list(run_jobs([job(n) for n in range(20)], renderer=renderer))
    assert written(results) == [(n, "written") for n in range(20)]
    assert draw.sizes[:3] == [16, 8, 4] and set(draw.sizes[3:]) <= {1, 2}
    assert "out of memory with 16 pictures" in notes[0] and len(notes) == 3


def test_a_picture_too_large_by_itself_fails_alone(work):
    draw = Count(fits=0)
    results = list(run_jobs([job(0), job(1)], renderer=Renderer(BatchSize(2), draw=draw)))
    assert written(results) == [(0, "failed"), (1, "failed")] and draw.sizes == [2, 1, 1]
    assert all(is_out_of_memory(r.error) for r in results)
    assert not is_out_of_memory(CometError("out of memory"))


def test_one_that_diverges_does_not_take_its_batch_with_it(work):
    def draw(recipes, session):
        if any(r.settings["seed"] == 2 for r in recipes):
            raise DivergenceError("the descent diverged")
        return [np.zeros((4, 4, 3), np.uint8) for _ in recipes]

    results = list(run_jobs([job(n) for n in range(4)], renderer=Renderer(BatchSize(4), draw=draw)))
    assert [r.line for r in results if r.status == "failed"] == [2]
    assert not Path("2.png").exists() and Path("3.png").exists()


def test_resume_skips_what_matches_and_makes_what_does_not(work):
    jobs = [job(n) for n in range(6)]
    list(run_jobs(jobs, renderer=Renderer(BatchSize(4))))
    before = {n: Path(f"{n}.png").read_bytes() for n in range(6)}
    os.remove("1.png")
    Path("2.png").write_bytes(before[2][:-5])  # cut off
    jobs[4] = replace(jobs[4], request=replace(jobs[4].request, seed=77))
    results = list(run_jobs(jobs, renderer=Renderer(BatchSize(4)), resume=True))
    # A cut PNG still holds its recipe, so it is comet's own and is replaced.
    assert [r.status for r in results] == ["kept", "written", "written", "kept", "written", "kept"]
    assert Path("0.png").read_bytes() == before[0]
    assert Path("2.png").read_bytes()[-12:] == before[2][-12:]
    assert read_recipe(Path("4.png").read_bytes()).settings["seed"] == 77
    again = list(run_jobs(jobs, resume=True))
    assert {r.status for r in again} == {"kept"}


def test_resume_keeps_a_line_with_a_file_for_each_seed(work):
    files = ("seed-3.png", "seed-5.png")
    request = replace(job(0).request, output="seed-{seed}.png", files=files, seeds=(3, 5))
    jobs = [replace(job(0), request=request)]
    assert [r.status for r in run_jobs(jobs)] == ["written"]
    assert [r.status for r in run_jobs(jobs, resume=True)] == ["kept"]
    os.remove("seed-5.png")
    assert [r.status for r in run_jobs(jobs, resume=True)] == ["written"]
    assert Path("seed-5.png").exists()
    jobs = [replace(jobs[0], request=replace(request, files=files, seeds=(5, 3)))]
    assert [r.status for r in run_jobs(jobs, resume=True)] == ["written"]


def test_a_batch_cut_off_while_it_was_written_is_rendered_as_it_was(work):
    draw = Count()
    list(run_jobs([job(n) for n in range(6)], renderer=Renderer(BatchSize(4), draw=draw)))
    assert draw.sizes == [4, 2]
    for n in (2, 3, 5):
        os.remove(f"{n}.png")
    draw.sizes.clear()
    list(
        run_jobs(
            [job(n) for n in range(6)], renderer=Renderer(BatchSize(4), draw=draw), resume=True
        )
    )
    assert draw.sizes == [4, 2] and Path("5.png").exists()


# Memory


def test_the_number_at_once_follows_the_memory_there_is(work, monkeypatch):
    from comet_cli.batch import memory

    plan = plan_job(job(0), Sessions())
    need = picture_bytes(plan.recipe, plan.session)
    assert need > 3 * 16 * 16 * 4
    for free, expected in ((0, 1), (need, 1), (5 * need, 4), (10_000 * need, 16)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        assert BatchSize().choose(plan.recipe, plan.session, plan.kind) == expected
    assert BatchSize(5).choose(plan.recipe, plan.session, plan.kind) == 5


def test_what_a_kind_of_picture_needs_is_measured_once(work, monkeypatch):
    from comet_cli.batch import memory

    plan, measured = plan_job(job(0), Sessions()), []
    monkeypatch.setattr(memory, "picture_bytes", lambda *_: measured.append(1) or 1)
    monkeypatch.setattr(memory, "MOST_KINDS", 2)
    size = BatchSize()
    for kind in "aababcbc":
        size.choose(plan.recipe, plan.session, kind)
    assert len(measured) == 3
    size.choose(plan.recipe, plan.session, "a")  # which was forgotten for "c"
    assert len(measured) == 4


def test_what_did_not_fit_limits_larger_pictures_more():
    size = BatchSize()
    recipe = type("R", (), {})()
    recipe.rows = [type("Row", (), {"terms": (1, 2)})()]
    recipe.setting = lambda *args, **options: 32
    assert size.limit(recipe, 16) == 16
    assert size.halve(recipe, 16) == 8 and size.limit(recipe, 16) == 8
    recipe.setting = lambda *args, **options: 64
    assert size.limit(recipe, 16) == 2


def test_free_memory_is_less_than_the_machine_has():
    assert 0 <= free_memory(torch.device("cpu")) < os.sysconf("SC_PHYS_PAGES") * 4096
