"""`rerank.stages`: what a stage takes from the top level, and what no cascade can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.base.config import RunConfig, ServeConfig, load, load_config
from pipelines.base.given_config import config_with
from stages.core.errors import ConfigError

CHEAP, DEAR = {"model": {"name": "overlap"}, "depth": 50}, {"model": {"name": "overlap"}, "depth": 10}
HOSTED = {"model": {"name": "http://127.0.0.1:1", "api": "jina", "served_as": "m"}, "depth": 5}
DATA = {"format": "jsonl", "path": "rows.jsonl"}


def cascade(*stages: dict[str, Any], **sections: Any) -> RunConfig:
    return config_with({"data": DATA, "rerank": {"stages": list(stages)}} | sections, {}, cascade=True)


def refused(*stages: dict[str, Any], **sections: Any) -> str:
    with pytest.raises(ConfigError) as fault:
        cascade(*stages, **sections)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "cascade.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


# --- what a stage takes from the top level ---


def test_a_stage_has_the_top_levels_keys_where_it_sets_none_itself_key_by_key() -> None:
    config = cascade(
        CHEAP,
        DEAR | {"engine": {"dtype": "float32", "extra": {"seed": 2}}, "cost": {"per_hour": 4.0}},
        engine={"dtype": "bfloat16", "compile": False, "extra": {"seed": 1, "enforce_eager": True}},
        serve={"replicas": 2},
        cost={"per_hour": 1.0},
    )
    first, second = config.stages()
    assert (first.engine.dtype, second.engine.dtype) == ("bfloat16", "float32")
    assert first.engine.extra == {"seed": 1, "enforce_eager": True}
    assert second.engine.extra == {"seed": 2, "enforce_eager": True}
    assert not first.engine.compile and not second.engine.compile
    assert (first.serve.replicas, second.serve.replicas) == (2, 2)
    assert (first.cost.per_hour, second.cost.per_hour) == (1.0, 4.0)
    assert [one.data.depth for one in (config, first, second)] == [50, 50, 10]


def test_only_a_hosted_stage_takes_the_hosted_section() -> None:
    first, second = cascade(CHEAP, HOSTED, hosted={"concurrency": 3}).stages()
    assert (first.hosted.concurrency, second.hosted.concurrency) == (None, 3)


def test_the_depth_of_stage_0_is_that_of_the_data_wherever_it_is_said() -> None:
    without = {"model": CHEAP["model"]}
    assert cascade(without, DEAR).stages()[0].data.depth == 100
    assert cascade(without, DEAR, data=DATA | {"depth": 30}).stages()[0].data.depth == 30
    assert cascade(without, DEAR, data=DATA | {"depth": None}).stages()[0].data.depth is None
    assert cascade(CHEAP, DEAR, data=DATA | {"depth": 50}).data.depth == 50
    assert "data.depth 30 and rerank.stages.0.depth 50 are the same thing" in refused(
        CHEAP, DEAR, data=DATA | {"depth": 30}
    )


def test_what_was_written_in_full_is_the_same_cascade_when_read_again(tmp_path: Path) -> None:
    config = cascade(CHEAP, HOSTED, engine={"compile": False}, hosted={"concurrency": 3}, serve={"replicas": 2})
    again = load_config(written(tmp_path, yaml.safe_load(config.to_yaml())), cascade=True)
    assert again == config_with(config, {}, cascade=True)
    assert (again.digest, again.stages()) == (config.digest, config.stages())


def test_a_config_of_one_model_is_what_it_was() -> None:
    config = config_with({"data": DATA, "model": CHEAP["model"]}, {})
    assert "stages" not in config.to_yaml()
    assert config.stages() == (config,)


def test_price_and_pace_of_a_stage_do_not_decide_results_and_all_else_does() -> None:
    one, dearer = cascade(CHEAP, HOSTED), cascade(CHEAP, HOSTED | {"hosted": {"concurrency": 1}}, cost={"per_hour": 9})
    deeper = cascade(CHEAP, HOSTED | {"depth": 6})
    assert one.digest == dearer.digest != deeper.digest


def test_a_place_in_the_list_is_set_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path, {"data": DATA, "rerank": {"stages": [CHEAP, DEAR]}})
    changed = load_config(path, ["rerank.stages.1.depth=7", "rerank.stages.0.engine.dtype=float32"], cascade=True)
    assert [one.data.depth for one in changed.stages()] == [50, 7]
    assert [one.engine.dtype for one in changed.stages()] == ["float32", "auto"]
    with pytest.raises(ConfigError, match=r"rerank\.stages\.2: a list, whose places are 0 to 1"):
        load_config(path, ["rerank.stages.2.depth=7"], cascade=True)


def test_the_service_reads_the_stages_and_no_other_key_of_the_section(tmp_path: Path) -> None:
    path = written(tmp_path, {"data": DATA, "rerank": {"stages": [CHEAP, DEAR], "store": "x", "unknown": 1}})
    config = load(ServeConfig, path, cascade=True)
    assert config.rerank.stages is not None
    assert [one.depth for one in config.rerank.stages] == [50, 10]
    assert [one.model.name for one in config.stages()] == ["overlap", "overlap"]


# --- what no cascade can be ---


@pytest.mark.parametrize(
    ("stages", "sections", "told"),
    [
        ([CHEAP, DEAR], {"model": {"name": "overlap"}}, "model and rerank.stages are both given"),
        ([CHEAP], {}, "a cascade has two stages or more; of one, give model and data.depth instead"),
        ([], {}, "a cascade has two stages or more"),
        ([CHEAP, DEAR | {"depth": 51}], {}, "rerank.stages.1.depth 51 is more than 50"),
        ([CHEAP, {"model": {}}], {}, "rerank.stages.1.depth is missing"),
        ([CHEAP, {"depth": 5}], {}, "rerank.stages.1.model is missing"),
        ([CHEAP, DEAR | {"depth": 0}], {}, "rerank.stages.1.depth: Input should be greater than 0"),
        ([CHEAP, DEAR | {"modle": {}}], {}, "unknown key rerank.stages.1.modle; did you mean model"),
        ([CHEAP, DEAR | {"engine": {"dtpye": 1}}], {}, "unknown key rerank.stages.1.engine.dtpye; did you mean dtype"),
        ([CHEAP, DEAR | {"hosted": {"concurrency": 2}}], {}, "rerank.stages.1.hosted: is about a hosted model"),
        ([CHEAP, DEAR], {"hosted": {"concurrency": 2}}, "Set model.api in a stage, or remove the section"),
        ([CHEAP, DEAR | {"serve": {"http": {"port": 1}}}], {}, "rerank.stages.1.serve.http: all stages share it"),
        (
            [CHEAP, DEAR | {"model": {"name": "other"}}],
            {"serve": {"application": "mine"}},
            "serve.application mine: the stages 0 and 1 have other models or engines",
        ),
        (
            [one | {"engine": {"dtype": "float32"}} for one in (CHEAP, DEAR)],
            {"engine": {"dtype": "bfloat16"}},
            "engine.dtype 'bfloat16': each stage sets it otherwise, so it would do nothing",
        ),
        (
            [CHEAP, DEAR],
            {"data": {"format": "beir", "path": "x", "runs": {"a": "a.trec"}}},
            "data.runs: a cascade starts from one first stage",
        ),
    ],
)
def test_what_no_cascade_can_be_is_refused_in_one_line(
    stages: list[dict[str, Any]], sections: dict[str, Any], told: str
) -> None:
    assert told in refused(*stages, **sections)


def test_a_command_on_one_model_refuses_a_cascade_instead_of_taking_the_default_model(tmp_path: Path) -> None:
    path = written(tmp_path, {"data": DATA, "rerank": {"stages": [CHEAP, DEAR]}})
    for read in (lambda: load_config(path), lambda: load(ServeConfig, path), lambda: config_with(path, {})):
        with pytest.raises(ConfigError, match=r"rerank\.stages: this works on one model"):
            read()
