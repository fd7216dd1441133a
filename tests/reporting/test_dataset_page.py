"""The dataset page and its short form: the summary's facts, problems first, nothing loaded, all escaped."""

import json
from typing import Any

import pandas as pd
import pytest
from test_report_page import HOSTILE, Page

from reid_pipeline.reporting.dataset_page import dataset_figures, dataset_text, render_dataset_page
from reid_pipeline.reporting.dataset_problems import problems
from reid_pipeline.reporting.page import ROOT
from reid_pipeline.schema.benchmark import Benchmark, Counts, Version
from reid_pipeline.schema.summary import DatasetSummary
from reid_pipeline.splits import SplitTables
from reid_pipeline.splits.summary import summarise

Image = dict[str, Any]

FOXES = Benchmark(
    title="Foxes",
    noun="fox",
    reference="Nobody, 2024",
    licence="Free for all.",
    source="Drawn by hand.",
    layout="folders",
    cameras=3,
    versions=(Version("v1", {"train": Counts(1_006, 3), "query": Counts(2, 2), "gallery": Counts(2, 3)}),),
)
CAMERAS = {0: "gate", 1: "am <Teich> & Weg"}


def image(path: str, pid: int, camid: int | None, split: str | None, **others: Any) -> Image:
    known = {"identity": f"fox-{pid}", "test_sets": "", "subset": split or "gallery"}
    facts = {"width": 64, "height": 128, "mode": "RGB", "fault": "", "content": path, "rule": "published"}
    camera = "" if camid is None else CAMERAS.get(camid, f"mast {camid}")
    known |= {"path": path, "pid": pid, "camid": camid, "camera": camera, "split": split}
    return {**known, **facts, **others}


def summarised(images: list[Image], benchmark: Benchmark = FOXES, **reading: Any) -> DatasetSummary:
    rows = pd.DataFrame(images).sort_values("path", ignore_index=True)
    contents = {content: place for place, content in enumerate(sorted(set(rows["content"])))}
    rows["sha256"] = [f"{contents[content]:064x}" for content in rows["content"]]
    rows = rows.assign(viewid=pd.NA)
    rows = rows.astype(dict.fromkeys(["camid", "width", "height"], "Int64"))
    galleries = pd.DataFrame({"test_set": [], "repeat": [], "path": []}).astype(
        {"test_set": "str", "repeat": "int64", "path": "str"}
    )
    given = {"reader": "foxes", "version": "v1", "notes": [], "warnings": [], **reading}
    used = rows[rows["split"].notna()]
    return summarise(benchmark, given, rows, rows, SplitTables(used, galleries), camera_filter=True)


CLEAN = [
    image("t/0.jpg", 1, 0, "train"),
    image("t/1.jpg", 1, 1, "train"),
    image("t/2.jpg", 2, 1, "train", width=32, height=64, mode="L"),
    image("q/0.jpg", 3, 0, "query"),
    image("g/0.jpg", 3, 1, "gallery"),
    image("g/1.jpg", 0, 1, "gallery"),
]
BAD = [
    *CLEAN,
    image("q/1.jpg", 1, 0, "query", content="t/0.jpg"),  # trained on, and absent from the gallery
    image("q/2.jpg", 4, 0, "query"),
    image("g/2.jpg", 4, 0, "gallery", content="t/2.jpg"),  # the picture of another
    image("g/3.jpg", 4, 0, "gallery", content="t/2.jpg"),
    image("g/4.jpg", 4, 0, None, width=None, height=None, mode="", fault="truncated after 10 bytes"),
    image("g/5.jpg", -1, 0, None),
    image("q/3.jpg", 0, 0, None, subset="query"),
]


@pytest.fixture(scope="module")
def bad() -> DatasetSummary:
    return summarised(BAD, notes=["A note of the reader."], warnings=["train has 1,003 images too few."])


@pytest.fixture(scope="module")
def page(bad: DatasetSummary) -> Page:
    return Page(render_dataset_page(bad))


