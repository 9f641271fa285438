"""Published data sets used where they are: imported once, into the cache."""

from collections.abc import Iterator
from pathlib import Path

from comet_cli.data.dataset_folder import read_description
from comet_cli.data.importing import import_dataset
from comet_cli.data.readers.catalogue import find_reader
from comet_cli.errors import CometError, Interrupted
from comet_cli.formats.cache import Fingerprints, cache_home, make_entry
from comet_cli.formats.files import show
from comet_cli.formats.foreign import ENDINGS

# Of how pictures are read and written. What an older one left in the cache is not used.
FORMAT_VERSION = 1
HUB_PREFIX = "hf:"
# What readers look into besides pictures; a drive's point clouds are no business of theirs.
_TABLES = frozenset({".json", ".jsonl", ".txt", ".labels", ".npy", ".parquet", ".arrow", ".csv"})


def imported_source(
    reader: str, source: str, size: int, *, crop: int | None = None, limit: int | None = None
) -> Path:
    """The folder of a published data set in our own format, imported if it is not in the cache.

    A source on disk is imported again when its files' content changed. One that is a name on the
    Hugging Face Hub is imported once.

    Args:
        reader: as `comet data list --readers` names it.
        source: the folder or file as published; for `hf` the name of the data set.
        size: R.
        crop: as for `import_dataset`.
        limit: as for `import_dataset`.

    Raises:
        CometError: as `import_dataset`, or the cache cannot be written.
        Interrupted: nothing is kept then.
    """
    find_reader(reader)
    path = Path(source)
    on_disk = path.exists()
    known = Fingerprints(path if on_disk else Path(HUB_PREFIX) / source, f"import {reader}")
    files = _files(path, everything=reader == "hf") if on_disk else []
    name = None if on_disk else source
    digest = known.digest(files, "import", FORMAT_VERSION, reader, name, size, crop, limit)
    entry = cache_home() / "imports" / digest
    if (read_description(entry) or {}).get("complete") is not True:
        try:
            make_entry(
                entry,
                lambda folder: _import(reader, source, folder, size, crop, limit),
            )
        except OSError as error:
            raise CometError(
                f"'{show(source)}' cannot be imported into the cache '{show(cache_home())}': "
                f"{error.strerror}; set COMET_CACHE to another folder"
            ) from None
    known.remember(f"{size} {crop} {limit}", entry)
    return entry


def _import(
    reader: str, source: str, folder: Path, size: int, crop: int | None, limit: int | None
) -> None:
    try:
        import_dataset(reader, source, folder, size=size, crop=crop, limit=limit)
    except Interrupted:  # half of an entry is no entry
        raise Interrupted(
            f"interrupted; '{show(source)}' was being imported into the cache, where nothing of it "
            "is kept: the same command imports it from its beginning"
        ) from None


def _files(path: Path, *, everything: bool) -> Iterator[Path]:
    """Yield what a reader may look into; the `datasets` library looks into archives too."""
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        kind = file.suffix.lower()
        known = kind in ENDINGS or kind in _TABLES or ".tfrecord" in file.name
        if known or (everything and file.is_file()):
            yield file
