"""Bodies in our words: what is taken, what is refused, and what is ranked of a document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.http.api_models import RerankRequest, ScoreRequest
from serve_app.http.refusal import RefusalError
from serve_app.http.shapes.request import AT_PATH, BY_NAME, Wanted, default_shape, parsed, shape_of, wanted
from serve_app.http.shapes.table import PAIRS, RERANK, SHAPES, TEI


def asked(path: str, headers: dict[str, str] | None = None, **body: Any) -> Wanted:
    told = parsed(json.dumps(body).encode())
    return wanted(shape_of(AT_PATH[path], told, headers or {}), told)


def rerank(**body: Any) -> RerankRequest:
    request = asked("/v2/rerank", **({"query": "q", "documents": ["a"]} | body)).request
    assert isinstance(request, RerankRequest)
    return request


def refusal(**body: Any) -> RefusalError:
    with pytest.raises(RefusalError) as refused:
        rerank(**body)
    return refused.value


# --- fields ---


@pytest.mark.parametrize(("told", "meant"), [("true", True), ("False", False), (True, True), (None, None)])
def test_a_flag_may_be_a_word(told: Any, meant: bool | None) -> None:
    assert asked("/v2/rerank", query="q", documents=["a"], return_documents=told).return_documents is meant


@pytest.mark.parametrize("documents", ["a", {"text": "a"}, ["a"], [{"content": [{"type": "text", "text": "a"}]}]])
def test_one_document_needs_no_list(documents: Any) -> None:
    assert rerank(documents=documents).documents == ["a"]


def test_parts_of_a_document_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert rerank(documents=[{"content": parts}, {"content": "c"}]).documents == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}, "image_url"),
        ({"image": "https://x"}, "image"),
        ({"text": "a", "image": "https://x"}, "image"),
        ({"content": ["a"]}, "str"),
    ],
)
def test_what_is_no_text_is_refused_in_words(document: Any, kind: str) -> None:
    refused = refusal(documents=["a", document])
    assert (refused.status, refused.param) == (422, "documents.1")
    assert f"documents.1: {kind} cannot be read: this service ranks text alone" in refused.message


def test_the_values_of_rank_fields_are_ranked_in_their_order() -> None:
    documents = [{"title": "t", "text": "x", "year": 1999}, {"year": 2.5, "title": "u"}]
    assert rerank(documents=documents, rank_fields=["year", "title"]).documents == ["1999\nt", "2.5\nu"]
    assert "documents.1.text: Field required" in refusal(documents=documents, rank_fields=["text"]).message
    assert "documents.1.text: Field required" in refusal(documents=documents).message
    assert "documents.0.text: Input should be a valid string" in refusal(documents=[{"text": 0}]).message


@pytest.mark.parametrize(
    ("body", "scores"),
    [({"raw_scores": True}, "raw"), ({"raw_scores": False}, "score"), ({"raw_scores": None}, "score")],
)
def test_raw_scores_are_asked_for(body: dict[str, Any], scores: str) -> None:
    assert asked("/rerank", query="q", texts=["a"], **body).request.scores == scores


def test_vllms_activation_switched_off_asks_for_raw_scores() -> None:
    assert rerank(use_activation=False).scores == "raw"
    assert rerank(use_activation=True).scores == rerank(use_activation=None).scores == "score"


@pytest.mark.parametrize(("told", "may"), [("NONE", False), ("END", True), (False, False), (True, True), (None, True)])
def test_whether_a_document_may_be_cut_is_told_in_several_ways(told: Any, may: bool) -> None:
    assert rerank(truncate=told).may_cut is may


def test_another_end_than_the_last_is_not_cut() -> None:
    assert rerank(truncation_side="RIGHT").documents
    assert "cut at their end" in refusal(truncation_side="left").message


@pytest.mark.parametrize("name", ["truncate_prompt_tokens", "max_tokens_per_query"])
def test_a_limit_that_is_not_obeyed_is_refused_unless_it_limits_nothing(name: str) -> None:
    for nothing in (0, -1, None):
        assert rerank(**{name: nothing}).documents
    assert f"{name}: is not obeyed here" in refusal(**{name: 100}).message


def test_instructions_come_under_several_names() -> None:
    for body in ({"instruction": "i"}, {"instruct": "i"}, {"chat_template_kwargs": {"instruction": "i"}}):
        assert rerank(**body).instruction == "i"


@pytest.mark.parametrize(
    ("shape", "body", "field", "value"),
    [
        ("voyage", {"query": "q", "documents": ["a"], "top_k": None, "top_n": 1}, "top_n", 1),
        ("rerank", {"query": "q", "documents": None, "docs": ["a"]}, "documents", ["a"]),
        ("rerank", {"query": "q", "documents": ["a"], "instruction": None, "instruct": "i"}, "instruction", "i"),
        ("score", {"text_1": None, "queries": "q", "text_2": None, "items": "a"}, "queries", ["q"]),
    ],
)
def test_null_under_one_name_of_a_field_does_not_hide_what_stands_under_another(
    shape: str, body: Any, field: str, value: Any
) -> None:
    assert getattr(wanted(BY_NAME[shape], body).request, field) == value


def test_a_body_that_is_no_object_is_told_without_our_names() -> None:
    for body in ([], "text", 1, None):
        with pytest.raises(RefusalError, match=r"^the body should be a JSON object$"):
            wanted(RERANK, body)


def test_a_path_names_the_model_where_a_body_cannot() -> None:
    told = {"queries": ["q"], "documents": ["a"]}
    assert wanted(BY_NAME["deepinfra"], told, "some/model").request.model == "some/model"


# --- which shape ---


@pytest.mark.parametrize(
    ("path", "body", "headers", "name"),
    [
        ("/v1/rerank", {}, {}, "rerank"),
        ("/v1/rerank", {"top_k": None}, {}, "voyage"),
        ("/v1/rerank", {"truncation": True}, {}, "voyage"),
        ("/v1/rerank", {"raw_scores": False}, {}, "infinity"),
        ("/rerank", {"texts": []}, {}, "tei"),
        ("/rerank", {"property": ""}, {}, "weaviate"),
        ("/rerank", {}, {"x-pinecone-api-version": "1"}, "pinecone"),
        ("/rerank", {}, {}, "rerank"),
        ("/v1/reranking", {"input": []}, {}, "mixedbread"),
        ("/v1/reranking", {"passages": []}, {}, "nim"),
        ("/v1/ranking", {}, {}, "nim"),
        ("/", {}, {}, "tei"),
        ("/v1/rerank", [], {}, "rerank"),
        ("/v1/rerank", None, {}, "rerank"),
    ],
)
def test_keys_and_headers_tell_the_shape(path: str, body: Any, headers: dict[str, str], name: str) -> None:
    assert shape_of(AT_PATH[path], body, headers).name == name


def test_before_its_body_is_known_a_request_has_the_shape_of_its_path() -> None:
    assert default_shape("/v1/rerank/") is RERANK
    assert default_shape("/tei/rerank") is TEI
    assert default_shape("/score") is PAIRS
    assert default_shape("/health") is None


def test_on_every_path_that_several_share_all_but_the_last_are_told_by_something() -> None:
    for path, shapes in AT_PATH.items():
        assert all(one.known_by or one.headers for one in shapes[:-1]), path
        assert len({one.of_pairs for one in shapes}) == 1


KEYS = st.sampled_from(["query", "documents", "texts", "input", "text", "content", "queries"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
)


@given(JSON)
def test_any_body_is_taken_or_refused_in_every_shape(body: Any) -> None:
    for shape in SHAPES:
        try:
            request = wanted(shape, body).request
        except RefusalError as refused:
            assert refused.status == 422
            assert "\n" not in refused.message
        else:
            assert all(isinstance(text, str) for text in request.documents)
            assert isinstance(request, ScoreRequest) is shape.of_pairs
