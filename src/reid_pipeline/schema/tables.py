"""The tables of the project. The catalog validates each on save and on load (`validator:` in catalog.yml)."""

import pandas as pd
import pandera.pandas as pa

from reid_pipeline.schema.columns import (
    CAMERA,
    CAMID,
    CLUSTER,
    DISTANCE,
    DISTRACTOR_PID,
    NOISE,
    SPLITS,
    SUBSETS,
    UNLABELLED_PID,
)

_SHA256 = pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$"), description="hash of the file's bytes")
_PATH = pa.Column(str, unique=True, description="POSIX path below the raw folder")
_IMAGE_COLUMNS = {
    "path": _PATH,
    "identity": pa.Column(str, description="the individual, as the collection writes it; empty: unlabelled"),
    "pid": pa.Column("int64", pa.Check.ge(-2), description="identity from 1; 0 distractor, -1 junk, -2 unlabelled"),
    "camid": pa.Column("Int64", pa.Check.ge(0), nullable=True, description="camera, from 0; null: no cameras"),
    "camera": pa.Column(str, description="the camera, as the collection writes it; empty: no cameras"),
    "viewid": pa.Column("Int64", pa.Check.ge(0), nullable=True, description="viewpoint, from 0"),
    "trackid": pa.Column("Int64", pa.Check.ge(0), nullable=True, description="tracklet"),
    "test_sets": pa.Column(str, description="published test sets it is in, space separated; empty: there is but one"),
}


def _one_each(table: pd.DataFrame, one: str, other: str) -> "pd.Series[bool]":
    """Return of each row whether its value of `one` stands beside a single value of `other`."""
    pairs = table[[one, other]].drop_duplicates()
    return ~table[one].isin(pairs.loc[pairs[one].duplicated(), one])


_CAMERA_CHECKS = [
    pa.Check(
        lambda table: table[CAMID].notna() == (table[CAMERA] != ""),
        error="an image has a camid and its camera's name, or neither",
    ),
    pa.Check(lambda table: _one_each(table, CAMID, CAMERA), error="a camid has one name"),
    pa.Check(lambda table: _one_each(table, CAMERA, CAMID), error="a camera has one camid"),
]

MANIFEST = pa.DataFrameSchema(
    {
        **_IMAGE_COLUMNS,
        "subset": pa.Column(str, pa.Check.isin(SUBSETS), description="subset as published"),
        "colour": pa.Column(str, nullable=True, required=False, description="of a vehicle, as labelled"),
        "type": pa.Column(str, nullable=True, required=False, description="of a vehicle, as labelled"),
    },
    checks=_CAMERA_CHECKS,
    strict=True,
    name="manifest",
)
"""One row per image, as published."""

IMAGE_FACTS = pa.DataFrameSchema(
    {
        "path": _PATH,
        "sha256": _SHA256,
        "bytes": pa.Column("int64", pa.Check.ge(0), description="size of the file"),
        "width": pa.Column("Int64", pa.Check.ge(1), nullable=True, description="pixels, as displayed"),
        "height": pa.Column("Int64", pa.Check.ge(1), nullable=True, description="pixels, as displayed"),
        "mode": pa.Column(str, description="Pillow's mode of the stored picture: RGB, L, CMYK ..."),
        "fault": pa.Column(str, description="why it cannot be decoded; empty: it can"),
        "brightest": pa.Column(
            "Int64",
            pa.Check.in_range(0, 65535),
            nullable=True,
            required=False,  # tables of earlier versions lack it
            description="largest number in a 16-bit picture that does not say which is white; null: of others",
        ),
    },
    checks=[
        pa.Check(
            lambda table: (table["fault"] == "") == table["width"].notna(),
            error="an image has a size, or a fault that says why it has none",
        )
    ],
    strict=True,
    name="image_facts",
)
"""One row per image: what decoding its file showed."""

IMAGE_STAMPS = pa.DataFrameSchema(
    {
        "path": _PATH,
        "bytes": pa.Column("int64", description="size of the file"),
        "modified_ns": pa.Column("int64", description="when its content was changed last, ns since 1970"),
        "changed_ns": pa.Column("int64", description="when its entry was changed last, ns since 1970"),
    },
    strict=True,
    name="image_stamps",
)
"""Size and times of the image files when ingestion read them. Of this machine alone: no DVC out."""