def rows_of(summary: DatasetSummary, first: str) -> list[list[str]]:
    """The cells of the terminal's rows that begin with a word."""
    return [line.split() for line in dataset_text(summary).splitlines() if line.split()[:1] == [first]]


def assert_self_contained(page: Page) -> None:
    for tag, name, value in page.attributes:
        if name in {"src", "href", "srcset", "data", "action", "poster"}:
            assert value.startswith(("data:", "#", ROOT)), (tag, name, value[:80])
    assert not {"iframe", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in page.text("style")
    assert "url(" not in page.text("style")
    policy = [v for t, _, v in page.attributes if t == "meta" and v.startswith("default-src 'none';")]
    assert len(policy) == 1


def test_page_is_self_contained(page: Page) -> None:
    assert_self_contained(page)
    assert page.attributes.count(("script", "id", "plotly-js")) == 1
    assert page.tags["h1"] == page.tags["title"] == page.tags["main"] == 1
    assert page.tags["caption"] == page.tags["table"]


def test_page_says_what_it_is(page: Page) -> None:
    assert page.text("title") == "Dataset: Foxes v1"
    facts = page.texts["dd"]
    assert facts[0] == "foxes"
    assert facts[2:] == ["Nobody, 2024", "Free for all.", "Drawn by hand."]
    assert page.texts["span"].count("published: 3") == 1
    assert "A note of the reader." in page.text("li")


def test_found_and_published_with_differences_marked(page: Page, bad: DatasetSummary) -> None:
    source = render_dataset_page(bad)
    row = next(line for line in source.splitlines() if ">train</th>" in line and "1,006" in line)
    assert row == (
        '<tr><th scope="row">train</th><td>3</td><td>1,006</td><td class="mismatch">−1,003</td>'  # noqa: RUF001
        '<td>2</td><td>3</td><td class="mismatch">−1</td></tr>'  # noqa: RUF001
    )
    assert rows_of(bad, "query")[0] == ["query", "4", "2", "+2", "3", "2", "+1"]
    assert rows_of(summarised(CLEAN), "gallery")[0] == ["gallery", "2", "2", "0", "1", "3", "−2"]  # noqa: RUF001
    row = next(line for line in render_dataset_page(summarised(CLEAN)).splitlines() if "<td>3</td>" in line)
    assert row.startswith('<tr><th scope="row">train</th><td>3</td><td>1,006</td>')
    even = render_dataset_page(summarised([*CLEAN, image("q/9.jpg", 5, 0, "query")]))
    assert '<th scope="row">query</th><td>2</td><td>2</td><td>0</td><td>2</td><td>2</td><td>0</td>' in even


def test_every_problem_is_told_first(bad: DatasetSummary, page: Page) -> None:
    told = {problem.title: problem for problem in problems(bad)}
    assert [(problem.title, problem.what) for problem in told.values()] == [
        ("Counts differ from the published ones", "train has 1,003 images too few."),
        ("Files that cannot be decoded", "1 file cannot be decoded; 1 of them left out of the split table."),
        (
            "Queries without a match",
            "2 of 3 queries have no valid match: 1 is absent from the gallery (e.g. q/1.jpg), 1 has only"
            " matches of its own camera (e.g. q/2.jpg).",
        ),
        ("Identities in both training and test", "1 identity is in both training and test."),
        ("Identical files with different identities", "1 group of identical files (3 files) has different identities."),
        (
            "Identical files in different splits",
            "2 groups of identical files (5 files) lie in different splits (train + query: 1, train + gallery: 1).",
        ),
        ("Identical files in one split", "1 group of identical files (3 files) lies in one split."),
        ("Images that no split uses", "1 image of the manifest is in no split."),
    ]
    assert list(told["Files that cannot be decoded"].cases) == ["g/4.jpg: truncated after 10 bytes"]
    assert list(told["Identities in both training and test"].cases) == ["fox-1"]
    assert list(told["Identical files in different splits"].cases) == [
        "g/2.jpg = g/3.jpg = t/2.jpg",
        "q/1.jpg = t/0.jpg",
    ]
    paragraphs, headings = page.text("p"), page.texts["h3"]
    for problem in told.values():
        assert headings.index(problem.title) < len(told)
        assert problem.what in paragraphs
        assert problem.meaning in paragraphs
        assert problem.remedy in paragraphs
        assert all(case in page.texts["li"] for case in problem.cases)
    assert page.texts["h2"][:2] == ["Problems", "Notes of the reader"]


def test_remedy_is_that_of_the_reason() -> None:
    alone = [image("q/9.jpg", 4, 0, "query"), image("g/9.jpg", 4, 0, "gallery")]
    same = problems(summarised([*CLEAN, *alone]))
    absent = problems(summarised([*CLEAN, image("q/9.jpg", 9, 0, "query")]))
    assert [len(same), len(absent)] == [1, 1]
    assert "evaluation.camera_filter: false" in same[0].remedy
    assert "check how the split was made" not in same[0].remedy
    assert "check how the split was made" in absent[0].remedy
    assert "camera_filter" not in absent[0].remedy


def test_a_clean_collection_has_no_problem() -> None:
    summary = summarised(CLEAN)
    assert problems(summary) == []
    page = Page(render_dataset_page(summary))
    assert "No problem was found" in page.text("p")
    assert page.texts["h3"] == ["Images per identity", "Images per camera", "Image sizes"]
    assert "No problem was found." in dataset_text(summary)


def test_tables_of_the_page(page: Page) -> None:
    cells = page.text("td").split("\n")
    heads = page.text("th").split("\n")
    assert heads.count("One camera only") == 1
    for mode in ("RGB", "L", "64 x 128", "32 x 64", "published"):
        assert mode in heads
    assert "1.5" in cells  # mean images of a training identity: (2 + 1) / 2
    sentences = page.text("p")
    assert "Seen by one camera only in train: 1 identity, such as fox-2." in sentences
    assert "1 junk image dropped." in sentences
    assert "2 sizes: 32 to 64 wide, 64 to 128 high" in page.text("span")


def test_figures_hold_the_counts(bad: DatasetSummary) -> None:
    figures = dataset_figures(bad)
    assert list(figures) == ["images_per_identity", "images_per_camera", "image_sizes"]
    cameras = {trace.name: (list(trace.x), list(trace.y)) for trace in figures["images_per_camera"].data}
    assert cameras == {
        "train": (["am &lt;Teich&gt; &amp; Weg", "gate"], [2, 1]),
        "query": (["am &lt;Teich&gt; &amp; Weg", "gate"], [0, 3]),
        "gallery": (["am &lt;Teich&gt; &amp; Weg", "gate"], [2, 2]),
    }
    identities = {trace.name: (list(trace.x), list(trace.y)) for trace in figures["images_per_identity"].data}
    assert identities == {"train": (["1", "2"], [1, 1]), "query": (["1", "2"], [3, 0]), "gallery": (["1", "2"], [1, 1])}
    for trace in figures["image_sizes"].data:
        assert sum(trace.y) == 12


def test_cameras_with_numbers_stand_in_their_order() -> None:
    cameras = {0: "10", 1: "9", 2: "007"}
    images = [
        image(f"{camid}.jpg", 1 + camid % 2, 0, "train") | {"camid": camid, "camera": name}
        for camid, name in cameras.items()
    ]
    (trace,) = dataset_figures(summarised(images))["images_per_camera"].data
    assert list(trace.x) == ["007", "9", "10"]


def test_identities_with_many_images_share_bars() -> None:
    images = [image(f"t/{pid}/{i}.jpg", pid, 0, "train") for pid, n in ((1, 61), (2, 3), (3, 4)) for i in range(n)]
    (trace,) = dataset_figures(summarised(images))["images_per_identity"].data
    assert list(trace.x)[:2] == ["1–3", "4–6"]  # noqa: RUF001
    assert list(trace.x)[-1] == "61–63"  # noqa: RUF001
    assert list(trace.y) == [1, 1, *[0] * 18, 1]


def test_nothing_told_nothing_drawn() -> None:
    bare = Benchmark("Own pictures", "individual", "", "", "", "any")
    images = [image(f"{i}.jpg", -2, None, "train", subset="unassigned") for i in range(3)]
    summary = summarised(images, bare, version=None, reader=None)
    page = Page(render_dataset_page(summary))
    assert page.texts["h3"] == ["Image sizes"]
    assert "There are no queries: nothing can be evaluated." in page.text("p")
    assert "There are no queries: nothing can be evaluated." in dataset_text(summary)
    assert dataset_text(summary).startswith("Own pictures (data ")
    assert rows_of(summary, "unassigned") == [["unassigned", "3", "0"]]
    assert rows_of(summary, "train") == [["train", "3", "0", "—", "—", "0", "3"]]


def test_nothing_decodes() -> None:
    images = [{**each, "width": None, "height": None, "mode": "", "fault": "no image"} for each in CLEAN]
    summary = summarised(images)
    assert "No image can be decoded." in dataset_text(summary)
    assert "No image can be decoded." not in Page(render_dataset_page(summarised(CLEAN))).text("span")
    Page(render_dataset_page(summary))


def test_every_text_of_the_user_is_escaped() -> None:
    images = [{**each, "path": f"{HOSTILE}/{each['path']}", "identity": f"{HOSTILE}{each['pid']}"} for each in BAD]
    for each in images:
        each["content"] = each["content"].rsplit("/")[-1]
        each["mode"], each["fault"] = each["mode"] and HOSTILE, each["fault"] and HOSTILE
        each["rule"] = HOSTILE
    benchmark = Benchmark(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    summary = summarised(images, benchmark, reader=HOSTILE, version=HOSTILE, notes=[HOSTILE], warnings=[HOSTILE])
    source = render_dataset_page(summary)
    page = Page(source)
    assert "<script>alert" not in source
    assert "<img src=http" not in source
    assert page.tags["img"] == 0
    assert page.tags["script"] == 2 + page.tags["figure"]  # plotly and ours; one per chart
    assert page.text("title") == f"Dataset: {HOSTILE} {HOSTILE}"
    assert any(case.startswith(f"{HOSTILE}/g/4.jpg") for case in page.texts["li"])
    assert f"{HOSTILE}1" in page.texts["li"]
    assert_self_contained(page)


def test_figures_are_valid_json(page: Page) -> None:
    drawn = [json.loads(text) for text in page.texts["script"] if text.startswith('{"data"')]
    assert len(drawn) == 3


def test_same_summary_same_page(bad: DatasetSummary) -> None:
    again = DatasetSummary.model_validate(json.loads(json.dumps(bad.content())))
    assert render_dataset_page(bad) == render_dataset_page(again)


def test_text_holds_the_facts(bad: DatasetSummary) -> None:
    text = dataset_text(bad)
    title = f"Foxes v1 (reader foxes, data {bad.data_hash[:12]}): 10 images, 4 identities, 2 cameras"
    assert text.splitlines()[0] == title
    assert "8 problems:" in text
    assert "! 1 file cannot be decoded; 1 of them left out of the split table. Such as g/4.jpg: trunc" in text
    assert "and 2 more problems, see the page" in text
    assert "Note: A note of the reader." in text
    assert rows_of(bad, "train") == [
        ["train", "3", "1,006", "−1,003", "2", "3", "−1"],  # noqa: RUF001
        ["train", "3", "2", "2", "1", "0", "0"],
    ]
    assert len(text.splitlines()) <= 40


def test_columns_of_the_text_are_aligned(bad: DatasetSummary) -> None:
    lines = dataset_text(bad).splitlines()
    table = lines[lines.index("") + 1 :]
    table = table[: table.index("")]
    ends = [place for place, mark in enumerate(f"{table[1]} ") if mark == " " and table[1][place - 1] == "─"]
    for row in (table[0], *table[2:]):
        assert all(row[end - 1] != " " for end in ends[1:])
        assert all(row[end : end + 2].strip() == "" for end in ends[1:])


def test_text_stays_short_whatever_there_is() -> None:
    many = Version("x" * 300, {f"{n}": Counts(1, 1) for n in range(40)})
    benchmark = Benchmark("Foxes", "fox", "", "", "", "", versions=(many,))
    dev = [image(f"d/{i}.jpg", 5, i, ("dev_query", "dev_gallery")[i % 2]) for i in range(4)]
    pool = [image("p/0.jpg", 8, 0, "test")]
    modes = [image(f"m/{i}.jpg", 1, 1, "train", mode=f"mode{i}") for i in range(60)]
    summary = summarised(
        [*BAD, *dev, *pool, *modes], benchmark, notes=["A long note. " * 50] * 30, warnings=["Two\nlines " * 40] * 30
    )
    text = dataset_text(summary)
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 160
    assert "and 37 more subsets, see the page" in text
    assert "and 32 more problems, see the page" in text
    assert "and 28 more notes, see the page" in text


def test_text_does_not_steer_the_terminal() -> None:
    summary = summarised([*CLEAN, image("q/\x1b[2J\n.jpg", 9, 0, "query")])
    assert "q/?[2J?.jpg" in dataset_text(summary)
    assert "\x1b" not in dataset_text(summary)


def test_a_version_without_a_name_is_still_compared() -> None:
    unnamed = Benchmark("Foxes", "fox", "", "", "", "", versions=(Version("", {"train": Counts(4, 2)}),))
    summary = summarised(CLEAN, unnamed, version=None)
    assert rows_of(summary, "train")[0] == ["train", "3", "4", "−1", "2", "2", "0"]  # noqa: RUF001
    assert "Compared with the published counts;" in Page(render_dataset_page(summary)).text("span")


def test_large_numbers_are_written_out() -> None:
    content = summarised(CLEAN).content()
    content["splits"]["train"]["images_per_identity"] |= {"mean": 12_345.678, "median": 1_200.0}
    summary = DatasetSummary.model_validate(content)
    cells = Page(render_dataset_page(summary)).text("td").split("\n")
    assert "12,345.68" in cells
    assert "1,200" in cells


def trained_on(*images_of: int) -> list[Image]:
    """A collection with training identities of so many images each."""
    test = [each for each in CLEAN if each["split"] != "train"]
    counts = enumerate(images_of, start=5)
    return test + [image(f"t{pid}/{i}.jpg", pid, i % 2, "train") for pid, number in counts for i in range(number)]


@pytest.mark.parametrize(
    ("images_of", "title", "what"),
    [
        ([1] * 9, "Training identities with a single image", "Each of the 9 training identities has a single image."),
        ([1, 1, 1, 2, 2], "Training identities with a single image", "3 of the 5 training identities have a single"),
        ([7], "One training identity", "All 7 labelled training images show one identity, fox-5."),
        ([1], "One training identity", "All 1 labelled training images show one identity, fox-5."),
        (
            [2, 8, 3],
            "One identity with most of the training images",
            "8 of 13 labelled training images show one identity, fox-6.",
        ),
    ],
)
def test_training_identities_that_teach_little(images_of: list[int], title: str, what: str) -> None:
    summary = summarised(trained_on(*images_of))
    found = {problem.title: problem for problem in problems(summary)}
    assert found[title].what.startswith(what)
    assert found[title].meaning
    assert found[title].remedy
    assert f"! {what}" in dataset_text(summary)
    assert what in render_dataset_page(summary)


@pytest.mark.parametrize("images_of", [[2] * 9, [1, 2], [1, 1, 4, 4], [5, 5], [2, 6, 1]])
def test_training_identities_that_are_usual(images_of: list[int]) -> None:
    assert problems(summarised(trained_on(*images_of))) == []
