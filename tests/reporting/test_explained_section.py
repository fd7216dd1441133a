"""Drawings and heat maps: what is where, in which colour, and what those who do not see it are told."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from made_records import make_metrics, make_run_card

from reid_pipeline.reporting.explained_section import ExplainedContent, explained_section
from reid_pipeline.reporting.heat_maps import HEIGHT, WIDEST, coloured, picture_below
from reid_pipeline.reporting.report import ReportContent, render_report
from reid_pipeline.reporting.scatter import SHAPES, Points, scatter
from reid_pipeline.schema.explanations import (
    AttendedImage,
    Attention,
    ComparedImage,
    Explanations,
    HeatMap,
    ImageSpace,
    Plane,
    SimilarImages,
    TextSpace,
)

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<b>&\"'"
BEFORE = Plane(points=((0, 0), (1, 1), (0.5, 0.5), (0.25, 1)), nearest_alike=0.25)
AFTER = Plane(points=((0, 0), (0, 0.1), (1, 1), (1, 0.9)), nearest_alike=1.0)
SPACE = ImageSpace(
    by="identity", groups=("7", HOSTILE), group=(0, 0, 1, 1), camera=("1", "2", "1", "1"), before=BEFORE, after=AFTER
)
HEAT = HeatMap(rows=2, columns=3, values=(0.1, 0.2, 0.05, 0.05, 0.3, 0.1), elsewhere=0.2)
GREY = np.full((60, 90, 3), 128, dtype=np.uint8)


def explanations(**parts: Any) -> Explanations:
    return Explanations(benchmark="synthetic", method="pcl", seed=0, **parts)


def page_of(made: Explanations) -> str:
    content = ExplainedContent(
        made, {"a.jpg": GREY, "b.jpg": GREY, "c.jpg": GREY}, {"a.jpg": "id 7", "b.jpg": "", "c.jpg": HOSTILE}
    )
    page = render_report(ReportContent("synthetic", "pcl", 0, [make_metrics()], make_run_card(), explanations=content))
    start = page.find('<section aria-labelledby="explained">')
    return page[start : page.index("</section>", start)] if start >= 0 else ""


def drawings(section: str) -> list[ET.Element]:
    found = re.findall(r"<svg viewBox=\"0 0 400 400\".*?</svg>", section, re.DOTALL)
    return [ET.fromstring(each.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)) for each in found]


class TestScatter:
    def test_each_point_stands_once_where_it_is_with_colour_and_shape(self) -> None:
        section = page_of(explanations(images=SPACE))
        before, after = drawings(section)
        for svg, plane in ((before, BEFORE), (after, AFTER)):
            found = []
            for marks in svg.findall(f"{SVG}g"):
                for use in marks.findall(f"{SVG}use"):
                    x, y = ((float(use.attrib[name]) - 14) / 372 for name in ("x", "y"))
                    found.append(
                        (
                            marks.attrib["class"],
                            use.attrib["href"],
                            pytest.approx(x, abs=1e-3),
                            pytest.approx(y, abs=1e-3),
                        )
                    )
            shapes = {"1": "#marker-0", "2": "#marker-1"}
            wanted = [
                (f"group-{group}", shapes[camera], *place)
                for group, camera, place in zip(SPACE.group, SPACE.camera, plane.points, strict=True)
            ]
            assert sorted(wanted) == sorted(
                found, key=lambda each: (each[0], each[1], each[2].expected, each[3].expected)
            )
            titles = [marks.findtext(f"{SVG}title") for marks in svg.findall(f"{SVG}g")]
            assert titles == ["identity 7, camera 1", "identity 7, camera 2", f"identity {HOSTILE}, camera 1"]
            assert [each.text for each in svg.findall(f"{SVG}text")] == ["A", "B"]
        assert section.count('<path id="marker-') == len(SHAPES)

    def test_words_and_legend_say_it_without_colour(self) -> None:
        section = page_of(explanations(images=SPACE))
        (before, _), text = drawings(section), re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", section))
        described = before.attrib["aria-labelledby"].split()
        named = [before.find(f"{SVG}{tag}") for tag in ("title", "desc")]
        assert [None if each is None else each.attrib["id"] for each in named] == described
        words = "Of 25.0 % of them the nearest other one, by cosine, is of their own identity."
        assert before.findtext(f"{SVG}desc") == f"t-SNE of 4 images of 2 identities. {words}"
        assert "Before training: zero_shot" in text
        assert "After: pcl" in text
        assert "A identity 7" in text
        assert "camera 2" in text

    def test_clusters_stand_in_for_identities_and_say_so(self) -> None:
        only = SPACE.model_copy(update={"by": "cluster", "before": None})
        section = page_of(explanations(images=only))
        assert len(drawings(section)) == 1
        assert "the cluster that the run found (a pseudo-label)" in section
        assert "No identity is known here." in section
        assert "cluster 7" in section
        assert "Before training" not in section

    def test_a_letter_stands_at_the_point_nearest_to_all_of_its_group(self) -> None:
        points = Points([(0.0, 0.0), (0.2, 0.0), (1.0, 0.0)], [0, 0, 0], [0, 0, 0], ["a"], [])
        assert [(each.text, each.x, each.y) for each in scatter(points, "n", "t", "w").letters] == [("A", "88.4", "14")]

    def test_cameras_beyond_the_shapes_share_the_last_one(self) -> None:
        cameras = tuple(f"c{place:02}" for place in range(10))
        many = ImageSpace(
            by="identity",
            groups=("7",),
            group=(0,) * 11,
            camera=(*cameras, "c09"),
            after=Plane(points=((0.5, 0.5),) * 11),
        )
        section = explained_section(ExplainedContent(explanations(images=many), {}, {}))
        assert section is not None
        named = [name for _, name in section["images"]["cameras"]]
        assert named == ["camera c09", *(f"camera c{place:02}" for place in range(6)), "3 other cameras"]

    def test_texts_have_letters_for_twelve(self) -> None:
        points = tuple((place / 13, 0.5) for place in range(14))
        space = TextSpace(
            identities=tuple(map(str, range(14))),
            before=Plane(points=points, mean_cosine=0.98765),
            after=Plane(points=points, mean_cosine=0.5),
        )
        section = page_of(explanations(texts=space))
        before, after = drawings(section)
        assert [each.text for each in after.findall(f"{SVG}text")] == list("ABCDEFGHIJKL")
        assert [each.attrib["class"] for each in after.findall(f"{SVG}g")][11:] == [
            "group-11",
            "group-others",
            "group-others",
        ]
        assert "Mean cosine of two of them: 0.988." in (before.findtext(f"{SVG}desc") or "")


class TestHeatMaps:
    def test_the_hottest_cell_is_yellow_and_the_coldest_violet(self) -> None:
        made = coloured(GREY, HEAT).astype(int)
        hot, cold = made[45, 45], made[15, 75]
        assert min(hot[0], hot[1]) > 180
        assert cold[0] < 100
        assert cold[2] > cold[1]
        assert made.shape == GREY.shape

    def test_a_common_scale_shows_the_same_value_in_the_same_colour(self) -> None:
        flat = HeatMap(rows=1, columns=1, values=(0.5,))
        low, high = (coloured(GREY, flat, ends)[0, 0].tolist() for ends in ((0.5, 1.0), (0.0, 0.5)))
        assert low != high
        step = HeatMap(rows=1, columns=2, values=(0.5, 1.0))
        assert coloured(GREY, step, (0.5, 1.0))[0, 0].tolist() == low

    def test_a_map_without_differences_has_the_first_colour(self) -> None:
        """0.6 of (8, 6, 40), and 0.4 of the grey 128."""
        made = coloured(GREY, HeatMap(rows=1, columns=2, values=(0.5, 0.5)))
        assert made.reshape(-1, 3).tolist() == [[56, 55, 75]] * (60 * 90)

    @pytest.mark.parametrize(("rows", "columns"), [(256, 128), (100, 400), (3, 3)])
    def test_pictures_keep_their_proportions_within_bounds(self, rows: int, columns: int) -> None:
        made = picture_below(np.zeros((rows, columns, 3), np.uint8))
        assert made.shape[0] == HEIGHT or made.shape[1] == WIDEST
        assert made.shape[0] <= HEIGHT
        assert made.shape[1] <= WIDEST
        assert made.shape[1] / made.shape[0] == pytest.approx(columns / rows, rel=0.02)

    def test_a_map_is_of_its_cells(self) -> None:
        with pytest.raises(ValueError, match="3 values do not fill 2 rows of 2 cells"):
            HeatMap(rows=2, columns=2, values=(0.0, 1.0, 2.0))


def attention(kind: Any, **others: Any) -> Attention:
    images = (AttendedImage(path="a.jpg", before=HEAT, after=HEAT),)
    return Attention(kind=kind, tower="net (kind)", **{"blocks": 12, "images": images, **others})


class TestLooks:
    @pytest.mark.parametrize(
        ("made", "said"),
        [
            (attention("class token"), "The attention of the class token, by rollout"),
            (attention("class token"), "multiplied over all 12 blocks"),
            (attention("mean"), "the mean of the rows of all patches in the attention rollout over its 12 blocks"),
            (attention("attention"), "followed back through the 12 blocks"),
            (attention("attention", blocks=0), "the weights of its attention pool"),
            (
                attention("map", blocks=0, why_not="net has no attention"),
                "net has no attention. Shown instead is the cosine",
            ),
            (
                attention("class token", images=(), why_not="net makes 9 patches"),
                "net makes 9 patches. No map is shown.",
            ),
        ],
    )
    def test_it_is_said_what_is_shown_of_which_tower(self, made: Attention, said: str) -> None:
        section = page_of(explanations(attention=made))
        assert said in section
        assert "Tower: net (kind)." in section
        assert section.count("data:image/webp") == 3 * len(made.images)

    def test_before_and_after_stand_beside_the_picture_with_words(self) -> None:
        section = page_of(explanations(attention=attention("class token")))
        titles = re.findall(r"<figcaption>(.*?)</figcaption>", section)
        assert titles == ["id 7", "before", "after"]
        said = "strongest in row 2 of 2, column 2 of 3; 20.0 % on no patch"
        assert re.findall(r'alt="(.*?)"', section) == [
            "Image a.jpg",
            f"Attention before training: {said}",
            f"Attention after training: {said}",
        ]

    def test_a_query_stands_beside_both_images_and_its_cells(self) -> None:
        cool = HEAT.model_copy(update={"elsewhere": None, "values": (-0.5, 0.0, 0.0, 0.0, 0.0, 0.0)})
        made = SimilarImages(
            path="a.jpg",
            by="identity",
            same=ComparedImage(path="b.jpg", cosine=0.912, cells=HEAT),
            other=ComparedImage(path="c.jpg", cosine=0.5, cells=cool),
        )
        section = page_of(explanations(similar=(made,)))
        titles = re.findall(r"<figcaption>(.*?)</figcaption>", section)
        assert titles[:3] == ["query, id 7", "of its own identity, cosine 0.912", "query by it, 0.050 to 0.300"]
        assert titles[3].startswith("of another identity, cosine 0.500, &lt;b&gt;&amp;")
        assert titles[4] == "query by it, -0.500 to 0.000"
        assert "strongest in row 2 of 2, column 2 of 3" in section

    def test_nothing_to_show_is_no_section(self) -> None:
        assert page_of(explanations()) == ""
