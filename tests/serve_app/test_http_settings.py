"""An origin that no browser sends would match nothing, and is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from serve_app.http_settings import HttpSettings


@pytest.mark.parametrize("origin", ["*", "https://search.example", "http://localhost:3000", "chrome-extension://abc"])
def test_an_origin_is_written_as_browsers_send_it(origin: str) -> None:
    assert HttpSettings(cors_origins=[origin]).cors_origins == [origin]


@pytest.mark.parametrize("origin", ["search.example", "https://search.example/", "https://Search.example", "", "null"])
def test_another_form_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match=r"is no origin\. Write scheme://host"):
        HttpSettings(cors_origins=[origin])
