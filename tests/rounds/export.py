"""A full round: a BEIR folder -> a run -> `rerank-eval export` -> the next tool's own reader, and back.

`python -m tests.rounds.export [--model overlap]` makes an environment for each tool by pip, with the versions below, in
a temporary folder (or in --environments, where they stay), and ends with 1 where a reader gets anything but what the
run holds. Outside the suite: it downloads packages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines import open_run
from pipelines.runs.finished import FinishedRun
from serve_app.settings import EMBEDDED_MODEL

ROOT = Path(__file__).parents[2]
# ragas imports a module that later versions of langchain-community lack. rank_llm's reader needs dacite alone, and runs
# in a Python older than its package asks for.
TOOLS = {
    "ragas": ["ragas==0.4.3", "langchain-community==0.4.1"],
    "rank_llm": ["--no-deps", "--ignore-requires-python", "rank_llm==0.26.0", "dacite==1.9.2"],
}
RAGAS = """
import json, sys
from datasets import load_dataset
from ragas import EvaluationDataset
by_ragas = EvaluationDataset.from_jsonl(sys.argv[1])
by_datasets = EvaluationDataset.from_hf_dataset(load_dataset("json", data_files=sys.argv[1], split="train"))
by_list = EvaluationDataset.from_list([json.loads(line) for line in open(sys.argv[1], encoding="utf-8")])
assert by_ragas.to_list() == by_datasets.to_list() == by_list.to_list()
assert len(by_ragas.to_pandas()) == len(by_ragas)
print(json.dumps([one.model_dump(exclude_none=True) for one in by_ragas]))
"""
RANK_LLM = """
import json, sys
from dataclasses import asdict
from rank_llm.data import DataWriter, Result, read_requests_from_file
requests = read_requests_from_file(sys.argv[1])
# What its rerankers leave: the list in another order, each place with the score that it had.
results = []
for one in requests:
    places = [candidate.score for candidate in one.candidates]
    turned = one.candidates[::-1]
    for candidate, score in zip(turned, places):
        candidate.score = score
    results.append(Result(one.query, turned))
writer = DataWriter(results)
writer.write_in_jsonl_format(sys.argv[2] + ".jsonl")
writer.write_in_json_format(sys.argv[2] + ".json")
print(json.dumps([asdict(one) for one in read_requests_from_file(sys.argv[1])]))
"""


def beir_folder(folder: Path) -> dict[str, Any]:
    """A small collection, with ids that are numbers in part and the ground truth beside the queries."""
    texts = {
        "007": "Clouds cool, and water falls as rain.",
        "7": "Snow is frozen water.\nIt falls when it is cold.",
        "d#1": "雨是云中的水。",
        "d2": 'A "desert" sees little rain\tin a year.',
        "d3": "Bread is baked in an oven.",
    }
    queries = {"01": ("why does rain fall?", "Water in clouds cools."), "1": ("what is snow?", "Frozen water.")}
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in texts.items()])
    rows = [{"_id": name, "text": text, "metadata": {"answer": told}} for name, (text, told) in queries.items()]
    write_lines(folder / "queries.jsonl", rows)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n01\t007\t1\n1\t7\t1\n")
    run = [f"{query} Q0 {doc} {rank} {9 - rank} t" for query in queries for rank, doc in enumerate(reversed(texts), 1)]
    (folder / "run.trec").write_text("\n".join(run) + "\n")
    return {"format": "beir", "path": str(folder), "run": str(folder / "run.trec")}


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def done_run(work: Path, name: str, data: dict[str, Any], model: str) -> FinishedRun:
    """The job, by the command line."""
    config = {
        "data": data,
        "model": {"name": model},
        "engine": {"compile": False},
        "tracking": {"uri": None},
        "output": {"dir": str(work / name)},
    }
    (work / f"{name}.yaml").write_text(yaml.safe_dump(config))
    command_line(work, "run", "--config", str(work / f"{name}.yaml"))
    return open_run(work / name / "latest")


def command_line(work: Path, *arguments: str) -> None:
    called([sys.executable, "-m", "pipelines", *arguments], work, PYTHONPATH=str(ROOT))


def called(command: Sequence[str], folder: Path, **more: str) -> str:
    """Its stdout. Ends with what it said where it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")} | more
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)[:200]}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def python_of(tool: str, environments: Path) -> str:
    """The Python of the tool's environment, which is made where there is none."""
    folder = environments / tool
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *TOOLS[tool]], check=True)
    return str(folder / "bin" / "python")


