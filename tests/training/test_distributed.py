"""Training by two processes, which talk by Gloo on the CPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.training import distributed, run
from comet_cli.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe

LOSSES = {
    "swap": 0.1,
    "dependence": 0.1,
    "latent_noise": 0.1,
    "gradient": 0.1,
    "purity": 0.01,
    "parsimony": 0.01,
}
GLOBAL = {"encoder": "global", "attention": "lstm", "spatial": True, "ground": False, "labels": []}
KINDS = {
    "global": (GLOBAL, LOSSES),
    "objects": (
        {"attention": "colouring"},
        {
            "mixture": 1.0,
            "consistency": 1.0,
            "silence": 0.1,
        },
    ),
}


def torchrun(arguments, folder, *, restarts=0, script=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    environment |= {"GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--standalone", "--max-restarts", str(restarts)),
            *([str(script)] if script else ["-m", "comet_cli"]),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


def finish(process, seconds=240):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"not done after {seconds} s: {err}")
    return process.returncode, out, err


@pytest.fixture
def recipe_path(tmp_path, data_folder, quadratic_toml):
    def write(iterations, kind="global", **train):
        model, losses = KINDS[kind]
        train = {"iterations": iterations, "log_every": 1, "threads": 1, **losses, **train}
        text = quadratic_toml(model=model, data={"train": str(data_folder)}, train=train)
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


def losses_of(folder):
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_have_the_loss_curve_of_one(kind, tmp_path, recipe_path):
    path = recipe_path(5, kind)
    process = torchrun(["train", str(path), "-o", "two", "--device", "cpu"], tmp_path)
    train_recipe(parse_recipe(path.read_text()), tmp_path / "one", device="cpu")
    code, out, err = finish(process)
    assert (code, out) == (0, "two\n"), err
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), rel=1e-4)
    one, two = (comet_model.load(str(tmp_path / name)).state_dict() for name in ("one", "two"))
    # Where a gradient is next to nothing, Adam makes much of how its sum was rounded.
    for name, value in one.items() if kind == "global" else ():
        torch.testing.assert_close(two[name], value, atol=2e-4, rtol=1e-2, msg=name)


DYING = """
import os
import signal
import sys
from comet_cli.cli.app import main
from comet_cli.training import loop

real = loop.learning_rate
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it to the one that is left


def dies(settings, iteration):
    if iteration == 3 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(settings, iteration)


loop.learning_rate = dies
recipe, folder = sys.argv[1:]
raise SystemExit(main(["train", recipe, "-o", folder, "--device", "cpu"]))
"""

DEPTH_ORDER = """
import sys
import torch
from comet_cli.training import distributed
from comet_cli.training.colouring_losses import depth_order_loss

draw = torch.Generator().manual_seed(0)
height = torch.rand(4, 3, generator=draw)
precision = torch.rand(4, 3, 1, 8, 8, generator=draw)
precision[:, 2] = 20 + 20 * precision[:, 2]  # one object is surer than all else
precision.requires_grad_()
with distributed.process_group("cpu"):
    loss = depth_order_loss(distributed.part(height), distributed.part(precision))
    loss.backward()
    value = distributed.mean(float(loss.detach()), loss.device)
    total = precision.grad / distributed.size()
    if distributed.size() > 1:
        torch.distributed.all_reduce(total)
    if distributed.rank() == 0:
        print(value)
        print(*[round(v, 6) for v in total.flatten().tolist()])
"""


def test_the_order_of_depth_is_of_the_whole_batch(tmp_path):
    """An untrained model's objects do not overlap, so the runs above say nothing of it."""
    script = tmp_path / "depth_order.py"
    script.write_text(DEPTH_ORDER)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    alone = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True
    )
    code, out, err = finish(torchrun([], tmp_path, script=script))
    assert code == 0, err
    loss, gradient = ([float(v) for v in line.split()] for line in alone.stdout.splitlines())
    assert loss[0] > 0.01 and max(gradient) > 0
    for line, wanted in zip(out.splitlines(), (loss, gradient), strict=True):
        assert [float(v) for v in line.split()] == pytest.approx(wanted, abs=2e-6)


