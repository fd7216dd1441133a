"""Market-1501, as distributed."""

import re

from reid_pipeline.readers._folder import Picture
from reid_pipeline.readers._market_layout import MarketLayout
from reid_pipeline.schema.benchmark import Benchmark, Counts, Version

_COUNTS = {"train": Counts(12_936, 751), "query": Counts(3_368, 750), "gallery": Counts(19_732, 750)}

BENCHMARK = Benchmark(
    title="Market-1501",
    noun="person",
    reference="Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015",
    licence="For research only; its authors give no licence for other uses.",
    source="Its authors distribute Market-1501-v15.09.15.zip; see the page of the paper's authors.",
    layout="bounding_box_train/, query/, bounding_box_test/",
    cameras=6,
    versions=(Version("v15.09.15", _COUNTS),),
    archives=("Market-1501-v15.09.15", "Market-1501"),
)


def _name(picture: Picture) -> str:
    who, box = "-1" if picture.identity < 0 else f"{picture.identity:04d}", int(picture.subset != "query")
    return f"{who}_c{picture.camera + 1}s1_{picture.frame:06d}_{box:02d}.jpg"


LAYOUT = MarketLayout(
    benchmark=BENCHMARK,
    file_name=re.compile(r"(?P<pid>-1|[0-9]{4})_c(?P<camera>[0-9]+)s[0-9]+_[0-9]{6}_[0-9]{2}\.jpg"),
    grammar=(
        "<identity>_c<camera>s<sequence>_<frame>_<box>.jpg, for example 0002_c1s1_000451_03.jpg, with -1 for"
        " junk and 0000 for a distractor"
    ),
    name_of=_name,
    distractors=True,
)
read, lay_out = LAYOUT.read, LAYOUT.lay_out
