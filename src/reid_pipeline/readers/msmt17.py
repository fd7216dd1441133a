"""MSMT17, as distributed (v1, and v2 with masked faces) and as re-packed in Market-1501's folders."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from reid_pipeline.readers import _folder
from reid_pipeline.readers._market_layout import FOLDERS as MARKET_FOLDERS
from reid_pipeline.readers._market_layout import MarketLayout
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

FOLDERS = {
    "v1": {"train": "train", "test": "test"},
    "v2": {"mask_train_v2": "train", "mask_test_v2": "test"},
    "market": MARKET_FOLDERS,
}

_TEST = {"query": Counts(11_659, 3_060), "gallery": Counts(82_161, 3_060)}
_COUNTS = {"train": Counts(32_621, 1_041), **_TEST}

BENCHMARK = Benchmark(
    title="MSMT17",
    noun="person",
    reference="Wei et al., Person Transfer GAN to Bridge Domain Gap for Person Re-Identification, CVPR 2018",
    licence="For academic research only, under a release agreement with its authors.",
    source=(
        "Its authors hand it out on request. v2 is v1 with masked faces; ask them for the list files too"
        " where a copy came without."
    ),
    layout=(
        "train/ and test/ (v1) or mask_train_v2/ and mask_test_v2/ (v2) with list_train.txt, list_val.txt,"
        " list_query.txt and list_gallery.txt, or bounding_box_train/, query/ and bounding_box_test/ (market)"
    ),
    cameras=15,
    versions=(
        *(Version(form, _COUNTS) for form in FOLDERS),
        Version("list_train.txt without list_val.txt", {"train": Counts(30_248, 1_041), **_TEST}),
    ),
    archives=("MSMT17", "MSMT17_V1", "MSMT17_V2"),
    forms=tuple(FOLDERS),
)

_HOURS = ("0303morning", "0303noon", "0303afternoon")
_LISTS = {"list_train.txt": "train", "list_val.txt": "train", "list_query.txt": "query", "list_gallery.txt": "gallery"}


def identity_of(subset: str, number: str) -> tuple[str, int]:
    """Return identity and pid: train and test number their people separately from 0, which is nobody special here."""
    return (f"train/{number}", int(number) + 1) if subset == "train" else (f"test/{number}", int(number) + 10_001)


_LINE = re.compile(
    r"(?P<path>(?P<folder>[0-9]{4})/(?P<name>[0-9]{4})_[0-9]+_(?P<camera>[0-9]{2})_[^/\s]+\.jpg)\s+(?P<number>[0-9]+)"
)
_GRAMMAR = "'<folder>/<image> <person>', for example '0000/0000_013_04_0303morning_0020_2.jpg 0'"
_MARKET = MarketLayout(
    benchmark=BENCHMARK,
    # c4 of the re-packs, or the image number and camera of the archives' own names
    file_name=re.compile(r"(?P<pid>[0-9]{4})_(?:c|[0-9]{3,4}_)(?P<camera>[0-9]{1,2})(?:s[0-9]+)?_\w+\.jpg"),
    grammar=(
        "<person>_c<camera>_<number>.jpg or <person>_<image>_<camera>_<time>_<frame>_<box>.jpg, for example"
        " 0000_c4_0013.jpg or 0000_013_04_0303morning_0020_2.jpg"
    ),
    identity=identity_of,
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn the lists of MSMT17, or the file names of its re-pack, into the manifest; opens no image.

    Raises:
        UserError: no form of MSMT17 lies there, or several, or another than `ingestion.variant`; a list is
            missing, malformed, contradicts itself or names an absent image; a camera is not 1 to 15.
    """
    _folder.check_variant(ingestion, BENCHMARK)
    variant = _variant(raw, ingestion.variant)
    numbers = "Train and test number their people separately: identities are train/<number> and test/<number>."
    if variant == "market":
        return Reading(_folder.manifest_of(_MARKET.images(raw)), variant, (numbers,))
    images, unlisted = _listed(raw, variant)
    notes = ["train is list_train.txt and list_val.txt together.", numbers]
    if unlisted:
        notes.append(f"{unlisted:,} files in {' and '.join(FOLDERS[variant])} are in no list and left aside.")
    return Reading(_folder.manifest_of(images), variant, tuple(notes))


