"""The data sets that can be imported, by name."""

from comet_cli.data.readers.clevr_scenes import read_clevr
from comet_cli.data.readers.drives import read_kitti, read_vkitti2
from comet_cli.data.readers.falcor3d import read_falcor3d
from comet_cli.data.readers.hub_dataset import read_hub_dataset
from comet_cli.data.readers.multi_object import read_multi_object
from comet_cli.data.readers.picture_folders import read_celeba_hq, read_pictures
from comet_cli.data.readers.source import Reader
from comet_cli.errors import UsageError
from comet_cli.formats.files import show

READERS = {
    reader.name: reader
    for reader in (
        Reader("images", "any folder of pictures, flat or nested", read_pictures),
        Reader("celeba-hq", "a folder of pictures, or CelebAMask-HQ", read_celeba_hq),
        Reader("danbooru", "a folder of pictures, flat or in buckets", read_pictures),
        Reader("clevr", "CLEVR_v1.0 with images/ and, if there, scenes/", read_clevr),
        Reader("kitti", "training/image_2 (object) or training/image_02 (tracking)", read_kitti),
        Reader("vkitti2", "Scene*/*/frames/rgb/Camera_0", read_vkitti2),
        Reader("falcor3d", "images/ and train-rec.labels", read_falcor3d),
        Reader("multi-object", "a .tfrecords file of multi_object_datasets", read_multi_object),
        Reader("hf", "the name of a Hugging Face data set", read_hub_dataset),
    )
}


def find_reader(name: str) -> Reader:
    """The reader of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in READERS:
        raise UsageError(
            f"there is no data set '{show(name)}' to import; choose one of: {', '.join(READERS)}"
        )
    return READERS[name]
