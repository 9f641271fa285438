"""Writes that are whole or absent, and the overwrite rule."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from comet_cli.batch.lists import Ledger
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.components import ComponentSet, write_components
from comet_cli.formats.files import (
    base_name,
    check_distinct,
    check_inputs,
    read_input,
    show,
    write_output,
)
from comet_cli.formats.overwriting import check_output, made_by_comet


def test_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "a"
    write_output(path, b"a longer text")
    write_output(path, b"short")
    assert path.read_bytes() == b"short" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_left_is_one_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch, number):
    path = tmp_path / "a.z"
    path.write_bytes(b"before")

    def full(*args):
        raise OSError(number, "full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CometError, match=r"no space left for '.*a.z' \(4 bytes\)") as caught:
        write_output(path, b"data")
    assert caught.value.exit_code == 1
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.z"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_a_full_device_has_no_space_left():
    with pytest.raises(CometError, match="no space left"):
        write_output("/dev/full", b"data")


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_output(tmp_path / "a", b"data")
    assert os.listdir(tmp_path) == []


def test_missing_folder_names_the_remedy(tmp_path):
    for act in (check_output, lambda path: write_output(path, b"")):
        with pytest.raises(UsageError, match="output folder '.*gone' does not exist"):
            act(tmp_path / "gone" / "a.z")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and links")
def test_links_and_permissions_survive(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    target.chmod(0o640)
    link.symlink_to(target)
    write_output(link, b"after")
    assert link.is_symlink() and target.read_bytes() == b"after"
    assert target.stat().st_mode & 0o777 == 0o640
    write_output(tmp_path / "new", b"")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("refusal", [PermissionError(1, "no"), OSError(95, "not supported")])
def test_a_file_system_without_permissions_takes_every_file(tmp_path, monkeypatch, refusal):
    def refuse(*args, **options):
        raise refusal

    old = tmp_path / "old"
    old.write_bytes(b"before")
    old.chmod(0o640)
    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    for path in (old, tmp_path / "new"):
        write_output(path, b"after")
        assert path.read_bytes() == b"after"
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_new_files_leave_their_permissions_to_the_system(tmp_path, monkeypatch):
    """Access lists of a folder hold for files that are opened with 0666 and not touched then."""

    def refuse(*args, **options):
        raise AssertionError("permissions are set")

    monkeypatch.setattr(os, "chmod", refuse)
    before = os.umask(0o007)
    try:
        write_output(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o660


def test_foreign_files_are_replaced_only_with_force(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="was not made by comet; give --force"):
        check_output(path)
    check_output(path, force=True)


def test_own_files_are_replaced_without_force(tmp_path):
    path = tmp_path / "a.z"
    write_components(path, ComponentSet(np.zeros((1, 1), np.float32), "m", "0" * 64, 8))
    assert made_by_comet(path)
    check_output(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="'.*a.z' is a .z file that is damaged, or of another"):
        check_output(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UsageError, match="not made by comet"):
        check_output(path)


def test_inputs_are_never_overwritten_not_even_with_force(tmp_path):
    path = tmp_path / "a.z"
    path.write_bytes(b"")
    hard = tmp_path / "b.z"
    os.link(path, hard)
    for output in (path, hard, tmp_path / "." / "a.z"):
        with pytest.raises(UsageError, match="inputs are never overwritten"):
            check_output(output, force=True, inputs=["-", str(path)])


def test_folder_is_no_output_file(tmp_path):
    with pytest.raises(UsageError, match="is a folder, expected a file name"):
        check_output(tmp_path, force=True)


def test_two_inputs_for_one_output_are_named():
    with pytest.raises(UsageError, match="'a.png' and 'a.jpg' would both be written to 'a.z'"):
        check_distinct([("a.png", Path("a.z")), ("b.png", Path("b.z")), ("a.jpg", Path("./a.z"))])


def test_inputs_are_checked_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="there is no file 'gone.png'"):
        check_inputs(["gone.png"])
    with pytest.raises(UsageError, match="is a folder"):
        check_inputs([str(tmp_path)])
    with pytest.raises(UsageError, match="once only"):
        check_inputs(["-", "-"])
    with pytest.raises(UsageError, match="there is no file"):
        read_input(tmp_path / "gone")


def test_recorded_names_hold_no_folder_and_no_control_character():
    assert base_name("/home/someone/a.png") == "a.png"
    assert base_name("C:\\Users\\someone\\a.png") == "a.png"
    assert base_name("-") == "stdin"
    assert base_name("a\n\x1b.png") == "a??.png"
    assert show("a\n") == "a\\x0a"


def test_bytes_that_are_no_text_are_shown_as_they_are():
    assert show(os.fsdecode(b"\xff\n.png")) == "\\xff\\x0a.png"


def test_two_names_of_one_file_are_one_output(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c.z").symlink_to("d.z")
    for one, two in (("a/x.z", "b/x.z"), ("c.z", "d.z"), ("a/x.z", "a/../b/./x.z")):
        with pytest.raises(UsageError, match="would both be written to"):
            check_distinct([("1.png", tmp_path / one), ("2.png", tmp_path / two)])
    check_distinct([("1.png", tmp_path / "A.z"), ("2.png", tmp_path / "a.z")])


def test_a_folder_that_ignores_capitals_takes_one_of_two_names(tmp_path, monkeypatch):
    (tmp_path / "Is There").touch()
    usual = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda p: usual(p) or p.endswith("iS tHERE"))
    monkeypatch.setattr(os.path, "samefile", lambda a, b: a.casefold() == b.casefold())
    with pytest.raises(UsageError, match="would both be written to"):
        check_distinct([("A.png", tmp_path / "A.z"), ("x/a.png", tmp_path / "a.z")])
    ledger = Ledger()
    ledger.enter(1, [str(tmp_path / "A.png")], [])
    with pytest.raises(UsageError, match="lines 1 and 2 would both"):
        ledger.enter(2, [str(tmp_path / "a.png")], [])


def test_links_that_lead_nowhere_are_found_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("one.png").symlink_to("two.png")
    Path("two.png").symlink_to("one.png")
    with pytest.raises(UsageError, match="'one.png' is a link that leads to itself"):
        check_output("one.png")
    Path("out.png").symlink_to("gone/out.png")
    with pytest.raises(UsageError, match="gone' does not exist; make it"):
        check_output("out.png")
    with pytest.raises(UsageError, match="gone' does not exist"):
        write_output("out.png", b"")
    Path("new.png").symlink_to("made.png")
    check_output("new.png")
    write_output("new.png", b"x")
    assert Path("new.png").is_symlink() and Path("made.png").read_bytes() == b"x"
