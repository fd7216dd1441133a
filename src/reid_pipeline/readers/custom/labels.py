"""Identities from clusters that somebody confirmed: clusters.csv, edited by hand, in Excel too (docs/own_data.md)."""

import re
from difflib import get_close_matches

import pandas as pd

from reid_pipeline.readers.custom._columns import NOBODY_NAMED, UNLABELLED, identity_and_pid, refuse_two_forms
from reid_pipeline.readers.custom._forms import text_of
from reid_pipeline.readers.custom._rows import Rows, files_meant, shown
from reid_pipeline.readers.custom._tables import load_table
from reid_pipeline.schema.benchmark import Reading
from reid_pipeline.schema.columns import IDENTITY, JUNK_PID, PATH, PID, SUBSET
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError, first_few
from reid_pipeline.schema.given_labels import GivenLabels, LabelFacts, images_of
from reid_pipeline.schema.raw_folder import RawFolder

CLUSTER, NAME, RUN = "cluster", "name", "run"
COLUMNS = (PATH, CLUSTER, NAME, "distance", "doubtful", "camera", "camid", RUN)
"""What clusters.csv has; the first two it must, and distance, doubtful and cameras are not read."""
_CLUSTER = re.compile(r"\+?(?P<number>[0-9]+)(?:[.,]0{1,2})?")  # Excel writes 1 as 1.0, a German one as 1,0
_NOBODY = re.compile(r"-1(?:[.,]0{1,2})?")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:[.,' ][0-9]{3})+")
_DATE = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}(?: .*)?|[0-9]{1,2}[-. ]*[^\W\d]{3,}[-. ]*[0-9]*")
_ALIKE = 0.75


def with_given_labels(reading: Reading, labels: GivenLabels, raw: RawFolder) -> tuple[Reading, LabelFacts]:
    """Return the reading with the identities of a file, and what it notes of these.

    An image is called as the file's `name` says; without a name as the others of its cluster that the collection itself
    names, else "cluster <number>"; without both as the collection says, which may be nobody. Images that the file does
    not list stay as they are. Where the collection names nobody, and gives no test, its splits are drawn by identity.

    Raises:
        UserError: the file cannot be read, is of another collection, or contradicts itself; names lines.
    """
    rows = _read(labels)
    run = _one_run(rows, labels)
    manifest = reading.manifest
    path = _paths(rows, manifest, raw)
    given = _identities(rows, path)
    own = manifest.set_index(PATH)[IDENTITY].mask(manifest.set_index(PATH)[PID] == JUNK_PID, "")
    named = _named(rows, given.join(own.rename("own")))
    missing = [each for each in manifest[PATH] if each not in named.index]
    if missing:
        rows.notes.append(
            f"{len(missing)} images are not in {rows.source} and stay as the collection has them: {first_few(missing)}."
        )
    subset, identity = manifest[SUBSET], manifest[PATH].map(named).fillna(manifest[IDENTITY])
    if (own == "").all() and (subset == "train").all():
        subset = pd.Series("unassigned", index=subset.index, dtype="str")
    table = pd.DataFrame({PATH: manifest[PATH], PID: identity}, dtype="str").set_index(PATH, drop=False)
    combined = Rows(rows.source, table, names={PID: NAME}, notes=rows.notes)
    identity, pid = identity_and_pid(combined, subset.set_axis(table.index))
    changed = manifest.assign(**{IDENTITY: identity.to_numpy(), PID: pid.to_numpy(), SUBSET: subset.to_numpy()}).astype(
        {IDENTITY: "str", SUBSET: "str"}
    )
    facts = LabelFacts(
        file=labels.file.name,
        sha256=digest_of_file(labels.file),
        run=run,
        images=int((named != "").sum()),
        identities=named[named != ""].nunique(),
    )
    before = [
        note for note in reading.notes if not note.startswith(NOBODY_NAMED) and not note.endswith(f"{UNLABELLED}.")
    ]
    return Reading(changed, reading.version, (_sentence(facts), *rows.notes, *before)), facts


def _sentence(facts: LabelFacts) -> str:
    return (
        f"Identities are those of {facts.file} (SHA-256 {facts.sha256[:12]}): {facts.images:,} images of"
        f" {facts.identities:,}. Clusters that nobody checked count as identities there, so figures with them favour"
        " the model that made them."
    )


