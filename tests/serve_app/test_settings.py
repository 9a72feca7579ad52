"""Settings are strict: what is misspelled or out of range is an error that names it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.base_settings import Settings
from serve_app.settings import SET_ELSEWHERE, VLLM_ALONE, DeploymentSettings, EngineSettings, ModelSettings

SECTIONS: tuple[type[Settings], ...] = (ModelSettings, EngineSettings, DeploymentSettings)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_has_a_default_and_a_description(section: type[Settings]) -> None:
    section()
    for name, field in section.model_fields.items():
        assert field.description, name
        assert field.description.endswith((".", "package).")), name


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_an_error_that_names_it(section: type[Settings]) -> None:
    with pytest.raises(ValidationError, match="no_such_key"):
        section.model_validate({"no_such_key": 1})


@pytest.mark.parametrize("section", SECTIONS)
def test_a_setting_never_changes(section: type[Settings]) -> None:
    name = next(iter(section.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(section(), name, getattr(section(), name))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (ModelSettings, "family", "reranker"),
        (ModelSettings, "template", "two_newlines"),
        (ModelSettings, "max_length", 8),
        (EngineSettings, "dtype", "int8"),
        (EngineSettings, "block_size", 0),
        (EngineSettings, "gpu_memory_share", 1.5),
        (EngineSettings, "kv_cache_gib", 0),
        (DeploymentSettings, "replicas", 0),
        (DeploymentSettings, "gpus_per_replica", -1),
        (DeploymentSettings, "max_ongoing_queries", 0),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_key(section: type[Settings], key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        section.model_validate({key: value})


@pytest.mark.parametrize("name", VLLM_ALONE)
def test_what_only_vllm_has_is_refused_beside_transformers(name: str) -> None:
    values = {"load_format": "dummy", "extra": {"quantization": "fp8"}, "gpu_memory_share": 0.5}
    told = {"backend": "transformers", name: values.get(name, 2)}
    with pytest.raises(ValidationError, match=f"{name} is vLLM's, and engine.backend is transformers"):
        EngineSettings.model_validate(told)
    assert EngineSettings.model_validate(told | {"backend": "vllm"}).backend == "vllm"


def test_a_config_that_was_written_with_all_its_defaults_is_read_again() -> None:
    written = EngineSettings(backend="transformers", dtype="float32", max_num_seqs=8).model_dump()
    assert EngineSettings.model_validate(written).max_num_seqs == 8


def test_settings_survive_json() -> None:
    engine = EngineSettings(dtype="float32", extra={"max_logprobs": 3})
    assert EngineSettings.model_validate_json(engine.model_dump_json()) == engine


@pytest.mark.parametrize("name", SET_ELSEWHERE)
def test_extra_sets_nothing_that_has_a_setting_of_its_own(name: str) -> None:
    """What decides a score would be told by the setting, and done by the argument."""
    with pytest.raises(ValidationError, match=f"{name} has a setting of its own. Set (model|engine)"):
        EngineSettings(extra={name: "x", "seed": 1})
