"""Occluded-Duke: DukeMTMC-reID's images, split anew so that every query is partly hidden."""

from dataclasses import replace

from reid_pipeline.readers import dukemtmc
from reid_pipeline.schema.benchmark import Counts, Version

_COUNTS = {"train": Counts(15_618, 702), "query": Counts(2_210, 519), "gallery": Counts(17_661, 1_110)}

BENCHMARK = replace(
    dukemtmc.BENCHMARK,
    title="Occluded-Duke",
    reference="Miao et al., Pose-Guided Feature Alignment for Occluded Person Re-Identification, ICCV 2019",
    licence="Its images are DukeMTMC-reID's, which were for academic research only and are withdrawn.",
    source=(
        "Its authors publish lists of names and a script that splits a copy of DukeMTMC-reID, no images;"
        " DukeMTMC itself was withdrawn in 2019."
    ),
    versions=(Version("iccv2019", _COUNTS),),
    archives=("Occluded_Duke", "Occluded-DukeMTMC-reID"),
)

LAYOUT = replace(dukemtmc.LAYOUT, benchmark=BENCHMARK)
read, lay_out = LAYOUT.read, LAYOUT.lay_out
