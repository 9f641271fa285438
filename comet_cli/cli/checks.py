"""What the verbs that write a picture check before torch is imported, let alone any work done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comet_cli.cli.console import check_stdout, check_terminal
from comet_cli.errors import UsageError
from comet_cli.formats.files import (
    STANDARD,
    check_distinct,
    check_inputs,
    is_file,
    look,
    path_beside,
    show,
)
from comet_cli.formats.overwriting import check_folder, check_outputs
from comet_cli.models.card import STARTS

if TYPE_CHECKING:
    from comet_cli.inputs.selection import Selection


def check_page(path: str | None) -> None:
    """Check the name of an HTML page, if there is to be one.

    Raises:
        UsageError: it does not end in ``.html``.
    """
    if path is not None and Path(path).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"the page '{show(path)}' must end in .html; write '{show(path)}.html'")


def check_start(path: str | None) -> None:
    """Check that there is the picture that ``--init`` names, if it names one.

    Raises:
        UsageError: there is none, as of a word that is no start.
    """
    if path is None or path == STANDARD or os.path.lexists(path):
        return
    try:
        check_inputs([path])
    except UsageError as error:
        words = " or ".join(", ".join(STARTS).rsplit(", ", 1))
        raise UsageError(f"{error}; --init takes a picture, or {words}") from None


def beside(inputs: Sequence[Selection], suffix: str) -> str:
    """Return where the sheet of one input goes without ``-o``: beside it.

    Args:
        inputs: what the sheet is made of.
        suffix: what is put after the input's name.

    Returns:
        The path; ``-`` for standard input.

    Raises:
        UsageError: several inputs, an input without a folder, or standard output is a terminal.
    """
    if len(inputs) != 1:
        raise UsageError("several inputs make one sheet, which needs a name: -o sheet.png")
    source = inputs[0].path
    if source == STANDARD:
        check_terminal("a picture is", "sheet.png")
        return STANDARD
    return str(path_beside(source, f"{Path(source).stem}-{suffix}.png", "a sheet"))


def check_picture_outputs(
    outputs: Sequence[str],
    *,
    force: bool,
    as_json: bool,
    reads: Sequence[str] = (),
    also_writes: Mapping[str, str | None] | None = None,
    folders: Sequence[str | None] = (),
    together: bool = True,
    animated: bool = False,
    made_of: Sequence[str] = (),
) -> None:
    """Check the inputs and the outputs of a verb.

    Args:
        outputs: the PNGs.
        force: replace files that comet did not make.
        as_json: a JSON document goes to stdout.
        reads: the inputs.
        also_writes: further outputs, or None, by the options that name them.
        folders: that take further pictures, or None.
        together: see :func:`comet_cli.formats.files.check_inputs`.
        animated: the outputs are, or may be, animations, whose names are checked already.
        made_of: the input of each output, where each has one.

    Raises:
        UsageError: inputs that do not exist, an output that is not a name for a PNG, or that may
            not be written (:func:`comet_cli.formats.overwriting.check_outputs`), or two of one
            name.
    """
    check_inputs(dict.fromkeys(reads), together=together)
    for output in outputs:
        check_stdout(output, as_json)
        path = Path(output)
        is_png = output == "-" or path.suffix.lower() == ".png"
        if not is_png and not animated and (is_file(path) or look(path) is None):
            raise UsageError(
                f"pictures are written as PNG, and '{show(output)}' is no name for one; "
                f"write -o '{show(path.with_suffix('.png'))}'"
            )
    further = [(option, name) for option, name in (also_writes or {}).items() if name is not None]
    named = made_of or (["-o"] if len(outputs) == 1 else outputs)
    every = [*zip(named, outputs, strict=True), *further]
    check_outputs([name for _, name in every], force=force, inputs=reads)
    for folder in folders:
        if folder is not None:
            check_folder(folder)
    check_distinct([(maker, Path(name)) for maker, name in every])
