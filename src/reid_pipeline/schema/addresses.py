"""Where a result lies: benchmark (or collection) x method x variant x seed, and how each part is written."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, RootModel

from reid_pipeline.schema.errors import UserError

if TYPE_CHECKING:
    from reid_pipeline.schema.record import RunRecord

SEPARATOR = "+"
ZERO_SHOT = "zero_shot"
"""The method that every other is compared with: the encoder as it comes."""
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f/\\{}%$\[\]*?"<>|:]|^[.\s]|[.\s]$""")
_NOT_IN_CARDS = {"synthetic", "compute", "checkpoint", "init_from"}
"""Parameters that differ between cells, and that run cards are not compared by."""
_ADDRESS = re.compile(r"([^/]+)/([^/]+)/(seed_\d+)")
_LONGEST, _LONGEST_BYTES = 120, 200


def address(of: "Cell | RunRecord") -> str:
    """Return the address of a cell, as records name it: "synthetic/pcl+small/seed_0"."""
    variant = f"{SEPARATOR}{of.variant}" if of.variant else ""
    return f"{of.benchmark}/{of.method}{variant}/seed_{of.seed}"


class Cell(BaseModel):
    """The address of one run's results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str  # or the collection, as its folders are named
    method: str
    variant: str = ""  # as its folder is named; empty for the parameters in conf/
    seed: int
    # What conf's parameters have not, by dotted name; the method's own without its name.
    differs: dict[str, Any] = Field(default_factory=dict)
    # Of a sample: how long the plans are without it, by dotted name. In no record, and no part of the address.
    whole: dict[str, Any] = Field(default_factory=dict, exclude=True)
    # What the data decide of its plans, by dotted name: what conf/base has there. Likewise.
    auto: dict[str, Any] = Field(default_factory=dict, exclude=True)

    @property
    def folder(self) -> str:
        """The folder of all seeds: `<method>` or `<method>+<variant>`."""
        return f"{self.method}{SEPARATOR}{self.variant}" if self.variant else self.method


class Cells(RootModel[dict[str, Cell]]):
    """The cell of every method of a run, by the method's name: the parameter `cells`."""

    model_config = ConfigDict(frozen=True)

    def __getitem__(self, method: str) -> Cell:
        return self.root[method]


def parse_folder(name: str) -> tuple[str, str]:
    """Return method and variant of a folder of results; the variant is empty for conf's parameters."""
    method, _, variant = name.partition(SEPARATOR)
    return method, variant


def component(name: str, what: str) -> str:
    """Return a name, given as parameter `what`, as one component of a path on every system.

    What a path, a glob, a shell or a template would read otherwise is written as `%` and two hexadecimal digits.

    Raises:
        UserError: the name is empty, consists of dots, or is too long for a folder.
    """
    plain = unicodedata.normalize("NFC", name)
    if not plain.strip() or not plain.strip(". "):
        raise UserError(
            f"Parameter {what} is {name!r}, which cannot name a folder. Give a name with a letter, a digit or"
            " another sign in it."
        )
    written = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), plain)
    if len(plain) > _LONGEST or len(os.fsencode(written)) > _LONGEST_BYTES:
        raise UserError(
            f"Parameter {what} is {len(plain)} characters long and names a folder: {plain[:40]}... Give at"
            f" most {_LONGEST} characters ({_LONGEST_BYTES} bytes)."
        )
    return written


def folder_of(given: str, what: str) -> str:
    """Return a method, or a method with a variant, as its folder is named: `pcl+a:b` and `pcl+a%3Ab` as `pcl+a%3Ab`."""
    method, variant = parse_folder(given)
    folder = component(method, what)
    if not variant:
        return folder
    return f"{folder}{SEPARATOR}{variant if variant == component(unquote(variant), what) else component(variant, what)}"


def require_same_cell(cell: Cell, card: Any, file: PurePath, in_force: Mapping[str, Any]) -> None:
    """Refuse to write into a cell that other parameters have filled.

    Args:
        cell: of this run.
        card: the run card that lies there; one that does not say what differed is not compared.
        file: of the card.
        in_force: this run's parameters by top-level name, as a run card has them.

    Raises:
        UserError: the card is of other parameters.
    """
    differs = card.get("differs") if isinstance(card, dict) else None
    if differs is None or differs == cell.differs:
        return
    held = card.get("parameters") or {}
    beyond = {name for name in {*differs, *cell.differs} if name.split(".")[0] in _NOT_IN_CARDS}
    alike = all(differs.get(name) == cell.differs.get(name) for name in beyond)  # run cards are not compared by these
    if alike and in_force and all(held.get(name) == value for name, value in in_force.items()):
        return  # conf/ has been edited since; the run is the same
    old, new = (name_of(each).replace(",", ", ") or "the parameters in conf/" for each in (differs, cell.differs))
    raise UserError(
        f"{file.parent} was made with {old}, and this run has {new}. Give it a"
        " name of its own: --params variant=<name>; or remove that folder."
    )


def link(path: str | PurePath) -> str:
    """Return a relative path as the `href` of a page: percent-encoded, with slashes."""
    return quote(PurePath(path).as_posix(), safe="/+,=@~()!'")


def name_of(differs: Mapping[str, Any]) -> str:
    """Return what differs as a name, as Hydra writes it: `clustering.eps=0.6,plan.epochs=3`."""
    return ",".join(f"{name}={_compact(value)}" for name, value in sorted(differs.items()))


def variant_of(*parts: str) -> str:
    """Return a variant that the user has not named: all parts, cut after 80 characters and ended by a hash."""
    whole = ",".join(filter(None, parts))
    if len(whole) > 80:
        whole = f"{whole[:71].rstrip('. ,=')}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return component(whole, "variant") if whole else ""


def _compact(value: Any) -> str:
    """Return a value in few characters; of a file its name, of a cell its address with hyphens, of a list `(32,16)`.

    A glob would read brackets.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"({','.join(map(_compact, value))})"
    if isinstance(value, Mapping):
        return f"({name_of(value)})"
    text = str(value)
    if _ADDRESS.fullmatch(text):
        return text.replace("/", "-")
    return PurePath(text).name or text if "/" in text else text
