"""What a gallery answers, compared with a slow search through all entries."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reid_pipeline.evaluation.gallery_answers import identify_answers, promise, search_answers
from reid_pipeline.evaluation.gallery_embedding import remarks_on_words
from reid_pipeline.evaluation.gallery_overview import overview
from reid_pipeline.evaluation.gallery_probes import Probes, filters_of, hits_of_words
from reid_pipeline.gallery import Gallery
from reid_pipeline.gallery.operations import Changed, Removal
from reid_pipeline.schema.errors import UserError
from reid_pipeline.schema.gallery_parameters import FilterParameters, IdentifyParameters, SearchParameters

WIDTH, PEOPLE, EACH = 16, 20, 3
JOINT = slice(4, 16)


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Twenty people, three entries each: a person's are near one another; cameras and days take turns."""
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("answers") / "zoo"
    centres = np.repeat(generator.normal(size=(PEOPLE, WIDTH)), EACH, axis=0)
    vectors = unit(centres + generator.normal(scale=0.1, size=centres.shape))
    number = np.arange(len(vectors))
    entries = pd.DataFrame(
        {
            "path": [f"/gone/{each}.png" for each in number],
            "identity": [f"person {each // EACH}" for each in number],
            "camera": [("north", "south", "")[each % 3] for each in number],
            "time": ["" if each % 5 == 0 else f"2026-05-{1 + each % 28:02d}T12:00:00Z" for each in number],
            "collection": [("gate", "yard")[each % 2] for each in number],
        }
    )
    made = Gallery.create(folder, model="a" * 64, width=WIDTH)
    made.enrol(vectors, entries, model="a" * 64)
    return made


def probes(gallery: Gallery, *, cameras: tuple[str, str] = ("north", "")) -> Probes:
    """The first entry again, and a vector that is opposite to all people."""
    vectors = gallery.vectors()
    away = unit(-vectors.sum(axis=0, keepdims=True))
    return Probes(["new/a.png", "new/b.png"], np.concatenate([vectors[:1], away]), cameras, [Path("a"), Path("b")])


FILTERS = [
    {},
    {"cameras": ["south"]},
    {"since": "2026-05-10", "before": "2026-05-20T12:00:00Z"},
    {"collections": ["yard"], "identities": ["person 1", "person 4"]},
    {"before": "2026-05-03"},
]


def slow_passes(row: "pd.Series[str]", given: dict[str, object]) -> bool:
    """The filters once more, one entry at a time, by comparing ISO texts."""
    allowed = {"cameras": "camera", "collections": "collection", "identities": "identity"}
    if any(row[column] not in given[name] for name, column in allowed.items() if name in given):
        return False
    time = row["time"]
    since, before = given.get("since", ""), given.get("before", "9")
    return bool(time) and str(since) <= time < str(before) if {"since", "before"} & set(given) else True


@pytest.mark.parametrize("given", FILTERS)
def test_filters_are_those_of_a_slow_look_at_every_entry(gallery: Gallery, given: dict[str, object]) -> None:
    entries = gallery.entries()
    expected = [slow_passes(row, given) for _, row in entries.iterrows()]
    filters = filters_of(FilterParameters.model_validate(given))
    assert gallery.passing(filters).tolist() == entries["id"][expected].tolist()
    table = search_answers(gallery, probes(gallery), SearchParameters(top=100), FilterParameters.model_validate(given))[
        0
    ]
    ids = set(entries["id"][expected])
    assert set(table["id"]) == ids
    assert table.groupby("probe").size().tolist() == ([len(ids)] * 2 if ids else [])


def test_words_are_compared_with_the_joint_part_normalised_anew(gallery: Gallery) -> None:
    words = unit(np.random.default_rng(1).normal(size=(2, WIDTH - 4)))
    hits = hits_of_words(gallery, words, JOINT, 4, FilterParameters(cameras=("north",)))
    entries = gallery.entries()
    for word, ids, scores in zip(words, hits.ids, hits.scores, strict=True):
        slow = {
            row.id: float(np.dot(word, vector[JOINT] / np.linalg.norm(vector[JOINT])))
            for row, vector in zip(entries.itertuples(), gallery.vectors(), strict=True)
            if row.camera == "north"
        }
        best = sorted(slow, key=lambda each: -slow[each])[:4]
        assert ids.tolist() == best
        np.testing.assert_allclose(scores, [slow[each] for each in best], atol=1e-6)
    assert hits_of_words(gallery, words, JOINT, 100, FilterParameters()).ids.shape == (2, PEOPLE * EACH)


def test_the_page_says_that_words_of_a_trained_model_are_worth_less(gallery: Gallery) -> None:
    words = unit(np.random.default_rng(1).normal(size=(1, WIDTH - 4)))
    for method, count in (("baseline", 1), ("zero_shot", 0)):
        asked = Probes(["a red shirt"], words, [""], [None], JOINT, remarks_on_words(method))
        table, _, page, text = search_answers(gallery, asked, SearchParameters(top=3), FilterParameters())
        assert len(table) == 3
        assert page.count("trained on pictures after its words were") == count
        assert text.count("trained on pictures after its words were") == count


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01"])
def test_what_is_no_moment_or_nobody_is_refused(gallery: Gallery, moment: str) -> None:
    with pytest.raises(UserError, match=f"The filter since is '{moment}'; a date or time is needed"):
        gallery.passing(filters_of(FilterParameters(since=moment)))
    with pytest.raises(UserError, match=r"no identity 'person 44'\. Did you mean 'person 4'"):
        gallery.passing(filters_of(FilterParameters(identities=("person 44",))))


