"""VehicleID, as distributed: one folder of images, no cameras, and lists; an image may be in several test lists."""

import re
from collections.abc import Iterable

import pandas as pd

from reid_pipeline.readers import _folder
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

TRAIN_LIST = "train_list.txt"
TEST_LISTS = {f"test_list_{number}.txt": number for number in ("800", "1600", "2400")}
"""Test list to test set, whose number is that of its vehicles."""


def _version(name: str, train: Counts, *test_images: int) -> Version:
    tests = zip(TEST_LISTS.values(), test_images, strict=True)
    return Version(name, {"train": train, **{number: Counts(images, int(number)) for number, images in tests}})


BENCHMARK = Benchmark(
    title="VehicleID",
    noun="vehicle",
    reference="Liu et al., Deep Relative Distance Learning: Tell the Difference Between Similar Vehicles, CVPR 2016",
    licence="For academic research only, on the terms of its authors.",
    source="Peking University (PKU-VehicleID) hands it out on request.",
    layout=(
        "image/ and train_test_split/ with train_list.txt, test_list_800.txt, test_list_1600.txt, test_list_2400.txt"
    ),
    versions=(
        _version("V1.0", Counts(113_346, 13_164), 6_493, 13_377, 19_777),
        _version("paper", Counts(110_178, 13_134), 6_532, 11_395, 17_638),
    ),
    archives=("VehicleID_V1.0", "VehicleID"),
)

_LINE = re.compile(r"(?P<image>[^\s/]+?)(?:\.jpg)?\s+(?P<vehicle>[0-9]+)")
_GRAMMAR = "'<image> <vehicle>', for example '0000012 34'"


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn the lists of VehicleID into its manifest, without opening an image.

    Pids are the vehicles' numbers plus 1, identities the numbers as written. Linear in files and lines.

    Raises:
        UserError: folders or lists are missing; a list is malformed or names an absent image; an image is
            listed twice, in train and in a test list, or with two vehicles; a vehicle is written in two forms.
    """
    _folder.check_variant(ingestion, BENCHMARK)
    place = _folder.only_place(raw, BENCHMARK, {"image", "train_test_split"})
    files = frozenset(raw.files)
    lists = _find_lists(raw, files, place)
    rows = pd.concat([_rows(raw, path, f"{place}image/", files) for path in lists.values()], ignore_index=True)
    _check_agreement(rows)
    images = _images(rows)
    return Reading(_folder.manifest_of(images), ingestion.variant, tuple(_notes(raw, place, lists, len(images))))


def lay_out(pictures: Iterable[_folder.Picture]) -> dict[str, bytes]:
    """Name vehicles as VehicleID is distributed; the test lists hold a third, two thirds and all that are tested."""
    named = _folder.numbered(pictures, "{:07d}")
    archive = BENCHMARK.archives[0]
    files = {f"{archive}/image/{name}.jpg": picture.data for name, picture in named.items()}
    tested = sorted({picture.identity for picture in named.values() if picture.subset != "train"})
    vehicles = {TRAIN_LIST: {picture.identity for picture in named.values() if picture.subset == "train"}}
    for number, name in enumerate(TEST_LISTS, 1):
        vehicles[name] = set(tested[: -(-len(tested) * number // len(TEST_LISTS))])
    for name, listed in vehicles.items():
        files[f"{archive}/train_test_split/{name}"] = _folder.lines_of(
            f"{image} {picture.identity}" for image, picture in named.items() if picture.identity in listed
        )
    return files


def _find_lists(raw: RawFolder, files: frozenset[str], place: str) -> dict[str, str]:
    """Return where the lists lie, the training list first."""
    folder = f"{place}train_test_split/"
    if not any(path.startswith(f"{place}image/") for path in raw.files):
        raise _folder.absent(raw, BENCHMARK, ["image"])
    lists = {name: folder + name for name in (TRAIN_LIST, *TEST_LISTS)}
    missing = [name for name, path in lists.items() if path not in files]
    if TRAIN_LIST in missing or len(missing) == len(TEST_LISTS):
        raise UserError(
            f"VehicleID's {', '.join(missing)} are missing in {raw.root / folder}. {TRAIN_LIST} and at least"
            " one test list are needed; they come with the archive."
        )
    return {name: path for name, path in lists.items() if name not in missing}


def _rows(raw: RawFolder, path: str, folder: str, files: frozenset[str]) -> pd.DataFrame:
    """Return the lines of one list: image path, vehicle as written, name of the list."""
    name = path.rsplit("/", 1)[-1]
    lines = [line for _, line in _folder.matched_lines(raw, path, _LINE, _GRAMMAR)]
    images = [f"{folder}{line['image']}.jpg" for line in lines]
    _folder.check_named_once(images, [name] * len(images))
    _folder.check_present(path, images, files)
    return pd.DataFrame({"image": images, "vehicle": [line["vehicle"] for line in lines], "list": name})


def _check_agreement(rows: pd.DataFrame) -> None:
    """Refuse lists that contradict each other, and vehicles that are written in two forms, such as 7 and 007."""
    both = rows.merge(rows.drop_duplicates("image"), on="image", suffixes=("", "_first"))
    differs = both["vehicle"].astype("int64") != both["vehicle_first"].astype("int64")
    _folder.refuse(
        [
            f"{image} ({first} in {first_list}, {vehicle} in {name})"
            for image, vehicle, name, first, first_list in both[differs].itertuples(index=False)
        ],
        "{count} images are different vehicles in different lists: {cases}. Take the lists from the archive again.",
    )
    shared = both[(both["list_first"] == TRAIN_LIST) & (both["list"] != TRAIN_LIST)]
    _folder.refuse(
        [f"{image} ({name})" for image, name in zip(shared["image"], shared["list"], strict=True)],
        "{count} images are in {train} and in a test list: {cases}. Remove them from one of the two.",
        train=TRAIN_LIST,
    )
    number = (written := rows["vehicle"].drop_duplicates().sort_values()).astype("int64")
    _folder.refuse(
        written[number.duplicated(keep=False)].groupby(number).agg(" and ".join).tolist(),
        "{count} vehicles are written in two forms: {cases}. Write each in one form in all lists.",
    )


def _images(rows: pd.DataFrame) -> list[_folder.Image]:
    """Return a row per listed image, with the test sets that it is in."""
    members = {number: set(rows["image"][rows["list"] == name]) for name, number in TEST_LISTS.items()}
    images = []
    for image, vehicle in rows.drop_duplicates("image")[["image", "vehicle"]].itertuples(index=False):
        sets = " ".join(number for number, listed in members.items() if image in listed)
        images.append(_folder.Image(image, vehicle, int(vehicle) + 1, "test" if sets else "train", test_sets=sets))
    return images


def _notes(raw: RawFolder, place: str, lists: dict[str, str], listed: int) -> list[str]:
    notes = ["pid is the vehicle's number plus 1, since pid 0 means a distractor."]
    if absent_lists := [name for name in TEST_LISTS if name not in lists]:
        notes.append(f"Test lists that are not there: {', '.join(absent_lists)}.")
    split, folder = f"{place}train_test_split/", f"{place}image/"
    others = [path for path in raw.files if path.startswith((split, folder)) and not _folder.is_system_file(path)]
    if unread := [path.removeprefix(split) for path in others if path.startswith(split) and path not in lists.values()]:
        notes.append(f"Lists that are not read: {first_few(unread)}.")
    if left := sum(path.startswith(folder) for path in others) - listed:
        notes.append(f"{left:,} files in image/ are in none of the lists and left aside.")
    return notes
