"""The options that verbs share, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli.completion import (
    complete_components,
    complete_models,
    complete_selections,
    words,
)
from comet_cli.energy.solvers import SOLVERS

Selections = Annotated[
    list[str],
    typer.Argument(
        metavar="SELECTION...",
        help="Components of .z files or images: a.z, a.z:0,2, a.z:0-2, a.z:1*0.5, a.z:label.",
        autocompletion=complete_selections,
        show_default=False,
    ),
]
Output = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="PNG to write; - for stdout.")
]
OutputBeside = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="PNG to write; - for stdout.",
        show_default="beside the input; stdout for stdin",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        envvar="COMET_MODEL",
        help="Name, folder or hf:org/name of the model that encodes images; auto: the best.",
        autocompletion=complete_models,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps.",
        autocompletion=words("auto", "cpu", "cuda", "mps"),
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="KIND",
        help="auto, float32 or bfloat16.",
        autocompletion=words("auto", "float32", "bfloat16"),
    ),
]
Align = Annotated[
    str | None,
    typer.Option(
        "--align",
        metavar="KIND",
        help="face: crop and rotate photos as CelebA-HQ does (needs two more libraries).",
        show_default="pictures as they are",
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the noise.")]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps", metavar="N", help="How many gradient steps.", show_default="the model's own"
    ),
]
StepSize = Annotated[
    float,
    typer.Option("--step-size", metavar="X", help="Multiply each model's own step size by X."),
]
Fast = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Fewer steps: solver anderson, 0.4 of the steps, 8 at least. Quadratic models: as is.",
    ),
]
Start = Annotated[
    str,
    typer.Option(
        "--init",
        metavar="START",
        help="Where a rendering starts: noise, grey, black, or auto.",
        autocompletion=words("auto", "noise", "grey", "black"),
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="N",
        help="Enlarge what is rendered N times; N:pixels repeats pixels.",
        show_default=False,
    ),
]
Literal = Annotated[
    bool, typer.Option("--literal", help="Arguments are file names, not selections.")
]
NoMetadata = Annotated[
    bool, typer.Option("--no-metadata", help="Do not write the recipe into the picture.")
]
Force = Annotated[
    bool, typer.Option("--force", "-f", help="Replace files that comet did not make.")
]
OneModel = Annotated[
    bool, typer.Option("--one-model", help="With auto: one model for all pictures of this call.")
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Ignore cached components and encode again."),
]
Preview = Annotated[
    bool,
    typer.Option("--preview", help="Show it in the terminal too (needs rich-pixels)."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print names and paths only.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Components = Annotated[
    str | None,
    typer.Option(
        "--components",
        metavar="LIST",
        help="Only these components, by number or label.",
        autocompletion=complete_components,
        show_default="all",
    ),
]
Each = Annotated[
    str | None,
    typer.Option("--each", metavar="DIR", help="Also write each picture as a PNG of its own."),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="LIST",
        help="Such as 0-15: a sheet, or files where -o is a folder or holds {seed}.",
        show_default=False,
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(
        "--solver",
        metavar="NAME",
        help=" or ".join(", ".join(SOLVERS).rsplit(", ", 1)) + ".",
        autocompletion=words(*SOLVERS),
        show_default="gd",
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="X",
        help="Stop early: when two steps lower the energy by less than X of its fall.",
        show_default="all steps",
    ),
]
