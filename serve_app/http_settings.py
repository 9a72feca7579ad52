"""What can be set about the HTTP service."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from serve_app.base_settings import Settings

# As a browser writes it into the header Origin: no path, and no slash at the end.
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\sA-Z]+")


class HttpSettings(Settings):
    """The HTTP service in front of the replicas."""

    host: str = Field("127.0.0.1", description="Address to listen on. Without API keys only loopback is accepted.")
    port: int = Field(8000, ge=0, lt=65536, description="Port of the service.")
    page_port: int | None = Field(7860, ge=0, lt=65536, description="Port of the page for people. null: no page.")
    max_documents: int = Field(1000, gt=0, description="Documents in one request; more are refused.")
    max_body_mib: float = Field(
        32, gt=0, description="Size of a request's body, unpacked; a larger one is refused with 413."
    )
    max_waiting: int = Field(
        256, gt=0, description="Requests at work or sending their body; a further one is refused with 429."
    )
    deadline_s: float = Field(
        60, gt=0, description="A request that takes longer ends with 504, or 408 while it sends its body."
    )
    api_keys_env: str = Field("RERANK_EVAL_API_KEYS", description="Environment variable with keys, comma-separated.")
    api_keys_file: str | None = Field(
        None, description="File with one key per line, instead of the variable; under `serve deploy` an absolute path."
    )
    model_names: list[str] = Field(
        [],
        description="Other names by which clients may call the model, * for any characters. A name that is not served "
        "gets 404, at which several clients keep the old order and say nothing.",
    )
    return_documents: bool | None = Field(
        None,
        description="Whether results hold their documents where a request does not say. null: as the API of the path "
        "does (docs/service.md).",
    )
    cors_origins: list[str] = Field(
        [], description="Web pages' origins that may ask, such as https://search.example, or * for any. []: none."
    )

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_send_them(cls, origins: list[str]) -> list[str]:
        """Another form would never match, and nobody would be told."""
        for origin in origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin. Write scheme://host or scheme://host:port, in lower case")
        return origins
