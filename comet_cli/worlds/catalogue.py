"""The data sets that can be generated, by name."""

from collections.abc import Iterable, Mapping

from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.clevr_lighting import ClevrLighting
from comet_cli.worlds.clevr.clevr_real import ClevrReal
from comet_cli.worlds.clevr.clevr_table import ClevrTable
from comet_cli.worlds.clevr.clevr_toy import ClevrToy
from comet_cli.worlds.drive.drive import DriveReal, DriveVirtual
from comet_cli.worlds.dsprites import DSprites
from comet_cli.worlds.factor_grid import GridGenerator
from comet_cli.worlds.generator import Generator
from comet_cli.worlds.room.room import Room
from comet_cli.worlds.tetris import Tetris
from comet_cli.worlds.toon.toon import Toon

_KINDS: tuple[type[Generator], ...] = (
    Tetris,
    Clevr,
    ClevrLighting,
    ClevrReal,
    ClevrTable,
    ClevrToy,
    DSprites,
    Toon,
    Room,
    DriveReal,
    DriveVirtual,
)
GENERATORS = {kind.name: kind for kind in _KINDS}


def make_generator(
    name: str,
    size: int | None = None,
    objects: tuple[int, int] | None = None,
    fixed: Mapping[str, Iterable[int | str]] | None = None,
) -> Generator:
    """The generator of a name with its settings.

    Args:
        name: a key of GENERATORS.
        size: picture size R in pixels; None for the data set's own.
        objects: least and greatest number of objects; None for the data set's own.
        fixed: of a grid of factors, the values that some of them keep to, as for
            `GridGenerator.restrict`.

    Raises:
        UsageError: an unknown name, or settings that the data set does not allow.
    """
    if name not in GENERATORS:
        raise UsageError(
            f"there is no data set '{show(name)}' to make; choose one of: {', '.join(GENERATORS)}"
        )
    kind = GENERATORS[name]
    generator = kind(size) if objects is None else kind(size, objects)
    if not fixed:
        return generator
    if not isinstance(generator, GridGenerator):
        grids = [each.name for each in GENERATORS.values() if issubclass(each, GridGenerator)]
        raise UsageError(
            f"{name} has no grid of factors to fix some of; these have: {', '.join(grids)}"
        )
    return generator.restrict(fixed)