def round_of_ragas(run: FinishedRun, python: str, work: Path) -> None:
    """Question, contexts, ids and ground truth come out of ragas' own loader as they are in the run."""
    file = work / "ragas.jsonl"
    command_line(work, "export", str(run.path), "--to", "ragas", "--top", "3", "--out", str(file))
    read = json.loads(called([python, "-c", RAGAS, str(file)], work).splitlines()[-1])
    order = run.rankings.groupby("query_id")["doc_id"].apply(list)
    texts = texts_of(work)
    answers = {"why does rain fall?": ("01", "Water in clouds cools."), "what is snow?": ("1", "Frozen water.")}
    for one in read:
        query_id, answer = answers[one["user_input"]]
        ids = order[query_id][:3]
        wanted = {"retrieved_context_ids": ids, "retrieved_contexts": [texts[doc_id] for doc_id in ids]}
        require(one, {"user_input": one["user_input"], **wanted, "reference": answer})
    require(len(read), 2)


def round_of_rank_llm(run: FinishedRun, python: str, work: Path, model: str) -> None:
    """Our order is the order of rank_llm's list; and its results come back as our first stage, by the list's order."""
    file = work / "requests.jsonl"
    command_line(work, "export", str(run.path), "--to", "rank_llm", "--top", "5", "--out", str(file))
    read = json.loads(called([python, "-c", RANK_LLM, str(file), str(work / "results")], work).splitlines()[-1])
    order = run.rankings.groupby("query_id")["doc_id"].apply(list)
    texts = texts_of(work)
    for one in read:
        ids = [candidate["docid"] for candidate in one["candidates"]]
        require(ids, order[one["query"]["qid"]])
        require([candidate["doc"]["contents"] for candidate in one["candidates"]], [texts[doc_id] for doc_id in ids])
    for ending in ("jsonl", "json"):
        data = {
            "format": "rank_llm",
            "path": str(work / f"results.{ending}"),
            "qrels": str(work / "beir/qrels/test.tsv"),
        }
        again = done_run(work, f"again-{ending}", data, model)
        again.export("rank_llm", work / f"first-{ending}.jsonl", first_stage=True)
        back = [json.loads(line) for line in (work / f"first-{ending}.jsonl").read_text(encoding="utf-8").splitlines()]
        for one in back:
            ids = [candidate["docid"] for candidate in one["candidates"]]
            require(ids, order[one["query"]["qid"]][::-1])
        require(len(back), 2)


def texts_of(work: Path) -> dict[str, str]:
    rows = map(json.loads, (work / "beir" / "corpus.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["_id"]: row["text"] for row in rows}


def require(found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"the reader got\n  {found}\nand not\n  {wanted}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default=EMBEDDED_MODEL, help="the scorer of the runs; overlap starts no engine")
    parser.add_argument("--environments", type=Path, help="a folder whose environments are kept, and used again")
    parser.add_argument("--only", choices=sorted(TOOLS), help="one of the tools")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rerank-eval-round-") as scratch:
        work = Path(scratch)
        run = done_run(work, "run", beir_folder(work / "beir"), asked.model)
        for tool in [asked.only] if asked.only else TOOLS:
            python = python_of(tool, asked.environments or work / "environments")
            if tool == "ragas":
                round_of_ragas(run, python, work)
            else:
                round_of_rank_llm(run, python, work, asked.model)
            print(f"{tool}: {TOOLS[tool][-2:]} read what the run holds")


if __name__ == "__main__":
    main()
