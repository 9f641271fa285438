"""`comet data`: list, make, import, pack and check data sets."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.completion import complete_readers, complete_worlds
from comet_cli.cli.console import check_stdout
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.streams import standard_name
from comet_cli.cli.verb import REPORT, Call, verb
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD

app = typer.Typer(
    cls=HelpGroup, help="List, make, import, pack and check data sets.", no_args_is_help=True
)


@app.command("list")
def list_(
    readers: Annotated[
        bool, typer.Option("--readers", help="List the data sets that can be imported.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the data sets that can be made, or imported (--readers)."""
    if readers:
        _list_readers(as_json)
        return
    from comet_cli.worlds.catalogue import GENERATORS

    kinds = GENERATORS.values()
    if as_json:
        rows = [{"name": k.name, "size": k.default_size, "summary": k.summary} for k in kinds]
        typer.echo(json.dumps(rows))
        return
    for kind in kinds:
        typer.echo(f"{kind.name}\t{kind.summary}")


@app.command()
@verb(*REPORT)
def make(
    call: Call,
    name: Annotated[
        str,
        typer.Argument(help="A data set of `comet data list`.", autocompletion=complete_worlds),
    ],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", help="Folder to make it in.")],
    count: Annotated[int, typer.Option(help="Pictures of the train split.")] = 10000,
    test_count: Annotated[int, typer.Option(help="Pictures of the test split.")] = 500,
    size: Annotated[int | None, typer.Option(help="Width and height in pixels.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pictures.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Processes; default: one for each CPU.")] = None,
    objects: Annotated[str | None, typer.Option(help="Objects in each picture: 4, or 3-6.")] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(help="Allow a factor only these values: light_x=0 or light_x=0,5."),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Also write a PNG sheet of the first pictures.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Start again from nothing.")] = False,
) -> None:
    """Make a data set, or go on with it after a stop."""
    from comet_cli.data.make import make_dataset
    from comet_cli.data.preview import check_preview, write_preview
    from comet_cli.worlds.catalogue import make_generator

    if preview is not None:
        check_preview(preview, out)
    with call.report.progress("making") as progress:
        made = make_dataset(
            make_generator(name, size, _parse_range(objects), _parse_fixed(fix or [])),
            out,
            count=count,
            test_count=test_count,
            seed=seed,
            jobs=jobs if jobs is not None else os.cpu_count() or 1,
            force=force,
            progress=progress,
        )
    if preview is not None:
        write_preview(made.folder, preview)
    counts = ", ".join(f"{number} {split}" for split, number in made.counts.items())
    text = f"{made.folder}: {counts} ({made.made} made, {made.kept} kept)"
    call.report.show(
        {
            "folder": str(made.folder),
            "counts": made.counts,
            "made": made.made,
            "kept": made.kept,
            **({"preview": str(preview)} if preview is not None else {}),
        },
        str(made.folder) if call.quiet else text,
    )
    if preview is not None and not call.quiet:
        call.report.show({}, str(preview))


@app.command("import")
@verb(*REPORT)
def import_(
    call: Call,
    name: Annotated[
        str,
        typer.Argument(
            help="A reader of `comet data list --readers`.", autocompletion=complete_readers
        ),
    ],
    source: Annotated[str, typer.Argument(help="The folder or file; with hf, a name on the Hub.")],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", help="Folder to write.")],
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 64,
    crop: Annotated[
        int | None, typer.Option(help="Keep only the middle square of this side.")
    ] = None,
    test_fraction: Annotated[
        float, typer.Option(help="Share of the pictures for the test split.")
    ] = 0.1,
    limit: Annotated[int | None, typer.Option(help="Import at most this many pictures.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Start again from nothing.")] = False,
) -> None:
    """Import a published data set, or go on with it after a stop."""
    from comet_cli.data.importing import import_dataset

    with call.report.progress("importing") as progress:
        imported = import_dataset(
            name,
            source,
            out,
            size=size,
            crop=crop,
            test_fraction=test_fraction,
            limit=limit,
            force=force,
            progress=progress,
        )
    counts = ", ".join(f"{number} {split}" for split, number in imported.counts.items())
    text = (
        f"{imported.folder}: {counts} ({imported.imported} imported, "
        f"{imported.kept} kept, {len(imported.skipped)} skipped)"
    )
    call.report.show(
        {
            "folder": str(imported.folder),
            "counts": imported.counts,
            "imported": imported.imported,
            "kept": imported.kept,
            "skipped": list(imported.skipped),
        },
        str(imported.folder) if call.quiet else text,
    )


