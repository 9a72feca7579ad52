"""The report of a run: the verdict first, every number where a reader looks for it, and what does not apply said so."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stages.analysis.depth import NOT_OF_LISTS
from stages.report.document import Block, Details, Document, Figure, Section, Table, Text, cell, figures
from stages.report.html import to_html
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown
from stages.report.run.report import RunNumbers, run_document
from stages.report.terminal import print_document
from tests.examples import examples
from tests.pipelines.finished_runs import METRICS as RUN_METRICS

Json = dict[str, Any]


def outcome(difference: float = 0.1, corrected_p: float = 0.001, **more: Any) -> Json:
    told = {
        "n": 4,
        "mean_baseline": 0.5,
        "mean_system": 0.5 + difference,
        "difference": difference,
        "interval": [difference - 0.05, difference + 0.05],
        "confidence": 0.95,
        "wins": 3,
        "ties": 0,
        "losses": 1,
        "minimum_detectable": 0.07,
        "corrected_p": corrected_p,
        "words": "ndcg@10 changes",
    }
    return told | more


METRICS: Json = RUN_METRICS | {
    "run_id": "20261124-101757-small-9554",
    "config_digest": "dd9e5f34",
    "candidates_digest": "819104477a984764890b",
    "model": {
        "name": "models/tiny",
        "revision": None,
        "family": "qwen3",
        "weights_digest": "c0d4",
        "dtype": "bfloat16",
    },
    "quality": {"first_stage": {"ndcg_at_10": 0.5}, "reranked": {"ndcg_at_10": 0.6}, "delta": {"ndcg_at_10": 0.1}},
    "scores": {"tied_share": 0.0, "canaries_passed": True},
}
DOCUMENT: Json = {
    "doc_id": "d1",
    "grade": 2,
    "old_rank": 38,
    "new_rank": 1,
    "score": 0.00004,
    "excerpt": "How it is done",
}
FAILED: Json = {"doc_id": "d2", "grade": None, "old_rank": 2, "new_rank": None, "score": None, "excerpt": "Nothing"}


def mover(name: str, documents: list[Json]) -> Json:
    return {"query_id": name, "query": f"what is {name}", "first_stage": 0.25, "reranked": 1.0, "documents": documents}


def stratum(group: str, difference: float, **more: Any) -> Json:
    told = {
        "column": "query length (words)",
        "group": group,
        "queries": 9,
        "first_stage": 0.5,
        "reranked": 0.5 + difference,
    }
    return told | {"difference": difference, "sd": 0.03, "wins": 5, "ties": 2, "losses": 2} | more


ANALYSIS: Json = {
    "metrics": ["ndcg@10"],
    "significance": {"ndcg@10": outcome()},
    "depth": {
        "points": [
            {
                "depth": 1,
                "pairs": 4,
                "means": {"ndcg@10": 0.5},
                "gains": {"ndcg@10": 0.0},
                "corrected_p": {"ndcg@10": 1.0},
            },
            {
                "depth": 10,
                "pairs": 40,
                "means": {"ndcg@10": 0.6},
                "gains": {"ndcg@10": 0.1},
                "corrected_p": {"ndcg@10": 0.002},
            },
        ],
        "best": {"ndcg@10": 10},
        "enough": {"ndcg@10": 10},
        "words": {"ndcg@10": "Depth 10 is best here."},
    },
    "oracle": {
        "means": {"ndcg@10": 0.9},
        "headroom": {"ndcg@10": 0.4},
        "gained": {"ndcg@10": 0.25},
        "recall_ceiling": 0.925,
    },
    "fusion": {
        "reciprocal_rank": {"ndcg@10": 0.55},
        "interpolation": {
            "means": {"ndcg@10": 0.62},
            "weights": [0.7, 0.6, 0.7],
            "chosen_by": "ndcg@10",
            "sweep": [{"weight": weight, "means": {"ndcg@10": 0.5 + weight / 10}} for weight in (0.0, 0.6, 0.7, 1.0)],
        },
    },
    "strata": [stratum("4-9", 0.2), stratum("10-29", 0.0)],
    "movers": {"won": [mover(f"w{place}", [DOCUMENT, FAILED]) for place in range(5)], "lost": []},
    "calibration": {
        "bins": [{"low": 0.0, "high": 0.1, "pairs": 40, "mean_probability": 0.05, "relevant_share": 0.1}],
        "ece": 0.05,
        "pairs": 40,
        "relevant": 4,
    },
    "ties": {"tied_neighbours": 0.0, "all_equal_lists": 0.0, "saturated": 0.0},
    "judged": {"first_stage": {"judged@10": 0.6}, "reranked": {"judged@10": 0.58}},
    "position": {
        "queries": 2,
        "pairs": 20,
        "failed": 0,
        "largest": 0.00004,
        "largest_logit": None,
        "where": ["q1", "d1"],
    },
    "cost": {
        "pairs_per_query": 10.0,
        "tokens_per_query": 200.0,
        "engine_s_per_query": 0.625,
        "gain_per_engine_s": {"ndcg@10": 0.16},
        "money": 0.002,
        "money_per_1000_queries": 0.52,
        "per_hour": 3.0,
    },
    "failures": [{"reason": "no text", "rows": 3}],
}
TIMELINE = [
    {"elapsed_s": float(second), "prompt_tokens_per_s": 320.0, "queue_p95_ms": 5.0, "waiting": second, "running": 0}
    for second in range(3)
]
PER_QUERY: dict[str, list[Any]] = {"query_id": ["a", "b", "c", "d"], "delta/ndcg_at_10": [0.2, 0.2, 0.2, -0.2]}
ENVIRONMENT: Json = {
    "dataset": "small",
    "git_commit": "abc123",
    "packages": {"ray": "2.60.0"},
    "hardware": {"cores": 2},
}
NOT_JUDGED = ("ties", "position", "cost", "failures")


IN_PASSAGES = {"pairs_in_passages": 5, "passages": 17}
LONG_DOCUMENTS: Json = {"queries": 3, "documents": 5, "passages": 17, "better": 2}


def report(analysis: Json = ANALYSIS, metrics: Json | None = None, **more: Any) -> Document:
    """`metrics` replaces parts of METRICS, section by section."""
    config = {"data": {"run": "bm25.trec", "depth": 10}}
    told = {
        name: METRICS.get(name, {}) | part if isinstance(part, dict) else part for name, part in (metrics or {}).items()
    }
    parts: Json = {"timeline": TIMELINE, "per_query": PER_QUERY, "environment": ENVIRONMENT, "config": config} | more
    return run_document(
        RunNumbers(metrics=METRICS | told, analysis=analysis, config_text="data:\n  depth: 10\n", **parts)
    )


def analysed(**changed: Any) -> Json:
    return ANALYSIS | changed


def section(document: Document, title: str) -> Section:
    return next(one for one in document.sections if one.title.startswith(title))


def rows(blocks: Any) -> list[list[str]]:
    return [[cell(one).text for one in row] for block in blocks if isinstance(block, Table) for row in block.rows]


def texts(blocks: Any) -> list[tuple[str, str]]:
    return [(block.text, block.tone) for block in blocks if isinstance(block, Text)]


def all_forms(document: Document) -> dict[str, str]:
    terminal = io.StringIO()
    print_document(document, Console(file=terminal, width=120))
    html, markdown, latex = to_html(document), to_markdown(document), to_latex(document)
    return {"html": html, "markdown": markdown, "latex": latex, "terminal": terminal.getvalue()}


def test_sections_stand_in_the_order_in_which_a_reader_asks() -> None:
    document = report()
    assert document.title == "small reranked by tiny"
    assert [one.title for one in document.sections] == [
        "Did it help, and how sure is that?",
        "Where does it help, and where not?",
        "How deep, and how much more could there be?",
        "At what cost?",
        "How did the system behave?",
        "Can the scores be trusted?",
        "What was set aside?",
        "With what settings?",
    ]
    drawn = ["differences", "strata", "depth", "fusion", "timeline", "calibration"]
    assert [figure.name for figure in figures(document)] == drawn


@pytest.mark.parametrize(
    ("told", "verdict", "tone"),
    [
        (outcome(0.1, 0.001), "Reading whole documents helps: ndcg@10 changes.", "good"),
        (outcome(-0.1, 0.001), "Reading whole documents does harm: ndcg@10 changes.", "bad"),
        (outcome(0.1, 0.0501), "Not proven either way: ndcg@10 changes.", "unsure"),
        (outcome(0.0, 1.0, wins=0, ties=4, losses=0), "Nothing: ndcg@10 changes.", "unsure"),
    ],
)
def test_what_cutting_would_have_cost_is_told_where_documents_were_read_in_passages(
    told: Json, verdict: str, tone: str
) -> None:
    document = report(
        analysed(long_documents=LONG_DOCUMENTS | {"significance": {"ndcg@10": told}}), {"coverage": IN_PASSAGES}
    )
    found = section(document, "What would cutting")
    first, second = texts(found.blocks)
    assert first == (verdict, tone)
    assert second[0].startswith("Over 3 judged queries with documents that do not fit: 5 documents read in 17 passages")
    assert rows(found.blocks)[0][:4] == [
        "ndcg@10",
        "0.5000",
        f"{0.5 + told['difference']:.4f}",
        f"{told['difference']:+.4f}",
    ]
    assert ["documents read in passages", "5 of 40, in 17 passages"] in rows(section(document, "Can the scores").blocks)
    assert all(verdict.split(":", maxsplit=1)[0] in form for form in all_forms(document).values())


def test_what_could_not_be_scored_and_an_order_without_scores_stand_in_the_lead() -> None:
    gaps = {"coverage": {"unasked_pairs": 10, "unanswered": 1}}
    told = texts(report(analysed(order_only_queries=4), gaps).lead)[-1][0]
    assert "40 pairs: the top 10 of each of 4 queries, less 10 candidates that nothing could score" in told
    assert "1 went unanswered: a list that nothing could score stays as it was given" in told
    assert "First stage: bm25.trec, an order without scores." in told
    earlier = texts(report(metrics={"coverage": {"unanswered": 1}}).lead)[-1][0]
    assert "1 went unanswered: they count as 0" in earlier


def test_where_no_such_query_is_judged_that_is_said_and_where_all_documents_fit_nothing_is() -> None:
    told = texts(section(report(metrics={"coverage": IN_PASSAGES}), "What would cutting").blocks)
    assert told == [("No query with a document that was read in passages is judged, so that cannot be said.", "plain")]
    none = report(metrics={"coverage": {"pairs_in_passages": 0, "passages": 0}})
    assert not any(one.title.startswith("What would") for one in none.sections)


@pytest.mark.parametrize(
    ("told", "verdict", "tone"),
    [
        (outcome(0.1, 0.001), "Reranking helps: ndcg@10 changes.", "good"),
        (outcome(-0.1, 0.001), "Reranking does harm: ndcg@10 changes.", "bad"),
        (outcome(0.1, 0.0501), "Not proven either way: ndcg@10 changes.", "unsure"),
        (outcome(0.0, 1.0, wins=0, ties=4, losses=0), "Reranking changed nothing: ndcg@10 changes.", "unsure"),
    ],
)
def test_the_verdict_says_better_or_worse_only_where_that_is_proven(told: Json, verdict: str, tone: str) -> None:
    first, second = report(analysed(significance={"ndcg@10": told})).lead
    assert (first.text, first.tone) == (verdict, tone)
    assert second.text.startswith(
        "40 pairs: the top 10 of each of 4 queries, of which 4 are judged. First stage: bm25.trec."
    )


def test_the_table_of_quality_has_what_is_needed_to_judge_a_change() -> None:
    both = {"ndcg@10": outcome(), "mrr": outcome(0.01, 0.4)}
    (table,) = [one for one in report(analysed(significance=both)).sections[0].blocks if isinstance(one, Table)]
    assert [column.heading for column in table.columns] == [
        "metric",
        "first stage",
        "reranked",
        "change",
        "95 % interval",
        "corrected p",
        "gained / same / lost",
        "detectable from",
    ]
    assert rows([table]) == [
        ["ndcg@10", "0.5000", "0.6000", "+0.1000", "+0.0500 to +0.1500", "0.001", "3 / 0 / 1", ""],
        ["mrr", "0.5000", "0.5100", "+0.0100", "-0.0400 to +0.0600", "0.400", "3 / 0 / 1", "± 0.070"],
    ]
    assert [cell(row[3]).tone for row in table.rows] == ["good", "plain"]


def test_where_all_is_proven_there_is_no_smallest_change_to_tell() -> None:
    (table,) = [one for one in report().sections[0].blocks if isinstance(one, Table)]
    assert len(table.columns) == 7


def test_what_too_few_queries_cannot_tell_is_a_dash_or_said() -> None:
    told = outcome(0.1, 1.0, interval=None, minimum_detectable=None)
    (row,) = rows(report(analysed(significance={"ndcg@10": told})).sections[0].blocks)
    assert (row[4], row[7]) == ("–", "too few queries")


def test_groups_of_queries_are_drawn_with_the_intervals_that_the_analysis_kept_and_at_its_confidence() -> None:
    told = [stratum("4-9", 0.2, interval=[0.1, 0.25]), stratum("10-29", 0.0, interval=None)]
    found = report(analysed(strata=told, significance={"ndcg@10": outcome(confidence=0.995)}))
    (figure,) = [one for one in section(found, "Where").blocks if isinstance(one, Figure)]
    assert "with its 99.5 % interval, and the number of queries" in figure.caption
    (axes,) = figure.draw().axes
    drawn = [list(line.get_xdata()) for line in axes.get_lines() if len(line.get_xdata()) == 2]
    assert [0.1, 0.25] in drawn
    (earlier,) = [one for one in section(report(), "Where").blocks if isinstance(one, Figure)]
    assert earlier.caption.startswith("The change in each group of queries, and the number of queries.")


def test_movers_show_the_documents_that_moved_and_more_of_them_one_fold_deeper() -> None:
    blocks = section(report(), "Where").blocks
    folded = [block for block in blocks if isinstance(block, Details)]
    assert [one.title for one in folded] == [
        "The same as a table",
        *(f"+0.7500  what is w{place}" for place in range(3)),
        "2 more",
    ]
    assert [block.title for block in folded[-1].blocks if isinstance(block, Details)] == [
        "+0.7500  what is w3",
        "+0.7500  what is w4",
    ]
    assert rows(folded[1].blocks) == [
        ["38 → 1", "2", "4e-05", "d1: How it is done"],
        ["2 → failed", "not judged", "–", "d2: Nothing"],
    ]


@pytest.mark.parametrize(("p", "tone"), [(0.002, "good"), (0.3, "unsure")])
def test_the_best_depth_is_good_only_where_its_gain_is_proven(p: float, tone: str) -> None:
    points = [ANALYSIS["depth"]["points"][0], ANALYSIS["depth"]["points"][1] | {"corrected_p": {"ndcg@10": p}}]
    blocks = section(report(analysed(depth=ANALYSIS["depth"] | {"points": points})), "How deep").blocks
    assert texts(blocks)[0] == ("Depth 10 is best here.", tone)
    table = next(block for block in blocks if isinstance(block, Table))
    assert [cell(row[0]).tone for row in table.rows] == ["plain", tone]
    assert rows([table])[1] == ["10", "40", "0.6000", "+0.1000", f"{p:.3f}"]


@pytest.mark.parametrize(
    ("gained", "words"),
    [
        (0.25, "of that room the reranker took 25.0%."),
        (-0.034, "the reranker took none of that room, and lost 3.4% of as much."),
        (None, "there was nothing to gain."),
    ],
)
def test_what_the_reranker_took_of_the_room_is_said_in_words(gained: float | None, words: str) -> None:
    oracle = ANALYSIS["oracle"] | {"gained": {"ndcg@10": gained}}
    told = " ".join(text for text, _ in texts(section(report(analysed(oracle=oracle)), "How deep").blocks))
    assert f"ndcg@10 0.9000, 0.4000 above the first stage; {words}" in told
    assert "92.5% of the relevant documents are among the candidates" in told


def test_mixtures_are_shown_with_the_weights_that_were_chosen() -> None:
    blocks = section(report(), "How deep").blocks
    assert rows(blocks)[-2:] == [["both, by reciprocal rank", "0.5500"], ["both, scores weighted", "0.6200"]]
    fusion = next(block for block in blocks if isinstance(block, Figure) and block.name == "fusion")
    assert "chose, by ndcg@10: 0.6, 0.7." in fusion.caption


def test_costs_are_told_per_query_and_in_money() -> None:
    assert rows(section(report(), "At what cost").blocks) == [
        ["pairs per query", "10.0"],
        ["prompt tokens per query", "200"],
        ["engine seconds per query", "0.625"],
        ["ndcg@10 gained per engine second", "+0.1600"],
        ["this run, at 3 an hour", "0.002"],
        ["1,000 queries", "0.520"],
    ]


def test_a_run_without_a_price_says_how_to_give_one() -> None:
    cost = ANALYSIS["cost"] | {"money": None, "money_per_1000_queries": None, "per_hour": None}
    blocks = section(report(analysed(cost=cost)), "At what cost").blocks
    assert "Set cost.per_hour" in texts(blocks)[0][0]
    assert len(rows(blocks)) == 4


def test_one_first_stage_of_several_sends_to_the_run_that_knows_the_cost() -> None:
    nothing = {"wall_s": None, "scored_pairs": None, "pairs_per_s": None, "prompt_tokens_per_s": None}
    changed = {"part_of": "the-job", "throughput": nothing, "coverage": {"set_aside_rows": None, "failed_pairs": 2}}
    document = report(analysed(cost=None, position=None), changed)
    assert "run the-job" in texts(section(document, "At what cost").blocks)[0][0]
    assert not [one for one in document.sections if one.title.startswith("How did the system")]
    assert texts(section(document, "What was set aside").blocks)[0][0].startswith("2 pairs failed.")


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ({}, "at most 4e-05 over 20 pairs"),
        ({"largest": 0.0}, "none over 20 pairs"),
        ({"failed": 3, "pairs": 17, "largest": 0.01}, "at most 0.010 over 17 pairs, 3 failed"),
        ({"failed": 20, "pairs": 0, "largest": 0.0}, "not known: no pair was scored twice, 20 failed"),
        (
            {"listwise": True, "largest": 0.2},
            "at most 0.200 over 20 pairs: the model reads a list as a whole, its order matters by design",
        ),
    ],
)
def test_the_effect_of_a_documents_place_is_not_told_as_0_where_it_is_small(position: Json, told: str) -> None:
    blocks = section(report(analysed(position=ANALYSIS["position"] | position)), "Can the scores").blocks
    assert ["change of a score when candidates are shuffled", told] in rows(blocks)


@pytest.mark.parametrize(
    ("scores", "scored", "told"),
    [
        ({"canaries_passed": True}, 40, "yes"),
        ({"canaries_passed": False}, 40, "no"),
        ({"canaries_passed": True, "canaries_asked": "strict"}, 40, "yes"),
        (
            {"canaries_passed": True, "canaries_asked": "finite"},
            40,
            "not asked: model.canaries is finite, so any numbers do",
        ),
        ({"canaries_passed": None}, 0, "not asked: no engine was needed"),
        ({"canaries_passed": None}, None, "not recorded"),
        ({"canaries_passed": None}, 40, "not recorded"),
    ],
)
def test_built_in_pairs_that_were_not_asked_are_not_told_as_passed(scores: Json, scored: int | None, told: str) -> None:
    document = report(metrics={"scores": scores, "throughput": {"scored_pairs": scored}})
    assert rows(section(document, "Can the scores").blocks)[0] == ["built-in pairs scored sensibly", told]


@pytest.mark.parametrize(
    ("analysis", "metrics", "words"),
    [
        ({"ties": {"tied_neighbours": 0.4, "all_equal_lists": 0.0, "saturated": None}}, {}, "40.0% of neighbours"),
        ({"ties": {"tied_neighbours": 0.0, "all_equal_lists": 0.0, "saturated": 0.5}}, {}, "rank by the logit"),
        ({"position": ANALYSIS["position"] | {"largest": 0.2}}, {}, "changed by 0.200 when the candidates"),
        ({"judged": {"first_stage": {"judged@10": 0.6}, "reranked": {"judged@10": 0.3}}}, {}, "30.0% are judged"),
        ({}, {"coverage": {"truncated_pairs": 30}}, "75.0% of the documents were cut"),
        ({}, {"coverage": {"truncated_pairs": 30}}, "A run with model.long_documents passages reads them whole"),
        ({}, {"coverage": {"truncated_pairs": 30, **IN_PASSAGES}}, "cut to fit model.max_length in model.max_passages"),
        ({}, {"coverage": {"failed_pairs": 2}}, "2 pairs have no score; their documents are missing from the lists"),
        ({}, {"coverage": {"failed_pairs": 2, "unasked_pairs": 0}}, "their documents stand behind the others"),
        ({}, {"coverage": {"unasked_pairs": 10}}, "10 of 50 candidates could not be scored"),
        ({}, {"tokens": {"generation": 7}}, "generated 7 tokens"),
    ],
)
def test_what_speaks_against_the_scores_is_said(analysis: Json, metrics: Json, words: str) -> None:
    assert texts(section(report(), "Can the scores").blocks) == [("Nothing here speaks against the scores.", "good")]
    ((told, tone),) = texts(section(report(analysed(**analysis), metrics), "Can the scores").blocks)
    assert words in told
    assert tone == "bad"


def test_an_order_that_matters_by_design_does_not_speak_against_the_scores() -> None:
    position = ANALYSIS["position"] | {"largest": 0.2, "listwise": True}
    (told,) = texts(section(report(analysed(position=position)), "Can the scores").blocks)
    assert told == ("Nothing here speaks against the scores.", "good")


def test_where_depth_curves_do_not_apply_one_line_says_so_in_their_place() -> None:
    depth = {"points": [], "best": {}, "enough": {}, "words": {"ndcg@10": NOT_OF_LISTS}}
    blocks = section(report(analysed(depth=depth)), "How deep").blocks
    assert texts(blocks)[0][0] == NOT_OF_LISTS
    assert not [one for one in blocks if isinstance(one, Figure) and one.name == "depth"]


def test_what_the_rates_of_the_run_before_foretold_is_told_where_there_was_one() -> None:
    row = ["scoring, by the rates of the run before", "25.0 s (-8% in truth)"]
    forecast = {"run": "earlier", "scoring_s": 25.0, "error": -0.08}
    assert row in rows(section(report(metrics={"forecast": forecast}), "How did the system").blocks)
    none = {"run": None, "scoring_s": None, "error": None}
    for document in (report(), report(metrics={"forecast": none})):
        assert row[0] not in [told[0] for told in rows(section(document, "How did the system").blocks)]


def test_what_was_set_aside_is_told_with_reasons_and_counts() -> None:
    blocks = section(report(metrics={"coverage": {"set_aside_rows": 3}}), "What was set aside").blocks
    assert texts(blocks)[0][0].startswith("3 rows of the data were set aside, 0 pairs failed.")
    assert rows(blocks) == [["no text", "3"]]
    assert texts(section(report(analysed(failures=[])), "What was set aside").blocks)[0][0].startswith("Nothing")


def test_without_judgements_the_report_says_so_and_keeps_what_applies() -> None:
    nothing = {"first_stage": None, "reranked": None, "delta": None}
    document = report({name: ANALYSIS[name] for name in NOT_JUDGED}, {"quality": nothing}, per_query={})
    assert document.lead[0].text.startswith("No query is judged")
    assert [one.title.split()[0] for one in document.sections] == ["Did", "At", "How", "Can", "What", "With"]
    assert [figure.name for figure in figures(document)] == ["timeline"]


def test_several_first_stages_together_have_means_and_no_verdict() -> None:
    quality = {"first_stage": None, "delta": None}
    document = report({name: ANALYSIS[name] for name in NOT_JUDGED}, {"quality": quality}, per_query={})
    assert document.lead[0].text.startswith("Several first stages were reranked together.")
    assert rows(document.sections[0].blocks) == [["ndcg@10", "0.6000"]]


def test_without_an_analysis_the_means_are_shown_and_nothing_is_claimed() -> None:
    document = report({})
    assert document.lead[0].text.startswith("The run has no analysis, so how sure the change is cannot be said.")
    assert document.lead[0].tone == "unsure"
    assert rows(document.sections[0].blocks) == [["ndcg@10", "0.5000", "0.6000"]]


@examples(25)
@given(st.sets(st.sampled_from(sorted(ANALYSIS))), st.sets(st.sampled_from(sorted(ANALYSIS))))
def test_any_part_of_the_analysis_may_be_missing_or_null(missing: set[str], null: set[str]) -> None:
    analysis = {name: None if name in null else value for name, value in ANALYSIS.items() if name not in missing}
    forms = all_forms(report(analysis, timeline=[], per_query={}, environment={}))
    for form, text in forms.items():
        assert METRICS["run_id"] in text, form
        assert "None" not in text, form
        assert "nan" not in text.replace("–", "").split(), form


def test_every_form_says_the_verdict_the_change_and_the_setting() -> None:
    for form, text in all_forms(report()).items():
        for told in ("Reranking helps", "+0.1000", "Depth 10 is best here.", "abc123"):
            assert told in text, (form, told)


def _blocks(blocks: Any) -> list[Block]:
    return [
        one for block in blocks for one in ([block, *_blocks(block.blocks)] if isinstance(block, Details) else [block])
    ]


def test_every_row_of_every_table_has_a_cell_for_each_column() -> None:
    tables = [one for part in report().sections for one in _blocks(part.blocks) if isinstance(one, Table)]
    assert len(tables) > 8
    assert [(table, row) for table in tables for row in table.rows if len(row) != len(table.columns)] == []


def test_where_a_model_judged_the_fusion_is_not_called_beaten_but_by_its_judgement() -> None:
    words = "ndcg@10 rises; by model judgement (tiny): no interval covers the judge's own error"
    told = ANALYSIS["significance"]["ndcg@10"] | {"words": words, "corrected_p": 0.001}
    several = {
        "alone": {"bm25": {"ndcg_at_10": 0.4}, "dense": {"ndcg_at_10": 0.5}},
        "chosen_by": "ndcg@10",
        "chosen": [],
        "reciprocal_rank": {},
        "significance": {"ndcg@10": told},
    }
    analysis = {name: one for name, one in ANALYSIS.items() if name != "significance"} | {"first_stages": several}
    by_model = {"judgements": {"kind": "qrels", "by": "model", "judge": "tiny"}}
    (text, tone), *_ = texts(report(analysis, by_model).lead)
    assert text.startswith("Reranking beats the fusion of the first stages, by model judgement: ")
    assert tone == "unsure"
    (_, of_people), *_ = texts(report(analysis).lead)
    assert of_people == "good"
