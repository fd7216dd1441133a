"""What must hold of every table of one's own: the order of rows and the names of files decide nothing."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_pipeline.readers.custom import read
from reid_pipeline.schema.parameters import IngestionParameters
from reid_pipeline.schema.raw_folder import RawFolder

NAMES = st.one_of(
    st.lists(st.integers(0, 300).map(str), min_size=1, max_size=12),
    st.lists(st.text("abcäß狐_ 12", min_size=1, max_size=4).map(str.strip), min_size=1, max_size=12),
)


def read_lines(files, identities):
    """Read a manifest that gives each file its identity."""
    with TemporaryDirectory() as folder:
        lines = [f"{file},{name}" for file, name in zip(files, identities, strict=True)]
        Path(folder, "manifest.csv").write_text("\n".join(["path,pid", *lines]) + "\n", encoding="utf-8")
        raw = RawFolder(Path(folder), ("manifest.csv", *sorted(files)))
        return read(raw, IngestionParameters(reader="custom")).manifest


def mapping(manifest):
    """Return identity to pid, after making sure that it is one."""
    pairs = manifest[["identity", "pid"]].drop_duplicates()
    assert pairs["identity"].is_unique
    return dict(zip(pairs["identity"], pairs["pid"], strict=True))


def one_form_each(names):
    """Leave out names that the reader refuses beside another: `7` and `07`, `a` and `A`."""
    seen = {}
    return [name for name in names if seen.setdefault(name.lstrip("0").casefold(), name) == name]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(names=NAMES.map(one_form_each), seed=st.integers(0, 999))
def test_order_and_file_names_do_not_change_who_is_who(names, seed):
    files = [f"{place:03d}.jpg" for place in range(len(names))]
    first = read_lines(files, names)
    order = random.Random(seed).sample(range(len(names)), len(names))
    shuffled = read_lines([files[place] for place in order], [names[place] for place in order])
    assert shuffled.equals(first)
    renamed = read_lines([f"other {place}/{file}" for place, file in zip(order, files, strict=True)], names)
    assert mapping(renamed) == mapping(first)


@settings(max_examples=60, deadline=None)
@given(names=NAMES.map(one_form_each))
def test_pids_are_the_ranks_of_the_names(names):
    found = mapping(read_lines([f"{place}.jpg" for place in range(len(names))], names))
    named = {name for name in names if name}
    ranked = sorted(named, key=int) if all(name.isdecimal() for name in named) else sorted(named)
    expected = {name: place + 1 for place, name in enumerate(ranked)}
    assert found == expected | ({"": -2} if "" in names else {})