@app.command()
@verb("force", *REPORT)
def pack(
    call: Call,
    folder: Annotated[Path, typer.Argument(help="A data-set folder, or a folder of pictures.")],
    out: Annotated[
        str, typer.Option("--out", "--output", "-o", help="File to write, such as faces.pack.")
    ],
    size: Annotated[
        int | None, typer.Option(help="Width and height in pixels; default: as they are.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train or test.")] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Lose no detail, however large the file becomes.")
    ] = False,
) -> None:
    """Write a data set as one small file that trains like its folder."""
    from comet_cli.data.pack import is_pack
    from comet_cli.data.packing import pack_dataset
    from comet_cli.formats.overwriting import check_output

    out = standard_name(out)
    check_stdout(out, call.as_json)
    check_output(out, force=call.force, inputs=[str(folder)], is_ours=is_pack)
    with call.report.progress("packing") as progress:
        packed = pack_dataset(
            folder, out, size=size, split=split, lossless=lossless, progress=progress
        )
    facts = packed.facts
    loss = "" if facts.psnr is None else f", {facts.psnr[0]:.1f} dB, at least {facts.psnr[1]}"
    text = (
        f"{out}: {facts.count} pictures of {facts.size} pixels in {packed.bytes} bytes, "
        f"{packed.bytes / facts.count:.0f} each ({facts.encoding}{loss}), "
        f"{len(packed.skipped)} skipped"
    )
    if out == STANDARD:  # which the pack went to
        call.report.note(text)
        return
    call.report.show(
        {
            "file": out,
            "bytes": packed.bytes,
            "size": facts.size,
            "counts": facts.splits,
            "encoding": facts.encoding,
            "psnr": facts.psnr,
            "skipped": list(packed.skipped),
        },
        out if call.quiet else text,
    )


@app.command()
@verb("as_json")
def check(
    call: Call,
    folder: Annotated[Path, typer.Argument(help="A data-set folder.")],
) -> None:
    """Check a data set: files, sizes, masks, factors.

    No scene may be in both splits.
    """
    from comet_cli.data.check import check_folder

    found = check_folder(folder)
    lines = [f"{problem.file}: {problem.message}" for problem in found.problems]
    lines.append(found.table())
    counts = ", ".join(f"{number} {split}" for split, number in found.counts.items())
    count = len(found.problems)
    verdict = "ok" if found.ok else f"{count} problem{'s' * (count != 1)}"
    lines.append(f"{folder}: {counts}; {verdict}")
    call.report.show(found.as_dict(), "\n".join(lines))
    if not found.ok:
        call.report.exit_code = CometError.exit_code


def _list_readers(as_json: bool) -> None:
    from comet_cli.data.readers.catalogue import READERS

    rows = [{"name": reader.name, "expects": reader.expects} for reader in READERS.values()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['name']}\t{row['expects']}")


def _parse_range(words: str | None) -> tuple[int, int] | None:
    """Read `4` or `3-6`."""
    if words is None:
        return None
    least, _, greatest = words.partition("-")
    try:
        return int(least), int(greatest or least)
    except ValueError as error:
        raise UsageError(
            f"--objects is {words!r}, expected a number or a range like 3-6"
        ) from error


def _parse_fixed(texts: list[str]) -> dict[str, list[str]]:
    """Read `light_x=0,5` and the like; a factor named twice keeps to the values of both."""
    fixed: dict[str, list[str]] = {}
    for words in texts:
        name, equals, values = words.partition("=")
        if not (name and equals and values):
            raise UsageError(f"--fix is {words!r}, expected FACTOR=VALUE, or FACTOR=VALUE,VALUE")
        fixed.setdefault(name, []).extend(values.split(","))
    return fixed
