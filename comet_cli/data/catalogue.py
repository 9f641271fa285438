"""The data sets that can be generated, by name."""

from comet_cli.data.clevr import Clevr
from comet_cli.data.clevr_lighting import ClevrLighting
from comet_cli.data.dsprites import DSprites
from comet_cli.data.generator import Generator
from comet_cli.data.tetris import Tetris
from comet_cli.data.toon import Toon
from comet_cli.errors import UsageError
from comet_cli.files import show

_KINDS: tuple[type[Generator], ...] = (Tetris, Clevr, ClevrLighting, DSprites, Toon)
GENERATORS = {kind.name: kind for kind in _KINDS}


def make_generator(
    name: str, size: int | None = None, objects: tuple[int, int] | None = None
) -> Generator:
    """The generator of a name with its settings.

    Args:
        name: a key of GENERATORS.
        size: picture size R in pixels; None for the data set's own.
        objects: least and greatest number of objects; None for the data set's own.

    Raises:
        UsageError: an unknown name, or settings that the data set does not allow.
    """
    if name not in GENERATORS:
        raise UsageError(
            f"there is no data set '{show(name)}' to make; choose one of: {', '.join(GENERATORS)}"
        )
    kind = GENERATORS[name]
    return kind(size) if objects is None else kind(size, objects)
