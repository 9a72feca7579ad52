"""A run folder -> what MLflow is to hold of it: params, tags, a description, artifacts.

Its numbers are made in pipelines/tracking/values.py. Both know MLflow's rules for names, and do not import it.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.base.flatten import flatten
from pipelines.base.redaction import redacted, redacted_text
from pipelines.runs.folder import RunFolder, too_many_failed
from pipelines.runs.outgoing import outgoing, secrets_of
from pipelines.runs.read import RunContent, main_inference, main_test, verdict
from stages.core.judges import mark_of
from stages.core.metrics import Metrics, QualityPart
from stages.core.words import counted, is_significant, key_name, written_name

GATE_TAG = "gate"
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 5000
SHORT_INSTRUCTION = 100
_FORBIDDEN = re.compile(r"[^\w.\- :/]")


def run_params(content: RunContent) -> dict[str, str]:
    """The flattened config, versions and hardware, as MLflow takes them: strings of at most 6,000 characters."""
    environment = content.redacted_environment
    sections = content.redacted_config | {"version": environment["packages"], "hardware": environment["hardware"]}
    if identity := content.metrics.get("identity"):
        sections["identity"] = dict(identity)
    return legal_params(dict(flatten(sections, lists=True)))


def run_tags(content: RunContent, child: str | None = None) -> dict[str, str]:
    """What runs are filtered by; those that do not apply are left out. `child` is one of several first stages."""
    metrics, config, model = content.metrics, content.redacted_config, content.metrics["model"]
    data, prompt = config.get("data", {}), config.get("model", {})
    instruction, stages = prompt.get("instruction"), metrics.get("stages") or []
    tags = {
        "model": model["name"],
        "family": model["family"],
        "weights_digest": model["weights_digest"],
        "revision": model["revision"],
        "dtype": model["dtype"],
        "max_length": model["max_length"],
        "identity": identity["digest"] if (identity := metrics.get("identity")) else None,
        "template": prompt.get("template") if model["family"] == "qwen3-reranker" else None,
        "instruction": instruction[:SHORT_INSTRUCTION] if instruction else None if stages else "default",
        "instruction_digest": hashlib.sha256(instruction.encode()).hexdigest()[:8] if instruction else None,
        "dataset": content.environment["dataset"],
        "depth": data.get("depth") or "all",
        "stage_depths": ", ".join(str(one["depth"] or "all") for one in stages) or None,
        "first_stage": child or (Path(data["run"]).stem if data.get("run") else _made(metrics)),
        "git_commit": content.environment["git_commit"] or "none",
        "started": metrics.get("started"),
        "config_digest": metrics["config_digest"],
        "candidates_digest": metrics["candidates_digest"],
        "lists_digest": metrics.get("lists_digest"),
        "judgements": judgements["kind"] if (judgements := metrics.get("judgements")) else None,
        "judged_by": judgements.get("by", "people") if judgements and judgements["kind"] == "qrels" else None,
        "judge": judgements.get("judge") if judgements else None,
        "outcome": _outcome(metrics, config.get("rerank", {}).get("max_failed_share", 0.0)),
        "verdict": _verdict(content),
        "useless": harm["useless"] if (harm := metrics.get("harm")) else None,
        **gate_tags(content.folder),
    }
    return legal_tags({name: str(value) for name, value in tags.items() if value is not None})


def _made(metrics: Metrics) -> str | None:
    """What the first stages are called that were made here."""
    return ", ".join(one["words"] for one in metrics.get("first_stage_made", {}).values()) or None


def gate_tags(folder: RunFolder) -> dict[str, str]:
    """What the run's gate said, by which the last run that passed is found; nothing where none was asked."""
    if not folder.gate.is_file():
        return {}
    verdict = json.loads(folder.gate.read_text(encoding="utf-8"))
    told = {GATE_TAG: verdict["outcome"], "gate.sentence": verdict["sentence"], "gate.against": verdict["against"]}
    return {name: value for name, value in told.items() if value is not None}


