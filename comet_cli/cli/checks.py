"""What the verbs that write a picture check before torch is imported, let alone any work done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comet_cli.cli.console import check_stdout
from comet_cli.errors import UsageError
from comet_cli.formats.files import check_distinct, check_inputs, show
from comet_cli.formats.overwriting import check_output
from comet_cli.inputs.selection import parse_selection


def check_picture_output(
    output: str,
    *,
    force: bool,
    as_json: bool,
    selections: Sequence[str],
    literal: bool = False,
    also_reads: Sequence[str | None] = (),
    also_writes: Sequence[str | None] = (),
) -> None:
    """Check the inputs and the outputs of a verb.

    Args:
        output: the PNG.
        force: replace files that comet did not make.
        as_json: a JSON document goes to stdout.
        selections: the arguments.
        literal: they are file names.
        also_reads: further inputs.
        also_writes: further outputs.

    Raises:
        UsageError: inputs that do not exist, an output that is not a name for a PNG, or that may
            not be written (:func:`comet_cli.formats.overwriting.check_output`).
    """
    check_stdout(output, as_json)
    inputs = [parse_selection(text, literal=literal).path for text in selections]
    inputs += [name for name in also_reads if name is not None]
    check_inputs(dict.fromkeys(inputs))
    path = Path(output)
    if output != "-" and path.suffix.lower() != ".png" and (path.is_file() or not path.exists()):
        raise UsageError(
            f"pictures are written as PNG, and '{show(output)}' is no name for one; "
            f"write -o '{show(path.with_suffix('.png'))}'"
        )
    outputs = [output, *(name for name in also_writes if name is not None)]
    for name in outputs:
        check_output(name, force=force, inputs=inputs)
    check_distinct([(name, Path(name)) for name in outputs])
