"""Embedded images as Parquet: a row for each file, its vector beside it, and in the metadata where all comes from."""

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_pipeline.io.base import FileDataset, ReadOnlyDataset, UnreadableFile, reading
from reid_pipeline.io.replacing import replacing
from reid_pipeline.schema.columns import VECTOR
from reid_pipeline.schema.digests import digest_of_json
from reid_pipeline.schema.embedded_images import EMBEDDED_COLUMNS, EmbeddedImages
from reid_pipeline.schema.origin import Origin
from reid_pipeline.schema.parsing import parse_json
from reid_pipeline.schema.regular_files import read_regular

if TYPE_CHECKING:
    from reid_pipeline.evaluation.embedded_parts import EmbeddedParts

_HEADER, _SHA256 = b"reid_pipeline", "sha256"
_AGAIN = "Make it anew: kedro run --pipeline=embed --params model=<cell or file>,images=<folder, list or table>."
_ROWS_AT_A_TIME = 65_536


class EmbeddedImagesDataset(FileDataset[EmbeddedImages]):
    """One file of embedded images; one that is no such file, or was changed since, is refused.

    With the file written, the parts that a killed run would have gone on from are removed.
    """

    def save(self, data: EmbeddedImages) -> None:
        """Write the file, and remove the parts that it was made of."""
        write_embedded_images(data, self._filepath)
        shutil.rmtree(parts_folder(self._filepath), ignore_errors=True)

    def load(self) -> EmbeddedImages:
        """Return the images, with the origin that the file has."""
        return read_embedded_images(self._filepath)

    def _write(self, data: EmbeddedImages, file: Path) -> None:
        _write(data, file)


class EmbeddedPartsDataset(ReadOnlyDataset["EmbeddedParts"]):
    """The finished parts of the embedded images that `filepath` is to hold; loading gives their handle."""

    _refusal = "The parts of {path} are stored through their handle; {kind} was not written."

    def load(self) -> "EmbeddedParts":
        """Return the handle; what lies in the folder is not looked at."""
        from reid_pipeline.evaluation.embedded_parts import EmbeddedParts

        return EmbeddedParts(parts_folder(self._filepath))

    def _exists(self) -> bool:
        return True  # no part is finished before the first


class EarlierEmbeddedDataset(ReadOnlyDataset["Origin | None"]):
    """The origin of embedded images that an earlier run has written, None where there are none."""

    def load(self) -> "Origin | None":
        """Return the origin; its file's vectors are not read."""
        from pyarrow import ArrowInvalid, parquet

        try:
            text = (parquet.read_schema(self._filepath).metadata or {}).get(_HEADER)
            return None if text is None else Origin.model_validate(_header(self._filepath, text)["origin"])
        except (OSError, ArrowInvalid, ValueError):
            return None  # it is written anew

    def _exists(self) -> bool:
        return True


def parts_folder(file: Path) -> Path:
    """Return where the finished parts of a file of embedded images are stored until it is written."""
    return file.parent / "scratch" / file.stem


def read_embedded_images(file: Path) -> EmbeddedImages:
    """Return the images of a Parquet file that the pipeline `embed` wrote.

    Raises:
        UnreadableFile: it is missing, no such file, damaged, or was changed since.
    """
    from pandera.errors import SchemaError

    from reid_pipeline.schema.tables import EMBEDDED_IMAGES

    with reading(file, _AGAIN):
        header, rows, vectors = _parsed(file, read_regular(file))
        origin = Origin.model_validate(header["origin"]).replace(file=str(file))
        try:
            found = EmbeddedImages(EMBEDDED_IMAGES.validate(rows), vectors, origin, header["model"], header["root"])
        except SchemaError as error:
            raise _refused(file, f"has a column that is not as this version writes it: {error}") from error
        if found.digest() != origin.digest:
            raise _refused(file, "was changed after it had been written: its rows and vectors are not those of then")
    return found


def write_embedded_images(images: EmbeddedImages, file: Path) -> None:
    """Write the images to a Parquet file, which takes the place of one that is there."""
    with replacing(file) as written:
        _write(images, written)


def _write(images: EmbeddedImages, file: Path) -> None:
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from reid_pipeline.schema.tables import EMBEDDED_IMAGES

    EMBEDDED_IMAGES.validate(images.rows)
    origin = images.origin.replace(digest=images.digest())
    header = {"origin": origin.model_dump(mode="json"), "model": images.model, "root": images.root}
    signed = json.dumps({**header, _SHA256: digest_of_json(header)}, sort_keys=True)
    table = pa.table({name: pa.array(images.rows[name].tolist(), _type(name)) for name in EMBEDDED_COLUMNS})
    flat = pa.array(np.ascontiguousarray(images.vectors).reshape(-1))
    table = table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, images.width))
    # Numbers of vectors repeat nowhere, and do not compress.
    parquet.write_table(
        table.replace_schema_metadata({_HEADER: signed}),
        file,
        row_group_size=_ROWS_AT_A_TIME,
        use_dictionary=list(EMBEDDED_COLUMNS),
        compression={**dict.fromkeys(EMBEDDED_COLUMNS, "snappy"), f"{VECTOR}.list.element": "none"},
    )


def _type(name: str) -> Any:
    import pyarrow as pa

    return pa.int64() if name == "trackid" else pa.string()


def _parsed(file: Path, content: bytes) -> tuple[dict[str, Any], Any, Any]:
    """Return header, rows and vectors [n, D] of a Parquet file's bytes."""
    import numpy as np
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    header = _header(file, (table.schema.metadata or {}).get(_HEADER))
    if table.column_names != [*EMBEDDED_COLUMNS, VECTOR]:
        raise _refused(
            file, f"has the columns {', '.join(table.column_names)}, not {', '.join(EMBEDDED_COLUMNS)}, {VECTOR}"
        )
    rows = table.select(list(EMBEDDED_COLUMNS)).to_pandas().astype(dict.fromkeys(EMBEDDED_COLUMNS[:-1], "str"))
    width = table.schema.field(VECTOR).type.list_size
    flat = table.column(VECTOR).combine_chunks()
    values = flat.flatten() if len(table) else []
    vectors = np.asarray(values, dtype=np.float32).reshape(len(table), width)
    return header, rows, vectors


def _header(file: Path, text: bytes | None) -> dict[str, Any]:
    if text is None:
        raise _refused(
            file, "does not say which model its vectors are of: another program wrote it, or this one and another since"
        )
    header = dict(parse_json(text))
    if header.pop(_SHA256, None) != digest_of_json(header):
        raise _refused(file, "is damaged or was changed: its description is not the one written")
    return header


def _refused(file: Path, fault: str) -> UnreadableFile:
    return UnreadableFile(file, f"{file} {fault}.", _AGAIN)
