"""The words of the tables: column names, subsets and splits. Imports nothing, so that anyone may use it."""

PATH = "path"
PID = "pid"
CAMID = "camid"
VIEWID = "viewid"
TRACKID = "trackid"
SHA256 = "sha256"
SUBSET = "subset"
SPLIT = "split"
LABEL = "label"

SUBSETS = ("train", "query", "gallery")
"""The three parts in which benchmarks are published."""

SPLITS = ("train", "dev_query", "dev_gallery", "query", "gallery")
"""What a row is used for. `dev_*` is cut from training identities, so that tuning never sees the test."""

JUNK_PID = -1
DISTRACTOR_PID = 0
NO_LABEL = -1
