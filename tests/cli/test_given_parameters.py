# ruff: noqa: E501 - a case is a line
"""What `--params` may hold: lists, quotes, commas in names; and what is answered."""

import re
from typing import Any

import pytest

from reid_pipeline.cli.parameters import given_parameters
from reid_pipeline.schema.errors import UserError

KNOWN = ("seed", "compute", "backbone", "raw_root", "collection", "pcl")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("seed=1", {"seed": 1}),
        (" seed = 1 , compute.device = cpu ", {"seed": 1, "compute": {"device": "cpu"}}),
        ("seed=1,,compute.device=cpu,", {"seed": 1, "compute": {"device": "cpu"}}),
        ("backbone.image_size=[256,128]", {"backbone": {"image_size": [256, 128]}}),
        ("backbone.image_size=[256, 128],seed=2", {"backbone": {"image_size": [256, 128]}, "seed": 2}),
        ("pcl.plan.milestones=[]", {"pcl": {"plan": {"milestones": []}}}),
        ("pcl.a=[[1,2],[3,{x: 'a,b'}]],seed=1", {"pcl": {"a": [[1, 2], [3, {"x": "a,b"}]]}, "seed": 1}),
        ("pcl={plan: {epochs: 2, batch_size: 8}},pcl.b=1", {"pcl": {"plan": {"epochs": 2, "batch_size": 8}, "b": 1}}),
        ("compute={device: cpu},compute.threads=1", {"compute": {"device": "cpu", "threads": 1}}),
        ('backbone.name="a, b",seed=1', {"backbone": {"name": "a, b"}, "seed": 1}),
        ("backbone.name='it''s, so'", {"backbone": {"name": "it's, so"}}),
        (r'backbone.name="a\",b"', {"backbone": {"name": 'a",b'}}),
        ("pcl.a=[it's, b]", {"pcl": {"a": ["it's", "b"]}}),
        ("backbone.name=it's", {"backbone": {"name": "it's"}}),
        ("backbone.name=a=b:c", {"backbone": {"name": "a=b:c"}}),
        ("backbone.name=${x", {"backbone": {"name": "${x"}}),
        ("a=true,b=null,c=1e-3,d=007,e=,f=2024-01-01,g='1'", {"a": True, "b": None, "c": 1e-3, "d": 7, "e": None, "f": "2024-01-01", "g": "1"}),
        ("raw_root=/a,b", {"raw_root": "/a,b"}),
        ("raw_root=/a, b ,seed=1", {"raw_root": "/a, b", "seed": 1}),
        ("seed=1,raw_root=~/x,compute.device=cpu", {"seed": 1, "raw_root": "~/x", "compute": {"device": "cpu"}}),
        ("raw_root=/a,b=c/d", {"raw_root": "/a,b=c/d"}),
        ("raw_root=/a,sede=1", {"raw_root": "/a", "sede": 1}),
        ("raw_root=[a,b],collection=it's", {"raw_root": "[a,b]", "collection": "it's"}),
        ('raw_root="/a,seed=1",seed=2', {"raw_root": "/a,seed=1", "seed": 2}),
        ("collection='007,'", {"collection": "007,"}),
        ("collection=", {"collection": ""}),
    ],
)  # fmt: skip
def test_it_is_read(text: str, found: dict[str, Any]) -> None:
    assert given_parameters(text, KNOWN) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed", "--params takes <name>=<value>,<name>=<value>, and `seed` is none."),
        ("seed:3", "and `seed:3` is none. Write seed=3."),
        ("pcl.plan.learning_rate=0,01", "Write pcl.plan.learning_rate=0.01, or a list"),
        ("=3", "'' before the = is no parameter's name"),
        (" =3", "'' before the = is no parameter's name"),
        ("a..b=1", "'a..b' before the = is no parameter's name"),
        ("a[0]=1", "'a[0]' before the = is no parameter's name"),
        ("a b=1", "'a b' before the = is no parameter's name"),
        (
            "backbone.image_size=256,128",
            "a list stands in brackets, backbone.image_size=[256,128], and a text with commas in",
        ),
        ("backbone.image_size=(256,128)", "a list stands in brackets, backbone.image_size=[256,128],"),
        ("backbone.image_size=[256,128", "opens a bracket that it does not close"),
        ('backbone.name="a,seed=1', "opens a quote that it does not close"),
        ("backbone.name=@x", "backbone.name=@x cannot be read as YAML: column 1: found character '@'"),
        ("backbone.name=*x", "found undefined alias 'x'"),
        ("pcl.a=[1]],seed=1", "cannot be read as YAML"),
        ("pcl.a=" + "[" * 5000 + "]" * 5000, "nested more than 100 levels deep"),
        ("pcl={a: 1, a: 2}", "the key 'a' stands there a second time"),
        ("seed=1,seed=2", "--params gives seed twice: seed=1 and seed=2. Leave one of them."),
        ("compute={device: cpu},compute.device=cuda", "--params gives compute.device twice"),
        ("pcl.a.b=1,pcl.a=2", "--params gives pcl.a twice: pcl.a.b=1 and pcl.a=2"),
        ("raw_root=a,seed=1,raw_root=b", "--params gives raw_root twice"),
    ],
)
def test_it_is_answered(text: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        given_parameters(text, KNOWN)
    assert len(str(caught.value)) < 400