def _read(labels: GivenLabels) -> Rows:
    """Return the file's rows as text, by the names in `COLUMNS`; headers may differ in capitals and blanks."""
    rows = load_table(RawFolder(labels.file.parent, (labels.file.name,)), labels.file.name, COLUMNS)
    plain = {str(name): str(name).strip().casefold() for name in rows.table.columns}
    present = [name for name in plain.values() if name in COLUMNS]
    for name in [each for each in plain.values() if each not in COLUMNS]:
        absent = [column for column in (PATH, CLUSTER, NAME) if column not in present]
        if near := get_close_matches(name, absent, n=1, cutoff=_ALIKE):
            raise UserError(
                f"{rows.source} has a column {name!r}, which is not read. Did you mean {near[0]!r}? Rename it so."
            )
    if wanted := [name for name in (PATH, CLUSTER) if name not in present]:
        raise UserError(
            f"The header of {rows.source} has no column {' and no column '.join(wanted)}; it has"
            f" {first_few(list(plain), 12)}. Its first line must read {','.join(COLUMNS)}, as in the file that the run"
            " wrote; of these path and cluster are needed, and name for names."
        )
    if twice := sorted({name for name in present if present.count(name) > 1}):
        raise UserError(f"{rows.source} has several columns called {first_few(twice)}. Leave one of each.")
    found = {plain[str(name)]: text_of(rows, str(name)) for name in rows.table.columns if plain[str(name)] in COLUMNS}
    return Rows(rows.source, pd.DataFrame(found, index=rows.table.index), rows.unit, notes=list(rows.notes))


def _one_run(rows: Rows, labels: GivenLabels) -> str:
    """Return the run that the clusters are of; refuse rows of several, and a run of another collection's."""
    run = rows.text(RUN)
    counts = run[run != ""].value_counts()
    if counts.empty:
        rows.notes.append(f"{rows.source} does not say of which run it is: that it is of these images, its paths say.")
        return ""
    most = str(counts.index[0])
    rows.refuse(
        (run != "") & (run != most),
        "{count} rows of {source} are of another run than the others, which are of {most}: {cases}. Clusters of"
        " two runs have nothing to do with each other: give the rows of one run.",
        RUN,
        most=most,
    )
    cell = labels.runs.get(most)
    if cell is None:
        rows.notes.append(
            f"Run {most} of {rows.source} is in no clusters.csv of the results here: that it is of these images, its"
            " paths say."
        )
    elif images_of(cell.split("/")[0]) != images_of(labels.collection):
        raise UserError(
            f"{rows.source} was made of another collection: its run {most} is that of {cell}, and this one is"
            f" {labels.collection}. Give the file of a run of this collection, or --params"
            f" collection={images_of(cell.split('/')[0])}."
        )
    return most


def _paths(rows: Rows, manifest: pd.DataFrame, raw: RawFolder) -> "pd.Series[str]":
    """Return the image of each row."""
    rows.refuse(
        rows.text(PATH) == "",
        "Column path of {source} is empty in {count} rows: {places}. Remove these rows, or fill them from the file that"
        " the run wrote.",
    )
    images = RawFolder(raw.root, tuple(manifest[PATH]))
    return files_meant(
        rows,
        images,
        "{count} of {total} paths in {source} are no images of this collection ({root}): {cases}.{likely} If images"
        " were removed, remove their rows; if all are of another collection, give its file.",
    )


