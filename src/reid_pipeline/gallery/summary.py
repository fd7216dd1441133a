"""The identities of a gallery: how many images, which cameras, from when to when."""

import numpy as np
import pandas as pd

from reid_pipeline.gallery.rows import UNKNOWN_TIME, iso_times
from reid_pipeline.gallery.state import State


def identities_of(state: State) -> pd.DataFrame:
    """Return one row for each identity, by name; `ReadableGallery.identities` says what its columns are."""
    parts = [
        pd.DataFrame(
            {
                "key": segment.keys,
                "camera": np.array(segment.distinct("camera"), dtype=object)[segment.codes("camera")],
                "time": segment.times,
            }
        )
        for segment in state.segments
    ]
    if not parts:
        return pd.DataFrame({name: [] for name in ("identity", "images", "cameras", "first", "last", "confirmed")})
    rows = pd.concat(parts)
    rows["key"] = rows["key"].map({key: state.manifest.root(key) for key in rows["key"].unique().tolist()})
    by_key = rows.groupby("key")
    timed = rows[rows["time"] != UNKNOWN_TIME].groupby("key")["time"].agg(["min", "max"])
    named = rows[rows["camera"] != ""].drop_duplicates(["key", "camera"]).sort_values("camera")
    images = by_key.size()
    of_key = [state.manifest.identities[key] for key in images.index.tolist()]
    first, last = (timed[name].reindex(images.index, fill_value=UNKNOWN_TIME) for name in ("min", "max"))
    found = pd.DataFrame(
        {
            "identity": [each.name for each in of_key],
            "images": images.to_numpy(),
            "cameras": named.groupby("key")["camera"].agg(", ".join).reindex(images.index, fill_value="").to_numpy(),
            "first": iso_times(first.to_numpy()),
            "last": iso_times(last.to_numpy()),
            "confirmed": [each.confirmed for each in of_key],
        }
    )
    return found.sort_values("identity", ignore_index=True)
