"""Where in the raw folder a benchmark lies: at its top, or in its archive's own folder, one level down."""

from collections.abc import Collection, Iterable

from reid_pipeline.readers._manifest import is_litter
from reid_pipeline.schema.benchmark import Benchmark
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.raw_folder import RawFolder


def places(files: Iterable[str], folders: Collection[str], distributed_as: Collection[str]) -> list[str]:
    """Return where any of `folders` lies, as prefixes of paths: "" for the top, else "<folder>/".

    Names of archives are compared without regard to case, since users rename them. Linear in files.
    """
    archives = {name.casefold() for name in distributed_as}
    found = set()
    for path in files:
        parts = path.split("/", 2)
        if len(parts) > 1 and parts[0] in folders:
            found.add("")
        if len(parts) > 2 and parts[1] in folders and parts[0].casefold() in archives:
            found.add(f"{parts[0]}/")
    return sorted(found)


def only_place(raw: RawFolder, benchmark: Benchmark, folders: Collection[str], archives: Collection[str]) -> str:
    """Return the one place where any of `folders` lies, as `places` writes it.

    Raises:
        UserError: they lie nowhere, or in several places, whose images would be taken twice.
    """
    found = places(raw.files, folders, archives)
    if not found:
        raise absent(raw, benchmark, sorted(folders), archives)
    if len(found) > 1:
        where = [place or "the top" for place in found]
        raise UserError(
            f"{benchmark.title} lies in {raw.root} more than once: {first_few(where)}. Leave one there, or"
            " pass --params raw_root=<the folder to read>."
        )
    return found[0]


def absent(raw: RawFolder, benchmark: Benchmark, missing: Collection[str], archives: Collection[str]) -> UserError:
    """Return the error for folders that hold no images."""
    lies = sorted({path.split("/", 1)[0] for path in raw.files if not is_litter(path)})
    return UserError(
        f"No images in {first_few(list(missing))}: a {benchmark.title} folder holds {benchmark.layout}, at"
        f" its top or in {' or '.join(f'{name}/' for name in archives)}. {raw.root} holds"
        f" {first_few(lies) or 'nothing'}. Link the folder that holds them, or pass"
        " --params raw_root=<folder>."
    )