def run_note(content: RunContent, child: str | None = None) -> str:
    """The run's description in Markdown: what was compared, the verdict, and the change of each metric."""
    metrics, tags = content.metrics, run_tags(content, child)
    depth = "all candidates" if tags["depth"] == "all" else f"the top {tags['depth']}"
    queries = counted(metrics["coverage"]["queries"], "query", "queries")
    lines = [
        f"**{tags['model']}** reranked {depth} of {queries} of **{tags['dataset']}**"
        + (f", retrieved by {tags['first_stage']}." if "first_stage" in tags else ".")
    ]
    if told := verdict(content.analysis):
        lines.append(told)
    main = next(iter(content.analysis.get("metrics") or ()), None)
    lines += [words for name, words in (content.analysis.get("depth") or {}).get("words", {}).items() if name == main]
    if mark := mark_of(metrics):
        lines.append(
            f"All values here are {mark}: no p covers the judge's own error, nor does an interval but the verdict's."
        )
    return redacted_text("\n\n".join([*lines, *_quality_table(metrics["quality"])]), content.secrets)[:LONGEST_TAG]


def artifacts(folder: RunFolder) -> list[Path]:
    """What is copied to MLflow: everything a reader wants, what he looks at first; not the texts of the candidates."""
    numbers = (folder.metrics, folder.analysis, folder.report, folder.config, folder.environment)
    rows = (folder.per_query, folder.judgements, folder.timeline, folder.system, folder.failures, folder.figures)
    return [path for path in (*numbers, *rows, folder.trec_run, folder.rankings) if path.exists()]


def artifact_files(folder: RunFolder, scratch: Path) -> Iterator[Path]:
    """The artifacts as they are to be copied: copies in `scratch` of those that held a secret."""
    secrets = secrets_of(folder)
    for path in artifacts(folder):
        yield outgoing(path, secrets, scratch / path.name)


def legal_name(name: str) -> str:
    """The name as MLflow takes it: `@` is `_at_`, other forbidden characters `_`; no path that leads elsewhere."""
    name = _FORBIDDEN.sub("_", key_name(name))[:LONGEST_NAME]
    if posixpath.normpath(name) != name or name.startswith((".", "/")):
        name = "_" + name.replace("/", "_")[: LONGEST_NAME - 1]
    return name


def legal_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as MLflow takes them: strings of at most 6,000 characters, without secrets."""
    return {legal_name(name): str(value)[:LONGEST_PARAM] for name, value in redacted(params).items()}


def legal_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as MLflow takes them, without secrets."""
    return {legal_name(name): redacted_text(str(value))[:LONGEST_TAG] for name, value in redacted(tags).items()}


def _outcome(metrics: Metrics, max_failed_share: float) -> str:
    """`complete`, or how many pairs failed: `some_failed`, or `too_many_failed`, which is exit code 3."""
    if not metrics["coverage"]["failed_pairs"]:
        return "complete"
    return "too_many_failed" if too_many_failed(metrics, max_failed_share) else "some_failed"


def _verdict(content: RunContent) -> str | None:
    """`better`, `worse` or `no_difference` by the main metric and its corrected p; None where nothing was tested. Where
    a model judged, by the interval that people's grades give, and `not_told` without one.
    """
    if (inferred := main_inference(content.analysis)) is not None:
        if (ends := inferred["change"]["interval"]) is None:
            return "not_told"
        return "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "no_difference"
    tested = main_test(content.analysis)
    if tested is None or tested.get("corrected_p") is None:
        return None
    if mark_of(content.metrics):
        return "not_told"
    if not is_significant(tested) or not tested["difference"]:
        return "no_difference"
    return "better" if tested["difference"] > 0 else "worse"


def _quality_table(quality: QualityPart) -> list[str]:
    before, after, change = quality["first_stage"] or {}, quality["reranked"] or {}, quality["delta"] or {}
    if not after:
        return ["Without judgements: scores and cost, no quality."]
    cells = (
        (written_name(name), _number(before.get(name)), _number(value), _number(change.get(name), "+"))
        for name, value in after.items()
    )
    rows = [f"| {' | '.join(row)} |" for row in cells]
    return ["\n".join(["| | first stage | reranked | change |", "|---|---|---|---|", *rows])]


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"