def test_a_search_ranks_leaves_out_the_own_camera_and_names_probes_without_entries(gallery: Gallery) -> None:
    search = SearchParameters(top=5)
    table, csv, page, text = search_answers(gallery, probes(gallery), search, FilterParameters(other_cameras=True))
    first = table[table["probe"] == "new/a.png"]
    assert first["rank"].tolist() == [1, 2, 3, 4, 5]
    assert "north" not in set(first["camera"])
    assert set(first["identity"][:2]) == {"person 0"}
    assert len(csv.splitlines()) == 1 + len(table)
    assert page.count("<figure") == 2
    assert "new/a.png" in text
    nobody = FilterParameters(before="1990-01-01")
    table, _, page, text = search_answers(gallery, probes(gallery), search, nobody)
    assert table.empty
    assert "The filter leaves no entry for new/a.png, new/b.png." in text
    assert "No entry of the gallery is left by the filter." in page


def test_a_gallery_that_everybody_has_left_answers_and_has_a_page(tmp_path: Path) -> None:
    gallery = Gallery.create(tmp_path / "zoo", model="a" * 64, width=2)
    gallery.enrol(np.eye(2, dtype=np.float32), pd.DataFrame({"path": ["1", "2"], "identity": "Ada"}), model="a" * 64)
    done = Removal(identity="Ada").carry_out(tmp_path / "zoo")
    page, csv, text = overview(Changed(Gallery.open(tmp_path / "zoo"), tuple(done)))
    assert csv == "identity,images,cameras,first,last,confirmed\n"
    assert "2 entries were forgotten" in page
    assert "holds 0 entries of 0 identities" in text
    one = Probes(["x"], np.eye(1, 2, dtype=np.float32), [""], [None])
    table = search_answers(Gallery.open(tmp_path / "zoo"), one, SearchParameters(), FilterParameters())[0]
    assert table.empty
    assert str(table["path"].dtype) == "str"


def test_an_identification_names_the_known_and_the_new_with_evidence(gallery: Gallery) -> None:
    gallery.calibrate(0.1)
    given = probes(gallery)
    table, _, page, text = identify_answers(gallery, given, IdentifyParameters(nearest=4), FilterParameters())
    assert table["answer"].tolist() == ["known", "new"]
    assert table["identity"].tolist() == ["person 0", ""]
    assert table["nearest_path"].tolist()[0] == "/gone/0.png"
    nearest = np.argsort(-(gallery.vectors() @ given.vectors[0]), kind="stable")[3]
    assert table["others"].tolist()[0].startswith(f"person {nearest // EACH} ")
    assert "known: person 0 (1.000)" in page
    assert "1 known, 1 new, 0 unsure" in text
    table = identify_answers(gallery, given, IdentifyParameters(), FilterParameters(before="1990-01-01"))[0]
    assert table["answer"].tolist() == ["new", "new"]
    assert table["nearest_path"].isna().all()
    gallery.enrol(
        unit(np.eye(1, WIDTH)),
        pd.DataFrame({"path": ["x"], "identity": "cluster 3", "confirmed": False}),
        model="a" * 64,
    )
    one = Probes(["x"], unit(np.eye(1, WIDTH)), [""], [None])
    _, _, page, text = identify_answers(gallery, one, IdentifyParameters(), FilterParameters())
    assert "1 of the answers name clusters that nobody has confirmed" in text


def test_who_is_new_because_the_filter_leaves_nobody_is_said(gallery: Gallery) -> None:
    gallery.calibrate(0.1)
    nobody = FilterParameters(before="1990-01-01")
    _, _, page, text = identify_answers(gallery, probes(gallery), IdentifyParameters(), nobody)
    for each in (page, text):
        assert "leaves no entry for new/a.png, new/b.png: they are new since nobody is left. Entries without a" in each
    with pytest.raises(UserError, match=r"The filter cameras names 'nroth', .* Did you mean 'north'\?"):
        identify_answers(gallery, probes(gallery), IdentifyParameters(), FilterParameters(cameras=("nroth",)))


def test_the_promise_is_that_of_the_gallery_as_it_is_now(gallery: Gallery) -> None:
    made = gallery.calibrate(0.1, unsure=0.3, other_cameras=True)
    assert f"unsure is what scores above {made.unsure_threshold:.4f}, at most 30 %" in promise(gallery)
    assert "Images of one camera are not compared" in promise(gallery)
    gallery.rename("person 3", "Ada")
    assert "changed since it was calibrated: identify computes the threshold anew" in promise(gallery)
    gallery.rename("Ada", "person 3")


def test_probes_without_a_camera_break_a_promise_between_cameras(gallery: Gallery) -> None:
    gallery.calibrate(0.1, other_cameras=True)
    asked, filters = IdentifyParameters(), FilterParameters()
    text = identify_answers(gallery, probes(gallery), asked, filters)[3]
    assert "1 of 2 probes have no camera: " in text
    assert "have no camera" not in identify_answers(gallery, probes(gallery, cameras=("north", "x")), asked, filters)[3]
    with pytest.raises(UserError, match=r"calibrated without pairs of one camera .* no picture that is asked"):
        identify_answers(gallery, probes(gallery, cameras=("", "")), asked, filters)
    gallery.calibrate(0.1)
