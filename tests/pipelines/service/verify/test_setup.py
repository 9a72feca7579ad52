"""What can be known to be wrong before a model is loaded or a service is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.service.verify.setup import VerifyOrder, make_setup
from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import ConfigError


def test_a_service_that_computes_with_transformers_has_no_second_path(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    sections = {"model": {"name": EMBEDDED_MODEL}, "engine": {"backend": "transformers"}}
    config.write_text(yaml.safe_dump(sections), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"engine\.backend transformers: there is no second path") as refusal:
        make_setup(VerifyOrder(config))
    assert "\n" not in str(refusal.value)