def test_a_killed_process_is_started_again_and_goes_on_from_the_checkpoint(tmp_path, recipe_path):
    path = recipe_path(60, checkpoint_minutes=0)
    process = torchrun(["train", str(path), "-o", "out", "--device", "cpu"], tmp_path, restarts=1)
    log = tmp_path / "out" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        os.killpg(process.pid, signal.SIGKILL)
        pytest.skip("no way here to find a process to kill")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    code, out, err = finish(process)
    assert (code, out) == (0, "out\n"), err
    done = [json.loads(line)["iteration"] for line in log.read_text().splitlines()]
    assert done[-1] == 60 and sorted(set(done)) == list(range(1, 61))
    assert done.count(1) == 1  # not from the beginning


LOST = "another process of the training ended; the checkpoint is kept, the same command goes on"


def test_a_training_whose_other_process_died_says_so(tmp_path, recipe_path):
    script = tmp_path / "dying.py"
    script.write_text(DYING)
    path = recipe_path(60, checkpoint_minutes=0)
    process = torchrun([str(path), str(tmp_path / "out")], tmp_path, script=script)
    code, _, err = finish(process)
    assert code != 0 and LOST in err
    assert "bug in comet" not in err and "is damaged" not in err
    assert (tmp_path / "out" / "checkpoint.pt").exists()


@pytest.mark.parametrize("where", ["before", "reading"])
def test_a_process_that_is_gone_is_no_damaged_checkpoint(where, tmp_path, monkeypatch):
    def gone(*_, **__):
        raise RuntimeError("[/pytorch/third_party/gloo/tcp/pair.cc:547] Connection closed by peer")

    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed.dist, "broadcast_object_list", gone)
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(net.parameters())
    if where == "reading":
        save_checkpoint(tmp_path, net, optimizer, TrainingState(1, 0.0, {}), "")
    with pytest.raises(CometError, match=LOST):
        load_checkpoint(tmp_path, net, optimizer)


def test_what_fails_for_another_reason_is_not_put_down_to_a_process():
    with pytest.raises(RuntimeError, match="shapes"), distributed.together():
        raise RuntimeError("the shapes differ")


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 3)
    with pytest.raises(CometError, match="batch is 16, not a multiple of the 3 processes"):
        distributed.check_batch(16)


def test_alone_nothing_is_shared():
    x = torch.rand(4, 2)
    assert distributed.part(x) is x and distributed.whole(x) is x
    assert (distributed.size(), distributed.rank()) == (1, 0)
    assert distributed.mean(0.25, x.device) == 0.25
    assert distributed.any_of(True, x.device) and not distributed.any_of(False, x.device)
    with distributed.process_group():
        assert distributed.size() == 1


def test_a_local_rank_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert distributed.local_device("auto") == "auto"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.local_device("auto") == "cuda:1"
    assert distributed.local_device("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")  # all of them say the same
    for rank in "012":
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert distributed.local_device("cuda") == "cpu"


def test_without_gpus_several_processes_compute_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert distributed.local_device("auto") == "auto", "one process may take Apple's"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert distributed.local_device("auto") == "cpu"
    assert distributed.local_device("cuda") == "cuda", "which pick_device says is not there"


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_several_processes_do_not_share_one_device(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert distributed.local_device(device) == device
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(CometError, match=f"2 processes cannot train together on '{device}'"):
        distributed.local_device(device)


def test_the_model_to_start_from_is_on_the_first_machine_alone(tmp_path, recipe_path, monkeypatch):
    """Where rank 1 looks, nothing was trained by the recipe before."""
    monkeypatch.chdir(tmp_path)
    path = recipe_path(2, start_from="before.toml")
    recipe = parse_recipe(path.read_text())
    weights = CometModel(recipe.card).state_dict()
    handed = iter([{"iterations": 4}, weights])
    started = []
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setattr(distributed, "from_first", lambda v: next(handed) if v is None else v)
    monkeypatch.setattr(run, "train", lambda *_, initial, **__: started.append(initial))
    run.train_recipe(recipe, tmp_path / "out", device="cpu")
    assert started == [weights]


def test_only_the_first_process_writes(tmp_path, recipe_path, monkeypatch):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setattr(run, "with_tensorboard", lambda *_: pytest.fail("a second writer"))
    train_recipe(recipe_path(2, tensorboard=True), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
