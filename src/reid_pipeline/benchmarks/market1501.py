"""Market-1501 (Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015), as distributed.

`Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}/0002_c1s1_000451_03.jpg`: identity,
camera and sequence, frame, bounding box. Identity -1 is junk, 0000 a distractor.
"""

import re
from collections.abc import Iterable

import pandas as pd

from reid_pipeline.schema.columns import CAMID, PATH, PID, SUBSET, TRACKID, VIEWID
from reid_pipeline.schema.errors import UserError, first_few

FOLDERS = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
DISTRIBUTED_AS = "Market-1501-v15.09.15"
FILE_NAME = re.compile(r"(?P<pid>-1|[0-9]{4})_c(?P<camera>[1-9][0-9]*)s[0-9]+_[0-9]{6}_[0-9]{2}\.jpg")
# Left by file managers in many copies of the archive; they are no images and carry no information.
LITTER = frozenset({"Thumbs.db", ".DS_Store", "desktop.ini"})
_APPLE_DOUBLE = "._"  # macOS writes one beside every file of an archive


def read(files: Iterable[str]) -> pd.DataFrame:
    """Turn the file names of a Market-1501 folder into its manifest, without opening a file.

    Args:
        files: POSIX paths below the raw folder. The three folders may lie at its top or one level down
            in `Market-1501-v15.09.15`.

    Returns:
        One row per image, sorted by path: path, pid, camid (from 0), viewid and trackid (null), subset.

    Raises:
        UserError: a folder of the three is missing or empty, or a name is outside the grammar.
    """
    rows: list[tuple[str, int, int, str]] = []
    strange: list[str] = []
    for path in sorted(files):
        parts = path.removeprefix(f"{DISTRIBUTED_AS}/").split("/")
        if len(parts) != 2 or parts[0] not in FOLDERS or _is_litter(parts[1]):
            continue
        match = FILE_NAME.fullmatch(parts[1])
        if match is None:
            strange.append(path)
        else:
            rows.append((path, int(match["pid"]), int(match["camera"]) - 1, FOLDERS[parts[0]]))
    _check(rows, strange)
    table = pd.DataFrame(rows, columns=[PATH, PID, CAMID, SUBSET])
    empty = pd.array([pd.NA] * len(table), dtype="Int64")
    return table.astype({PATH: str, PID: "int64", CAMID: "Int64", SUBSET: str}).assign(
        **{VIEWID: empty, TRACKID: empty}
    )


def _is_litter(name: str) -> bool:
    return name in LITTER or name.startswith(_APPLE_DOUBLE)


def _check(rows: list[tuple[str, int, int, str]], strange: list[str]) -> None:
    if strange:
        raise UserError(
            f"{len(strange)} file names are not Market-1501's: {first_few(strange)}."
            " A name is <identity>_c<camera>s<sequence>_<frame>_<box>.jpg, for example"
            " 0002_c1s1_000451_03.jpg, with -1 for junk and 0000 for a distractor."
            " Rename or remove these files."
        )
    found = {subset for *_, subset in rows}
    missing = [folder for folder, subset in FOLDERS.items() if subset not in found]
    if missing:
        raise UserError(
            f"No images in {first_few(missing)}: a Market-1501 folder holds {', '.join(FOLDERS)},"
            f" at its top or in {DISTRIBUTED_AS}/. Link the folder that holds them, or pass"
            " --params raw_root=<folder>."
        )