SPLIT_TABLE = pa.DataFrameSchema(
    {
        **_IMAGE_COLUMNS,
        "sha256": _SHA256,
        "split": pa.Column(str, pa.Check.isin(SPLITS), description="what the row is used for"),
        "rule": pa.Column(str, description="who decided that: published, or the rule that drew it"),
        "label": pa.Column("int64", pa.Check.ge(-1), description="training index; -1 outside train, or unlabelled"),
    },
    checks=[
        *_CAMERA_CHECKS,
        pa.Check(
            lambda table: (table["pid"] == UNLABELLED_PID) | (table["pid"] >= DISTRACTOR_PID),
            error="junk (pid -1) does not enter the split table",
        ),
        pa.Check(
            lambda table: ((table["split"] == "train") & (table["pid"] > DISTRACTOR_PID)) == (table["label"] >= 0),
            error="label is set for the rows of train with an identity and for no others",
        ),
    ],
    strict=True,
    name="split_table",
)
"""One row per image, as used."""

TUNING_SPLITS = ("train", "dev_query", "dev_gallery")
"""What a study may see: nothing that is tested on."""
TUNING_TABLE = SPLIT_TABLE.update_column(
    "split", checks=pa.Check.isin(TUNING_SPLITS, error="a study never sees the test")
)

GALLERIES = pa.DataFrameSchema(
    {
        "test_set": pa.Column(str, description="one of the names in `test_sets`; empty: there is but one"),
        "repeat": pa.Column("int64", pa.Check.ge(0), description="number of the sample, from 0"),
        "path": pa.Column(str, description="an image of split `test` that is gallery in this sample"),
    },
    unique=["test_set", "repeat", "path"],
    strict=True,
    name="galleries",
)
"""The gallery images of each sample; the other images of its test set are its queries."""

CLUSTERS = pa.DataFrameSchema(
    {
        "path": _PATH,
        "cluster": pa.Column("int64", pa.Check.ge(NOISE), description="from 0, the largest first; -1: joined none"),
        "distance": pa.Column(
            "float64",
            pa.Check.in_range(0, 2),
            nullable=True,
            description="1 - cosine to the cluster's prototype; null: no cluster",
        ),
        "doubtful": pa.Column(bool, description="hardly nearer to the own cluster than to the next one"),
        "name": pa.Column(str, description="for the user, who the cluster shows; empty: not known"),
        "camera": pa.Column(str, description="the camera, as the collection writes it; empty: no cameras"),
        "run": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{8}-[0-9a-f]{8}$"), description="images, and model"),
    },
    checks=[
        pa.Check(
            lambda table: (table[CLUSTER] == NOISE) == table[DISTANCE].isna(),
            error="an image has a distance where it has a cluster, and nowhere else",
        )
    ],
    strict=True,
    name="clusters",
)
"""One row per training image: the cluster that it is in by the exported model. `run` begins with
`splits.images_hash` of the images listed, and ends with the embedder's digest."""

PSEUDO_LABELS = pa.DataFrameSchema(
    {
        "path": _PATH,
        "present": pa.Column("int64", pa.Check.ge(NOISE), description="its cluster by the last clustering of training"),
        "before": pa.Column("Int64", pa.Check.ge(NOISE), nullable=True, description="by the one before; null: none"),
        "training": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$"), description="fingerprint of that training"),
    },
    strict=True,
    name="pseudo_labels",
)
"""One row per training image: what the last epochs took for its identity. No row where training ended without."""

EMBEDDED_IMAGES = pa.DataFrameSchema(
    {
        "path": pa.Column(str, unique=True, description="as it was given: absolute, or below the images' root"),
        "identity": pa.Column(str, description="the individual, in the user's words; empty: not known"),
        "camera": pa.Column(str, description="the camera, in the user's words; empty: not known"),
        "time": pa.Column(
            str,
            pa.Check.str_matches(r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z)?$"),
            description="when it was taken, ISO 8601 in UTC; empty: not known",
        ),
        "trackid": pa.Column("int64", pa.Check.ge(-1), description="tracklet; -1: not known"),
    },
    strict=True,
    name="embedded_images",
)
"""One row per image file that was embedded. Its Parquet has a column `vector` beside these."""
