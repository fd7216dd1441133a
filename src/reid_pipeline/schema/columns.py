"""The words of the tables: column names, subsets and splits. Imports nothing, so that anyone may use it."""

PATH = "path"
IDENTITY = "identity"
PID = "pid"
CAMID = "camid"
CAMERA = "camera"
VIEWID = "viewid"
TRACKID = "trackid"
TIME = "time"
VECTOR = "vector"
SUBSET = "subset"
TEST_SETS = "test_sets"
SPLIT = "split"
RULE = "rule"
LABEL = "label"

MANIFEST_COLUMNS = (PATH, PID, CAMID, VIEWID, TRACKID, SPLIT)
"""What a table of one's own may say of an image; the first two it must."""

BYTES = "bytes"
MODIFIED_NS = "modified_ns"
CHANGED_NS = "changed_ns"
SHA256 = "sha256"
WIDTH = "width"
HEIGHT = "height"
MODE = "mode"
FAULT = "fault"
BRIGHTEST = "brightest"

CLUSTER = "cluster"
DISTANCE = "distance"
DOUBTFUL = "doubtful"
NAME = "name"
RUN = "run"
CLUSTER_COLUMNS = (PATH, CLUSTER, DISTANCE, DOUBTFUL, NAME, CAMERA, RUN)
"""Of clusters.csv, in this order."""
PRESENT = "present"
BEFORE = "before"
TRAINING = "training"

REPEAT = "repeat"
TEST_SET = "test_set"

SUBSETS = ("train", "query", "gallery", "test", "unassigned")
"""The parts in which benchmarks are published. `test`: query or gallery, as each sampled gallery says;
`unassigned`: the collection does not say, and normalisation decides."""

SPLITS = ("train", "dev_query", "dev_gallery", "query", "gallery", "test")
"""What a row is used for. `dev_*` is cut from training identities, so that tuning never sees the test;
`test` is query or gallery, as the table of galleries says repeat by repeat."""

JUNK_PID = -1
DISTRACTOR_PID = 0
UNLABELLED_PID = -2
NO_LABEL = -1
NOISE = -1
"""The cluster of an image that joined none."""