def lay_out(pictures: Iterable[_folder.Picture], form: str) -> dict[str, bytes]:
    """Name people as one of MSMT17's forms is distributed; one of four training pictures is for validation."""
    archive = "MSMT17" if form == "market" else f"MSMT17_{form.upper()}"
    folder_of = {subset: folder for folder, subset in FOLDERS[form].items()}
    files: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    for picture, person, number in _numbered(pictures):
        camera, moment = picture.camera + 1, f"{_HOURS[picture.frame % len(_HOURS)]}_{picture.frame % 10_000:04d}"
        if form == "market":
            files[f"{archive}/{folder_of[picture.subset]}/{person:04d}_c{camera}_{number:04d}.jpg"] = picture.data
            continue
        name = f"{person:04d}/{person:04d}_{number:03d}_{camera:02d}_{moment}_0.jpg"
        files[f"{archive}/{folder_of['train' if picture.subset == 'train' else 'test']}/{name}"] = picture.data
        validation = picture.subset == "train" and number % 4 == 3
        lists[f"list_{'val' if validation else picture.subset}.txt"].append(f"{name} {person}")
    return files | {f"{archive}/{name}": _folder.lines_of(lines) for name, lines in lists.items() if form != "market"}


def _numbered(pictures: Iterable[_folder.Picture]) -> Iterator[tuple[_folder.Picture, int, int]]:
    """Yield each picture with its person's number in its split and its own number, both from 0."""
    people: dict[bool, dict[int, int]] = {True: {}, False: {}}
    count = Counter[int]()
    for picture in sorted(_folder.individuals(pictures), key=lambda picture: picture.subset != "train"):
        numbers = people[picture.subset == "train"]
        yield picture, numbers.setdefault(picture.identity, len(numbers)), count[picture.identity]
        count[picture.identity] += 1


def _variant(raw: RawFolder, wanted: str | None) -> str:
    """Return the form of MSMT17 that lies there."""
    found = {name: where for name, folders in FOLDERS.items() if (where := _folder.places(raw, BENCHMARK, folders))}
    if wanted in found or (wanted is None and len(found) == 1):
        return wanted or next(iter(found))
    if not found:
        raise _folder.absent(raw, BENCHMARK, ["train", "mask_train_v2", "bounding_box_train"])
    lies = [f"{name} (in {', '.join(place or 'the top' for place in where)})" for name, where in found.items()]
    if wanted is None:
        raise UserError(
            f"{raw.root} holds more than one form of MSMT17: {' and '.join(lies)}. Choose with"
            f" `ingestion.variant`: {' or '.join(found)}."
        )
    raise UserError(
        f"`ingestion.variant` is {wanted!r}, but {raw.root} holds {' and '.join(lies)}. Link the folder of"
        f" {wanted}, or set `ingestion.variant` to {' or '.join(found)} or null."
    )


def _listed(raw: RawFolder, variant: str) -> tuple[list[_folder.Image], int]:
    """Return the images that the lists name, and how many files no list names."""
    place = _folder.only_place(raw, BENCHMARK, FOLDERS[variant])
    folder_of = {split: f"{place}{folder}/" for folder, split in FOLDERS[variant].items()}
    files = frozenset(raw.files)
    images: list[_folder.Image] = []
    lists: list[str] = []
    for name, path in _find_lists(raw, files, place).items():
        rows = _rows(raw, path, _LISTS[name], folder_of["train" if _LISTS[name] == "train" else "test"])
        _folder.check_present(path, (image.path for image in rows), files)
        lists += [name] * len(rows)
        images += rows
    _folder.check_named_once([image.path for image in images], lists)
    _folder.check_cameras(images, BENCHMARK)
    on_disk = sum(path.startswith(tuple(folder_of.values())) and not _folder.is_system_file(path) for path in raw.files)
    return images, on_disk - len(images)


def _find_lists(raw: RawFolder, files: frozenset[str], place: str) -> dict[str, str]:
    """Return where each list lies: beside the image folders, or at the top."""
    found = {name: path for name in _LISTS for path in (name, f"{place}{name}") if path in files}
    if missing := [name for name in _LISTS if name not in found]:
        raise UserError(
            f"MSMT17's {', '.join(missing)} are missing in {raw.root / place}. The lists say which images are"
            " training, query and gallery; they come with the archive, and its authors send them on request."
        )
    return found


def _rows(raw: RawFolder, path: str, subset: str, folder: str) -> list[_folder.Image]:
    """Return the images of one list; refuse lines whose three numbers of the person differ."""
    lines = _folder.matched_lines(raw, path, _LINE, _GRAMMAR)
    _folder.refuse(
        [
            f"line {number} {line[0]!r}"
            for number, line in lines
            if line["folder"] != line["name"] or int(line["folder"]) != int(line["number"])
        ],
        "{path}: in {count} lines folder, file name and last column give different people: {cases}. Take the list from"
        " the archive again.",
        path=path,
    )
    return [
        _folder.Image(
            folder + line["path"], *identity_of(subset, line["folder"]), subset, camid=int(line["camera"]) - 1
        )
        for _, line in lines
    ]
