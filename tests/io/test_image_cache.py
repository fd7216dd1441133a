"""The catalog's entry for the cache of decoded images."""

import pytest
from kedro.io import DatasetError

from reid_pipeline.io.image_cache import ImageCacheDataset


def test_it_gives_the_handle_of_a_folder_and_makes_nothing(tmp_path):
    dataset = ImageCacheDataset(filepath=str(tmp_path / "images"))
    assert dataset.exists()
    assert dataset.load().folder == tmp_path / "images"
    assert not (tmp_path / "images").exists()


def test_it_is_not_saved(tmp_path):
    with pytest.raises(DatasetError, match="is filled through its handle; int was not written"):
        ImageCacheDataset(filepath=str(tmp_path / "images")).save(3)
