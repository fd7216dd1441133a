"""The two tables of the project, one row per image: the manifest and the split table.

The catalog validates both on save and on load (`validator:` in conf/base/catalog.yml).
"""

import pandera.pandas as pa

from reid_pipeline.schema.columns import SPLITS, SUBSETS

_IMAGE_COLUMNS = {
    "path": pa.Column(str, unique=True, description="POSIX path below the raw folder"),
    "pid": pa.Column("int64", pa.Check.ge(-1), description="published identity; -1 junk, 0 distractor"),
    "camid": pa.Column(
        "Int64", pa.Check.ge(0), nullable=True, description="camera, from 0; null: no cameras"
    ),
    "viewid": pa.Column("Int64", pa.Check.ge(0), nullable=True, description="viewpoint, from 0"),
    "trackid": pa.Column("Int64", pa.Check.ge(0), nullable=True, description="tracklet"),
    "sha256": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$"), description="hash of the file's bytes"),
}

MANIFEST = pa.DataFrameSchema(
    {**_IMAGE_COLUMNS, "subset": pa.Column(str, pa.Check.isin(SUBSETS), description="subset as published")},
    strict=True,
    ordered=False,
    name="manifest",
)

SPLIT_TABLE = pa.DataFrameSchema(
    {
        **_IMAGE_COLUMNS,
        "split": pa.Column(str, pa.Check.isin(SPLITS), description="what the row is used for"),
        "label": pa.Column(
            "int64", pa.Check.ge(-1), description="contiguous training index; -1 outside train"
        ),
    },
    checks=[
        pa.Check(
            lambda table: (table["split"] == "train") == (table["label"] >= 0),
            error="label is set for the rows of train and for no others",
        ),
        pa.Check(lambda table: table["pid"] >= 0, error="junk (pid -1) does not enter the split table"),
    ],
    strict=True,
    ordered=False,
    name="split_table",
)
