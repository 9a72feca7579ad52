"""`rerank-eval verify`: are a running service's scores those of its model?

A run config and the address of a service come in. A sample of pairs is scored through POST /v1/rerank and directly with
Transformers in float32; verifications/<id>/ gets verify.json, pairs.parquet and report.html. A difference beyond the
tolerance ends with exit code 1, and with the fault that explains it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.config import load_config
from pipelines.base.console import Console
from pipelines.base.logs import libraries_log_to
from pipelines.direct.scorer import DirectScorer
from pipelines.runs.report import check_form, show
from pipelines.service.verify.case import Measured, measure, notes
from pipelines.service.verify.faults import Case, FoundFault, find_fault
from pipelines.service.verify.sample_pairs import Sample, make_sample
from pipelines.service.verify.setup import Setup, VerifyOrder, make_setup
from pipelines.tracking.finding import FindingFolder
from stages.report.agreement_report import agreement_document

FORMS = ("terminal", "md", "html", "json")


def run_verify(order: VerifyOrder, console: Console) -> int:
    """0 where the scores agree, 1 where they do not.

    Raises ConfigError or DataError for what the user gave, EngineError where no service answers,
    TrackingError once all is on disk.
    """
    check_form(order.form, FORMS)
    setup = make_setup(order)
    folder = FindingFolder.create(order.out or Path("verifications"), Path(setup.model.name).name)
    with libraries_log_to(folder.logs):
        content, rows = verify(setup, console)
    content = {"id": folder.run_id, **content}
    document = agreement_document(content, rows)
    with folder.told_when_full():
        pq.write_table(pa.Table.from_pylist(rows), folder.path / "pairs.parquet")
    folder.leave(document, content, "verify")
    if order.form == "json":
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        show(document, order.form, None, folder.report)
        console.say(f"verified    {folder.path}")
    if order.uri is not None:
        folder.log(order.uri, "verification", logged_params(content), logged_metrics(content), document)
    return 0 if content["agrees"] else 1


def logged_params(content: dict[str, Any]) -> dict[str, Any]:
    """What was verified, for MLflow."""
    fault = content["fault"]
    return {"url": content["url"], "fault": fault["name"] if fault else "none", **content["model"]}


def logged_metrics(content: dict[str, Any]) -> dict[str, float]:
    """How far the scores are apart, for MLflow."""
    told = {f"verify/{name}": value for name, value in (content["agreement"] or {}).items()}
    told |= {"verify/tolerance": content["tolerance"]["value"], "verify/agrees": float(content["agrees"])}
    return {name: float(value) for name, value in told.items() if isinstance(value, int | float)}


def verify(setup: Setup, console: Console) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What verify.json holds, and the rows of pairs.parquet."""
    order, config = setup.order, setup.config
    with console.working("the model is loaded"):
        scorer = DirectScorer(setup.model, config.model)
    whole = load_config(order.config, order.overrides) if config.data else None
    # What differs is shown with its texts: a config that keeps its own out of every folder is verified with others.
    withheld = whole is not None and not whole.output.texts
    data = whole.data if whole and not withheld else None
    sample = make_sample(data, order.pairs, setup.model.max_length, lambda text: len(scorer.tokenizer.tokenize(text)))
    loaded: dict[str, DirectScorer] = {"float32": scorer}

    def load_dtype(dtype: str) -> DirectScorer:
        if dtype not in loaded:
            loaded[dtype] = DirectScorer(setup.model, config.model, dtype)
        return loaded[dtype]

    with console.working(f"{sample.size} pairs are scored by the service, and directly"):
        case, measured = measure(setup, sample, scorer, load_dtype)
    found = case.compare(range(sample.size), case.direct)
    agrees = found is not None and not found.beyond
    explained = None
    if not agrees and found is not None:
        with console.working("the scores differ: what explains them is looked for"):
            explained = find_fault(case)
    content = _content(setup, case, measured, explained)
    if withheld:
        content["notes"].append(
            "Built-in pairs stand for the config's data, as output.texts is false: pairs are shown here"
        )
    return content | {"agrees": agrees, "agreement": asdict(found) if found else None}, _rows(case, measured)


def _content(setup: Setup, case: Case, measured: Measured, explained: FoundFault | None) -> dict[str, Any]:
    model, settings = setup.model, setup.config.model
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "url": setup.target.url,
        "model": {
            "name": model.name,
            "revision": model.revision,
            "family": model.family,
            "digest": model.digest,
            "template": settings.template if model.family == "qwen3-reranker" else None,
            "instruction": settings.instruction,
            "max_length": model.max_length,
        },
        "served": {name: setup.told.get(name) for name in ("id", "dtype", "max_model_len")},
        "dtype": {"expected": setup.expected, "origin": setup.origin},
        "sample": _sample(case.sample, case),
        "tolerance": {"value": case.tolerance, "origin": measured.tolerance_origin},
        "tokens": {"encoder": asdict(measured.encoder), "service": asdict(case.tokens)},
        "direct": {"seconds": measured.seconds, "pairs_per_s": case.sample.size / measured.seconds}
        | {"device": case.scorer.device, "dtype": case.scorer.dtype},
        "notes": list(notes(setup.model, setup.told, setup.expected, case, measured)),
        "fault": asdict(explained.fault) if explained else None,
        "tried": _tried(explained) if explained else [],
    }


def _tried(explained: FoundFault) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "says": explained.words[one.name],
            "mean": one.remains.mean,
            "largest": one.remains.largest,
            "pairs": one.remains.pairs,
            "explains": one.explains,
        }
        for one in explained.tried
    ]


def _sample(sample: Sample, case: Case) -> dict[str, Any]:
    unanswered = [error for error in case.served.errors if error is not None]
    return {
        "origin": sample.origin,
        "queries": len(sample.queries),
        "pairs": sample.size,
        "unanswered": len(unanswered),
        "reason": unanswered[0] if unanswered else None,
    }


def _rows(case: Case, measured: Measured) -> list[dict[str, Any]]:
    doc_ids = [doc_id for query in case.sample.queries for doc_id in query.doc_ids]
    return [
        {
            "query_id": name,
            "doc_id": doc_id,
            "query": pair.query,
            "document": pair.document,
            "tokens": length,
            "truncated": cut,
            "served": one,
            "direct": other,
            "difference": None if one is None or other is None else one - other,
            "error": error,
        }
        for name, doc_id, pair, length, cut, one, other, error in zip(
            case.names,
            doc_ids,
            case.pairs,
            case.lengths,
            measured.truncated,
            case.served.scores,
            case.direct,
            case.served.errors,
            strict=True,
        )
    ]
