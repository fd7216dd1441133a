"""A folder of one's own images that a test fills, with a table in it, and what its reader makes of it."""

import re

import pandas as pd
import pytest

from reid_pipeline.readers import reader
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder
from reid_pipeline.schema.tables import MANIFEST


class Folder:
    """A raw folder that a test fills."""

    def __init__(self, root):
        self.root = root

    def images(self, *paths):
        for path in paths:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).touch()
        return self

    def write(self, path, *lines, encoding="utf-8"):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        return self

    def read(self, **ingestion):
        files = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]
        raw = RawFolder(self.root, tuple(sorted(files)))
        reading = reader("custom").read(raw, IngestionParameters(reader="custom", **ingestion))
        MANIFEST.validate(reading.manifest)
        assert reading.manifest["path"].tolist() == sorted(reading.manifest["path"])
        assert reading.version is None
        return reading

    def manifest(self, *lines, name="manifest.csv", **ingestion):
        """Read a manifest of these lines; images that it names by a plain path lie there."""
        self.images(*(f"{letter}.jpg" for letter in "abcdefgh"))
        return self.write(name, *lines).read(**ingestion)

    def refused(self, *lines, name="manifest.csv", **ingestion):
        with pytest.raises(UserError) as caught:
            self.manifest(*lines, name=name, **ingestion)
        return str(caught.value)


def column(reading, name):
    """Return the column by path, null as None."""
    values = reading.manifest.set_index("path")[name].astype(object)
    return {path: None if pd.isna(value) else value for path, value in values.items()}


def has_note(reading, pattern):
    return any(re.search(pattern, note) for note in reading.notes)