def _identities(rows: Rows, path: "pd.Series[str]") -> pd.DataFrame:
    """Return name and cluster by path, "" where there is none; a path that stands twice must say the same twice."""
    if NAME in rows.table:
        refuse_two_forms(rows, NAME)
    given = pd.DataFrame({PATH: path, NAME: rows.text(NAME), CLUSTER: _clusters(rows)})
    rows.refuse(
        given[NAME].str.fullmatch(r"-[0-9]+(?:[.,]0*)?"),
        "Column name of {source} holds negative numbers in {count} rows: {cases}. Leave name empty, and write -1 into"
        " cluster, where nobody is known.",
        NAME,
    )
    again = given[given[PATH].duplicated(keep=False)]
    differing = again.groupby(PATH, sort=False).filter(lambda same: len(same[[NAME, CLUSTER]].drop_duplicates()) > 1)
    if len(differing):
        cases = [
            f"{shown(str(image))} ({' and '.join(map(rows.place, same.index))})"
            for image, same in differing.groupby(PATH, sort=False)
        ]
        raise UserError(
            f"{len(cases)} images stand in {rows.source} more than once, as different individuals: {first_few(cases)}."
            " Leave one row of each."
        )
    if len(again):
        rows.notes.append(
            f"{again[PATH].nunique()} images stand in {rows.source} more than once, with the same identity each time:"
            f" {first_few([rows.place(row) for row in again.index])}."
        )
    return given.drop_duplicates(PATH).assign(line=lambda each: each.index).set_index(PATH)


def _clusters(rows: Rows) -> "pd.Series[str]":
    """Return the number of each cluster as text, "" for noise and empty cells, whatever Excel made of it."""
    cell = rows.text(CLUSTER)
    number = cell.str.extract(f"^{_CLUSTER.pattern}$")["number"]
    nobody = (cell == "") | cell.str.fullmatch(_NOBODY.pattern)
    wrong = number.isna() & ~nobody
    for fault, words in (
        (
            wrong & cell.str.fullmatch(_DATE.pattern),
            "hold a date, into which Excel turns what looks like one: {cases}. Format the column as text or number, and"
            " write the numbers of the run's own file again.",
        ),
        (
            wrong & cell.str.fullmatch(_THOUSANDS.pattern),
            "may be a thousand or a fraction: {cases}. Write whole numbers without signs between the digits.",
        ),
        (
            wrong,
            "are no whole number: {cases}. Write the number of a cluster, -1 or nothing for nobody; a name belongs into"
            " the column name.",
        ),
    ):
        rows.refuse(fault, f"{{count}} cells of column cluster in {{source}} {words}", CLUSTER)
    written = number.str.lstrip("0").where(number.str.strip("0") != "", "0")
    if odd := int((number.notna() & (written != cell)).sum()):
        rows.notes.append(f"{odd} numbers of clusters are written with zeros or a decimal sign: 1.0, 1,0 and 01 are 1.")
    return written.where(number.notna(), "").astype("str")


def _named(rows: Rows, given: pd.DataFrame) -> "pd.Series[str]":
    """Return the identity of each path; `given` has name, cluster, own and line."""
    name, own, cluster = given[NAME], given["own"], given[CLUSTER]
    renamed = (name != "") & (own != "") & (name != own)
    if renamed.any():
        rows.notes.append(f"{int(renamed.sum())} images have another name in {rows.source} than in the collection.")
    unnamed = (name == "") & (cluster != "")
    known = given[unnamed & (own != "")].groupby(CLUSTER)["own"].agg(lambda names: sorted(set(names)))
    if contradicting := known[known.map(len) > 1].to_dict():
        lines = [
            f"cluster {number} ({' and '.join(map(shown, names))}, from {rows.place(_first(given, str(number)))} on)"
            for number, names in contradicting.items()
        ]
        raise UserError(
            f"{len(lines)} clusters in {rows.source} hold images that the collection calls differently:"
            f" {first_few(lines)}. Split them, or fill in the column name of their rows; or read the collection without"
            " its own identities, with ingestion.variant=unlabelled."
        )
    partly = given[unnamed & cluster.isin(cluster[name != ""])]
    if len(partly):
        rows.notes.append(
            f"{partly[CLUSTER].nunique()} clusters have names in some rows and none in {len(partly)} others, which stay"
            f" 'cluster <number>': {first_few([rows.place(row) for row in partly['line']])}. Fill the name down if it"
            " is theirs, too."
        )
    first = {str(number): names[0] for number, names in known.items()}
    of_cluster = cluster.map(lambda number: first.get(number, f"cluster {number}"))
    return name.where(name != "", of_cluster.where(cluster != "", own)).astype("str")


def _first(given: pd.DataFrame, number: str) -> object:
    return given.loc[given[CLUSTER] == number, "line"].iloc[0]
