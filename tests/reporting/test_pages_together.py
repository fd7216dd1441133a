"""Pages as parts of a folder: they know each other, are drawn by one plotly.js, and can be read in both themes."""

import os
import re
import threading
from datetime import datetime
from itertools import product
from pathlib import Path, PurePosixPath

import plotly.graph_objects as go
import pytest
from page_checks import check_pages

from reid_pipeline.io.index_page import AllPagesDataset, IndexPageDataset, list_pages, renew_index
from reid_pipeline.io.page import HTMLPageDataset
from reid_pipeline.reporting import page as page_module
from reid_pipeline.reporting.figures import COLOURS, dress
from reid_pipeline.reporting.index_page import ListedPage, render_index
from reid_pipeline.reporting.page import charts, plotly_file, rendered

TEMPLATES = Path(page_module.__file__).parent / "templates"
STYLE = (TEMPLATES / "report.css").read_text()


def a_page(title: str) -> str:
    """A page without figures."""
    return rendered("cross_benchmark.html.j2", title=title, legend="", table=page_module.Table("t", []), reasons=[])


def save(folder: Path, name: str, text: str, time: float | None = None) -> Path:
    file = folder / name
    root = "/".join([".."] * name.count("/"))
    if time is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    HTMLPageDataset(filepath=str(file), root=root).save(text)
    if time is not None:
        os.utime(file, (time, time))
    return file


def test_pages_and_index_lead_to_each_other_also_after_pages_were_removed(tmp_path: Path) -> None:
    names = ["zoo/pcl+a #1/report_seed_0.html", "leaderboard/leaderboard.html", "galleries/gäte/search.html"]
    files = [save(tmp_path, name, a_page(f"<b>{name}</b>"), 1e9 + place) for place, name in enumerate(names)]
    save(tmp_path, "zoo/tuning/pcl/main/tuning.html", a_page("T"))
    assert check_pages(tmp_path) == {*names, "zoo/tuning/pcl/main/tuning.html"}
    index = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;zoo/pcl+a #1" in index
    assert re.findall(r'<h2 id="group-\d">(.*?)</h2>', index) == ["zoo", "Gallery gäte", "All benchmarks"]
    files[0].unlink()
    save(tmp_path, names[1], a_page("Leaderboard"))
    assert check_pages(tmp_path) == {*names[1:], "zoo/tuning/pcl/main/tuning.html"}
    assert not (tmp_path / plotly_file()).exists(), "no page has a figure"
    files[2].unlink()
    left = AllPagesDataset(filepath=str(tmp_path)).load()
    IndexPageDataset(filepath=str(tmp_path / "index.html")).save(render_index(left))
    assert check_pages(tmp_path) == {names[1], "zoo/tuning/pcl/main/tuning.html"}
    assert (tmp_path / plotly_file()).read_bytes().startswith(b"/**\n* plotly.js v"), "whoever has figures finds it"


def test_an_index_that_is_right_is_left_alone(tmp_path: Path) -> None:
    save(tmp_path, "a/dataset.html", a_page("A"), 1e9)
    renew_index(tmp_path)
    before = (tmp_path / "index.html").stat().st_mtime_ns
    renew_index(tmp_path)
    assert (tmp_path / "index.html").stat().st_mtime_ns == before


def test_pages_saved_at_once_are_all_listed(tmp_path: Path) -> None:
    names = [f"zoo/m{number}/report_seed_0.html" for number in range(8)]
    threads = [threading.Thread(target=save, args=(tmp_path, name, a_page(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check_pages(tmp_path) == set(names)


def test_pages_of_earlier_versions_and_strange_names_are_listed(tmp_path: Path) -> None:
    """What is no page of ours has its path for a title; a page that is being written, and a link's, are none."""
    (tmp_path / ".x.html.abc").mkdir()
    (tmp_path / ".x.html.abc/x.html").write_text("")
    (tmp_path / "notes.html").write_text("no title")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo/report_seed_3.html").write_text("<title>pcl &amp; co</title>")
    strange = os.fsencode(tmp_path) + b"/zoo/\xff.html"
    Path(os.fsdecode(strange)).write_text("<title>\x1b[2J</title>")
    shown = {page.row()["title"]: page.row() for page in list_pages(tmp_path)}
    assert set(shown) == {"notes.html", "pcl & co", "\\x1b[2J"}
    assert (shown["pcl & co"]["kind"], shown["notes.html"]["kind"]) == ("Report", "Page")
    assert shown["\\x1b[2J"]["address"] == "zoo/%FF.html"
    renew_index(tmp_path)
    assert "zoo/%FF.html" in (tmp_path / "index.html").read_text()


def test_where_no_index_can_be_written_the_page_is_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".index.lock").mkdir()
    file = save(tmp_path, "zoo/dataset/dataset.html", a_page("Z"))
    assert file.is_file()
    assert "was not renewed" in caplog.text


def test_kinds_and_subjects() -> None:
    def of(path: str) -> tuple[str, str]:
        page = ListedPage(PurePosixPath(path), "", datetime(2026, 1, 2, 3, 4))
        return page.kind, page.subject

    assert of("synthetic/pcl/report_seed_10.html") == ("Report", "synthetic")
    assert of("cross_benchmark/cross_benchmark.html") == ("Cross-benchmark", "All benchmarks")
    assert of("galleries/gate/identify.html") == ("Identification", "Gallery gate")
    assert "No page has been made yet" in render_index([])


def test_a_figure_that_needs_webgl_is_refused() -> None:
    for trace in (go.Parcoords(), go.Scattergl(), go.Scatter3d(), go.Scattermap()):
        with pytest.raises(ValueError, match=f"figure speed is drawn by WebGL, which many browsers lack: {trace.type}"):
            charts({"speed": go.Figure(trace)})
    assert charts({"map": dress(go.Figure(go.Heatmap(z=[[1]])), "Map")})


def colours(scheme: str) -> dict[str, str]:
    """Return the variables of the style by name; the first block is of light pages, the second of dark ones."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[["light", "dark"].index(scheme)]))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_stand_out_from_the_paper(scheme: str) -> None:
    """4.5 to 1 for words, 3 to 1 for the lines of figures."""
    shown = colours(scheme)
    for words, below in product(("ink", "faint", "accent", "good", "bad"), ("paper", "raised")):
        assert contrast(shown[words], shown[below]) >= 4.5, (scheme, words, below)
    for line in COLOURS:
        assert contrast(line, shown["paper"]) >= 3, (scheme, line)


def test_the_style_sets_no_width_beyond_a_narrow_window() -> None:
    """But in what scrolls by itself."""
    wide = [rule for rule in re.findall(r"[{;] *(?:min-)?width: ([\d.]+)rem", STYLE) if float(rule) > 22]
    assert wide == []
    assert not re.findall(r"(?<![-\w])(?:min-)?width: [\d.]+px", STYLE.replace("2px", ""))
