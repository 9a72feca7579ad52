"""The section `judge`: which language model grades, how it is asked, and which pairs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from serve_app.base_settings import Settings

Answer = Literal["prefill", "text"]
# What is of one place alone: the model computed here, or the API that is asked.
HERE = ("revision", "max_length", "trust_remote_code", "code_revision")
THERE = ("served_as", "key_env", "max_chars")


class JudgeSettings(Settings):
    """Which language model grades pairs of query and document from 0 to 3, and which pairs. Exactly one of model, url.

    Read by `rerank-eval judge`, whose configs have this section instead of data, model, rerank and gate.
    """

    model: str | None = Field(
        None,
        min_length=1,
        description="The judge, computed here: a local folder, or a Hugging Face id of a language model that has a "
        "chat template.",
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a Hugging Face id. With `model` alone.")
    url: str | None = Field(
        None,
        min_length=1,
        description="The judge is hosted: texts are sent to this OpenAI-compatible address, as https://HOST/v1.",
    )
    served_as: str | None = Field(None, min_length=1, description="What the API calls the judge. With `url` alone.")
    key_env: str | None = Field(
        None,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the API's key. null: none is sent. With `url` alone.",
    )
    prompt: str = Field(
        "graded", min_length=1, description="What the judge is asked: graded, reasoned, or a file of your own."
    )
    answer: Answer | None = Field(
        None,
        description="prefill: the probabilities of the grades as the next token, after one forward pass. text: what "
        "the judge writes. null: prefill with `model`, unless its prompt asks for reasons; text with `url`.",
    )
    max_length: int | None = Field(
        None,
        gt=8,
        description="Tokens of a whole prompt; the document is cut to fit. null: the model's own limit, less what it "
        "may write. With `model` alone.",
    )
    max_chars: int = Field(
        20_000,
        gt=0,
        description="Characters of a document that are sent, as the tokens of a hosted judge are not known; what it "
        "finds too long is halved. With `url` alone.",
    )
    max_generated_tokens: int = Field(
        512, gt=0, description="Tokens that the judge may write for a pair. `text` alone."
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code of the model's own. Read it before. With `model` alone."
    )
    code_revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="Commit of code that the model takes from another repository."
    )
    depth: int | None = Field(
        None, gt=0, description="How deep every list is pooled. null: the largest cutoff of evaluate.metrics."
    )
    overlap: int | None = Field(
        None,
        ge=0,
        description="Queries that people judged and the judge grades too, for its agreement with them and the "
        "interval. null: all. 0: no pair that people judged is asked for.",
    )
    highest: int | None = Field(
        None,
        gt=0,
        description="The largest grade that people could give, by which their scale is held beside the judge's 0 to 3. "
        "null: the largest that they gave.",
    )
    repeat: int = Field(
        50, ge=0, description="Pairs that are asked for twice, to tell whether the judge repeats itself."
    )
    planted: int = Field(
        20,
        ge=0,
        description="Pairs that are asked for with an instruction planted in the document, to tell what it does.",
    )
    seed: int = Field(0, ge=0, description="Of what is drawn, and of the judge where it takes one.")
    store: str | None = Field(
        None,
        description="Folder of the judgement store, which other judgings may share. null: `store` in the folder --out.",
    )
    store_days: float = Field(
        30, ge=0, description="With `url`: for so many days a stored reply is used. Those of other judges do not age."
    )
    max_failed_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of pairs that may get no answer before exit code 3. A reply without a grade is missing, not "
        "failed.",
    )

    @field_validator("model", "served_as")
    @classmethod
    def _in_one_line(cls, name: str | None) -> str | None:
        """It stands in every row of qrels.tsv, whose columns are tabbed apart."""
        if name is not None and (not name.isprintable() or name != name.strip()):
            raise ValueError(f"{name!r}: a name has no tabs, line breaks or blanks at its ends. Remove them")
        return name

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.model is None) == (self.url is None):
            both = "are both given" if self.model else "are both missing"
            raise ValueError(f"model and url {both}: give model for a judge computed here, or url for a hosted one")
        fields = type(self).model_fields
        idle = THERE if self.url is None else HERE
        given = [name for name in idle if getattr(self, name) != fields[name].get_default()]
        if given:
            kind, other = ("a hosted judge", "url") if self.url is None else ("a judge computed here", "model")
            raise ValueError(f"{', '.join(given)}: is of {kind}. Leave it out, or give {other}")
        if self.answer == "prefill" and self.max_generated_tokens != fields["max_generated_tokens"].get_default():
            raise ValueError("max_generated_tokens: a prefill generates none. Leave it out, or set answer to text")
        return self
