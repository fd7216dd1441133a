"""JSON and YAML that anybody may have written."""

import json
import time

import pytest
import yaml

from reid_pipeline.schema import parsing
from reid_pipeline.schema.parsing import DEEPEST, ParsingError, parse_json, parse_yaml


@pytest.mark.parametrize("levels", [DEEPEST + 1, 990, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_deep_nesting_is_refused_at_once(parse, opening, closing, levels):
    text = opening * levels + "1" + closing * levels
    start = time.perf_counter()
    with pytest.raises(ParsingError, match="nested more than 100 levels deep"):
        parse(text)
    assert time.perf_counter() - start < 5  # PyYAML's own loader takes minutes, then overflows


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_nesting_that_a_person_may_write_is_read(parse):
    value = parse("[" * DEEPEST + "]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        (value,) = value
    assert value == []


def test_aliases_that_multiply_are_refused_and_others_read():
    lines = ["a: &a [" + "x," * 9 + "]"]
    lines += [f"{new}: &{new} [" + f"*{old}," * 9 + "]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(ParsingError, match="aliases stand for more than 100000 values"):
        parse_yaml("\n".join(lines))
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    with pytest.raises(ParsingError, match="line 1, column 4: an alias stands within its own anchor"):
        parse_yaml("a: &a [*a]")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("seed: 1\nseed: 2\n", "line 2, column 1: the key 'seed' stands there a second time, after line 1"),
        ("a:\n  b: {c: 1, c: 2}\n", "line 2, column 13: the key 'c'"),
        ("a:\n\tb: 1\n", "line 2, column 1: .*tab|line 2, column 1"),
        ("a: [1,\nb: 2\n", "line 3, column 1|line 2"),
        ("a: 1\nb: 'open\n", "line 3"),
        ("a: 1\nb: \x07\n", "line 2: the character"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("a: 2024-13-01\n", "month"),
        ("a: !!bool maybe\n", "a value in it is none of its kind .'maybe'"),
        ("a: !!timestamp abc\n", "a value in it is none of its kind"),
        ("a: !!int ''\n", "a value in it is none of its kind"),
        ("a: !!set [1]\n", "line 1, column 4: expected a mapping node"),
        ("? [1, 2]\n: 3\n", "line 1"),
        ("a: !!python/object/apply:os.system [true]\n", "line 1, column 4"),
    ],
)
def test_a_slip_in_yaml_is_named_with_its_line(text, where):
    with pytest.raises(ParsingError, match=where):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [('{"a": 1,\n "b": [1,}', "line 2, column 10"), (b'{"a": "\xff"}', "byte 7 is no UTF-8"), ("", "line 1, column 1")],
)
def test_a_slip_in_json_is_named_with_its_place(text, where):
    with pytest.raises(ParsingError, match=where):
        parse_json(text)


@pytest.mark.parametrize("value", [None, 1, "x", [1, [2]], {"a": {"b": [1.5, None, True]}}])
def test_what_is_sound_reads_as_the_standard_parsers_read_it(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "a: b\tc\n",
        "benchmark: market1501\n\ufeff",
        "\ufeffa: 1\n",
        "a:\n  !",
        "a: !!str 1\n",
        "{low: 1, high: 5 log? true}",
        "># a\nb: 1\n",
        "a: |\n  b\n   c\n\nd: >-\n  e\n",
        "a: 1e-3\nb: 0x1F\nc: 1_0\nd: .inf\ne: yes\nf: ~\ng: 2024-01-02\n",
        "a: 'b\n  c'\nd: \"\\x41\\u00e9\\n\"\né: \U0001f600\u2028\n",
        "a: &a {b: 1}\nc: {<<: *a, d: [*a]}\n",
        "",
        "# nothing\n",
        "a: [1, 2\n",
    ],
)
def test_both_parsers_read_the_same(text, monkeypatch):
    """LibYAML's is the faster one, and PyYAML's own is there always."""
    assert parsing._LIBYAML is not None
    assert outcome(text) == outcome(text, monkeypatch)


def test_both_parsers_read_conf_alike(project, monkeypatch):
    files = [file.read_text(encoding="utf-8") for file in sorted(project.glob("conf/**/*.yml"))]
    with monkeypatch.context() as patched:
        patched.setattr(parsing.yaml, "SafeLoader", None)
        found = [parse_yaml(text) for text in files]
    assert found == [outcome(text, monkeypatch) for text in files]


def outcome(text, monkeypatch=None):
    """What is read or said; with `monkeypatch` by PyYAML's own parser."""
    if monkeypatch is not None:
        monkeypatch.setattr(parsing, "_LIBYAML", None)
    try:
        return parse_yaml(text)
    except ParsingError as error:
        return str(error)
