"""Market-1501, as distributed.

`0002_c1s1_000451_03.jpg`: identity, camera and sequence, frame, bounding box. Identity -1 is junk, 0000 a
distractor.
"""

import re

from reid_pipeline.readers._checks import check_variant
from reid_pipeline.readers._market_layout import MarketLayout, read_market_layout
from reid_pipeline.schema.benchmark import Benchmark, Counts, Reading, Version
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

BENCHMARK = Benchmark(
    title="Market-1501",
    noun="person",
    reference="Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015",
    licence="For research only; its authors give no licence for other uses.",
    source="Its authors distribute Market-1501-v15.09.15.zip; see the page of the paper's authors.",
    layout="bounding_box_train/, query/, bounding_box_test/",
    cameras=6,
    versions=(
        Version(
            "v15.09.15", {"train": Counts(12_936, 751), "query": Counts(3_368, 750), "gallery": Counts(19_732, 750)}
        ),
    ),
)

LAYOUT = MarketLayout(
    benchmark=BENCHMARK,
    folders={"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"},
    distributed_as=("Market-1501-v15.09.15", "Market-1501"),
    file_name=re.compile(r"(?P<pid>-1|[0-9]{4})_c(?P<camera>[0-9]+)s[0-9]+_[0-9]{6}_[0-9]{2}\.jpg"),
    grammar=(
        "<identity>_c<camera>s<sequence>_<frame>_<box>.jpg, for example 0002_c1s1_000451_03.jpg, with -1 for"
        " junk and 0000 for a distractor"
    ),
)


def read(raw: RawFolder, ingestion: IngestionParameters) -> Reading:
    """Turn the file names of a Market-1501 folder into its manifest, without opening a file.

    Raises:
        UserError: a folder of the three is missing or empty, a name is outside the grammar, or
            `ingestion.variant` names a version that does not exist.
    """
    check_variant(ingestion, BENCHMARK)
    return Reading(read_market_layout(raw, LAYOUT))
