from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.nightly.state import StateFile
from stages.core.errors import DataError


@pytest.mark.parametrize("name", ["../nightly", "/tmp/nightly", "a/b", ".."])
def test_a_schedule_is_not_named_by_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^--name .* cannot name a folder"):
        StateFile(tmp_path, name)
