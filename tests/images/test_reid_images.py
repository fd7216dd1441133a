"""Batches of decoded images: order, keeping within the memory limit, decoding ahead, errors."""

import numpy as np
import pytest
import torch

from reid_pipeline.images.decode import read_image
from reid_pipeline.images.reid_images import ReIDImages
from reid_pipeline.schema.errors import UserError

SIZE = (8, 4)
BYTES = 8 * 4 * 3


@pytest.fixture
def folder(write_jpeg, tmp_path):
    """Six files of six colours."""
    for number in range(6):
        write_jpeg(f"{number}.jpg", colour=(40 * number, 255 - 40 * number, 20), size=(12, 20))
    return tmp_path


def images_of(folder, **options):
    return ReIDImages(folder, [f"{number}.jpg" for number in range(6)], SIZE, **options)


def remove_all(folder):
    for path in folder.glob("*.jpg"):
        path.unlink()


def test_a_batch_is_the_rows_asked_for_in_order(folder):
    images = images_of(folder)
    assert len(images) == 6
    batch = images.batch([4, 0, 2])
    assert (batch.dtype, tuple(batch.shape)) == (torch.uint8, (3, 3, 8, 4))
    for image, row in zip(batch, [4, 0, 2], strict=True):
        assert (image.permute(1, 2, 0).numpy() == read_image(folder / f"{row}.jpg", SIZE)).all()


def test_rows_may_repeat_and_be_an_array(folder):
    batch = images_of(folder).batch(np.array([3, 3, 1, 3]))
    assert torch.equal(batch[0], batch[1])
    assert torch.equal(batch[0], batch[3])
    assert not torch.equal(batch[0], batch[2])


def test_all_is_kept_where_memory_allows(folder):
    images = images_of(folder, memory_limit=6 * BYTES)
    first = images.batch(range(6))
    remove_all(folder)
    assert torch.equal(images.batch(range(6)), first)


def test_only_so_much_is_kept(folder):
    images = images_of(folder, memory_limit=3 * BYTES + BYTES - 1)
    first = images.batch([5, 1, 3])
    images.batch([0, 2, 4])
    remove_all(folder)
    assert torch.equal(images.batch([5, 1, 3]), first)
    for row in (0, 2, 4):
        with pytest.raises(UserError, match=rf"{row}\.jpg does not exist"):
            images.batch([row])


def test_a_repeated_row_takes_its_room_once(folder):
    images = images_of(folder, memory_limit=2 * BYTES)
    images.batch([1, 1, 1])
    images.batch([1, 2])
    remove_all(folder)
    assert len(images.batch([1, 2])) == 2


def test_nothing_is_kept_without_memory(folder):
    images = images_of(folder, memory_limit=0)
    images.batch([1])
    remove_all(folder)
    with pytest.raises(UserError, match=r"1\.jpg does not exist"):
        images.batch([1])


def test_a_returned_batch_is_the_callers_own(folder):
    """Writing into it must not reach what is kept."""
    images = images_of(folder)
    before = images.batch([2]).clone()
    images.batch([2]).zero_()
    assert torch.equal(images.batch([2]), before)


@pytest.mark.parametrize("memory_limit", [0, 2 * BYTES, 6 * BYTES])
def test_decoding_ahead_gives_what_decoding_now_gives(folder, memory_limit):
    groups = [np.array(rows) for rows in ([0, 1], [5], [2, 2, 3], [1, 4])]
    seen = list(images_of(folder, memory_limit=memory_limit).batches(groups))
    plain = images_of(folder)
    assert [rows.tolist() for rows, _ in seen] == [rows.tolist() for rows in groups]
    for rows, batch in seen:
        assert torch.equal(batch, plain.batch(rows))


def test_one_group_is_decoded_ahead_and_no_more(folder):
    taken = []

    def groups():
        for row in range(6):
            taken.append(row)
            yield np.array([row])

    batches = images_of(folder).batches(groups())
    assert not taken, "nothing is read before it is asked for"
    next(batches)
    assert taken == [0, 1]
    next(batches)
    assert taken == [0, 1, 2]
    batches.close()
    assert taken == [0, 1, 2]


def test_no_groups_give_no_batches(folder):
    assert list(images_of(folder).batches([])) == []


def test_a_bad_file_stops_at_its_batch_with_its_path(folder):
    (folder / "3.jpg").write_bytes(b"")
    batches = images_of(folder).batches([np.array([row]) for row in range(6)])
    assert [next(batches)[0].item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match=r"3\.jpg \(0 bytes\) cannot be decoded"):
        next(batches)


def test_an_error_in_the_groups_comes_through(folder):
    def groups():
        yield np.array([0])
        raise RuntimeError("the sampler broke")

    with pytest.raises(RuntimeError, match="the sampler broke"):
        list(images_of(folder).batches(groups()))
