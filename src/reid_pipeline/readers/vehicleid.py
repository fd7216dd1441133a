"""VehicleID, as distributed: one folder of images, and lists of lines "<image> <vehicle>".

There are no cameras. The three test lists are pools, from which a gallery of one image per vehicle is drawn
several times; an image may be in several of them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from reid_pipeline.readers._checks import check_variant
from reid_pipeline.readers._folder import absent, only_place
from reid_pipeline.readers._lists import check_named_once, check_present, matched_lines
from reid_pipeline.readers._manifest import Image, is_litter, manifest_of
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

BENCHMARK = Benchmark(
    title="VehicleID",
    noun="vehicle",
    reference=("Liu et al., Deep Relative Distance Learning: Tell the Difference Between Similar Vehicles, CVPR 2016"),
    licence="For academic research only, on the terms of its authors.",
    source="Peking University (PKU-VehicleID) hands it out on request.",
    layout=(
        "image/ and train_test_split/ with train_list.txt, test_list_800.txt, test_list_1600.txt, test_list_2400.txt"
    ),
    versions=(
        Version(
            "V1.0",
            {
                "train": Counts(113_346, 13_164),
                "800": Counts(6_493, 800),
                "1600": Counts(13_377, 1_600),
                "2400": Counts(19_777, 2_400),
            },
        ),
        Version(
            "paper",
            {
                "train": Counts(110_178, 13_134),
                "800": Counts(6_532, 800),
                "1600": Counts(11_395, 1_600),
                "2400": Counts(17_638, 2_400),
            },
        ),
    ),
)

ARCHIVES = ("VehicleID_V1.0", "VehicleID")
TRAIN_LIST = "train_list.txt"
TEST_LISTS: Mapping[str, str] = MappingProxyType(
    {"test_list_800.txt": "800", "test_list_1600.txt": "1600", "test_list_2400.txt": "2400"}
)
"""Test list to test set."""

_LINE = re.compile(r"(?P<image>[^\s/]+?)(?:\.jpg)?\s+(?P<vehicle>[0-9]+)")
_GRAMMAR = "'<image> <vehicle>', for example '0000012 34'"


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn the lists of VehicleID into its manifest, without opening an image.

    Numbers of vehicles may be 0, which as a pid means a distractor: pids are the numbers plus 1, identities
    the numbers as written. Linear in files and lines.

    Raises:
        UserError: folders or lists are missing; a list is malformed or names an absent image; an image is
            listed twice, in train and in a test list, or with two vehicles; a vehicle is written in two
            forms.
    """
    check_variant(ingestion, BENCHMARK)
    place = only_place(raw, BENCHMARK, {"image", "train_test_split"}, ARCHIVES)
    files = frozenset(raw.files)
    lists = _find_lists(raw, files, place)
    vehicles = {name: _vehicles(raw, path, f"{place}image/", files) for name, path in lists.items()}
    _check_agreement(vehicles)
    images = _images(vehicles)
    return Reading(manifest_of(images), ingestion.variant, tuple(_notes(raw, place, lists, len(images))))


def _find_lists(raw: RawFolder, files: frozenset[str], place: str) -> dict[str, str]:
    """Return where the lists lie, the training list first."""
    folder = f"{place}train_test_split/"
    if not any(path.startswith(f"{place}image/") for path in raw.files):
        raise absent(raw, BENCHMARK, ["image"], ARCHIVES)
    found = {name: folder + name for name in (TRAIN_LIST, *TEST_LISTS) if folder + name in files}
    if TRAIN_LIST not in found or len(found) == 1:
        missing = [name for name in (TRAIN_LIST, *TEST_LISTS) if name not in found]
        raise UserError(
            f"VehicleID's {', '.join(missing)} are missing in {raw.root / folder}. {TRAIN_LIST} and at least"
            " one test list are needed; they come with the archive."
        )
    return found


def _vehicles(raw: RawFolder, path: str, folder: str, files: frozenset[str]) -> dict[str, str]:
    """Return image path to vehicle, as one list says."""
    lines = [line for _, line in matched_lines(raw, path, _LINE, _GRAMMAR)]
    images = [f"{folder}{line['image']}.jpg" for line in lines]
    name = path.rsplit("/", 1)[-1]
    check_named_once((image, name) for image in images)
    check_present(path, images, files)
    return dict(zip(images, (line["vehicle"] for line in lines), strict=True))


def _check_agreement(vehicles: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse lists that contradict each other."""
    told: dict[str, tuple[str, str]] = {}
    at_odds = []
    shared = []
    for name, listed in vehicles.items():
        for image, vehicle in listed.items():
            other, before = told.setdefault(image, (name, vehicle))
            if int(before) != int(vehicle):
                at_odds.append(f"{image} ({before} in {other}, {vehicle} in {name})")
            elif other == TRAIN_LIST != name:
                shared.append(f"{image} ({name})")
    if at_odds:
        raise UserError(
            f"{len(at_odds)} images are different vehicles in different lists: {first_few(at_odds)}. Take the"
            " lists from the archive again."
        )
    if shared:
        raise UserError(
            f"{len(shared)} images are in {TRAIN_LIST} and in a test list: {first_few(shared)}. Remove them"
            " from one of the two."
        )
    _check_forms(vehicle for listed in vehicles.values() for vehicle in listed.values())


def _check_forms(written: Iterable[str]) -> None:
    """Refuse a vehicle that is written in two forms, such as 7 and 007."""
    forms: dict[int, set[str]] = defaultdict(set)
    for text in written:
        forms[int(text)].add(text)
    twice = [" and ".join(sorted(texts)) for _, texts in sorted(forms.items()) if len(texts) > 1]
    if twice:
        raise UserError(
            f"{len(twice)} vehicles are written in two forms: {first_few(twice)}. Write each in one form in all lists."
        )


def _images(vehicles: Mapping[str, Mapping[str, str]]) -> list[Image]:
    """Return a row per listed image, with the test sets that it is in."""
    sets: dict[str, list[str]] = defaultdict(list)
    vehicle_of: dict[str, str] = {}
    for name, listed in vehicles.items():
        vehicle_of.update(listed)
        if name != TRAIN_LIST:
            for image in listed:
                sets[image].append(TEST_LISTS[name])
    return [
        Image(
            image,
            vehicle,
            int(vehicle) + 1,
            "test" if image in sets else "train",
            test_sets=" ".join(sets.get(image, ())),
        )
        for image, vehicle in vehicle_of.items()
    ]


def _notes(raw: RawFolder, place: str, lists: Mapping[str, str], listed: int) -> list[str]:
    notes = ["pid is the vehicle's number plus 1, since pid 0 means a distractor."]
    absent_lists = [name for name in TEST_LISTS if name not in lists]
    if absent_lists:
        notes.append(f"Test lists that are not there: {', '.join(absent_lists)}.")
    split = f"{place}train_test_split/"
    others = [path for path in raw.files if path.startswith(split) and not is_litter(path)]
    unread = [path.removeprefix(split) for path in others if path not in lists.values()]
    if unread:
        notes.append(f"Lists that are not read: {first_few(unread)}.")
    folder = f"{place}image/"
    left = sum(path.startswith(folder) and not is_litter(path) for path in raw.files) - listed
    if left:
        notes.append(f"{left:,} files in image/ are in none of the lists and left aside.")
    return notes
