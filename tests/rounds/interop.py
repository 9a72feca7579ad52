"""Our objects in the harnesses themselves: `mteb.evaluate` and a PyTerrier pipeline, over an engine and over a run.

`python -m tests.rounds.interop` makes an environment by pip, which sees this one's packages, with the versions below,
in a temporary folder (or in --environment, where it stays), and ends with 1 where a harness gets anything but what the
job gets. Outside the suite: it downloads packages.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Without what they need of torch and datasets, which come from this environment. PyTerrier without Java: our
# transformer, its operators and its experiments are Python alone.
TOOLS = [
    *("mteb==2.26.24", "polars==2.1.0", "polars-runtime-32==2.1.0", "pytimeparse==1.1.10", "sentence-transformers"),
    *("pyterrier==1.1.2", "deprecated", "more_itertools", "lz4", "dill", "statsmodels", "patsy", "beautifulsoup4"),
    *("soupsieve", "ir_measures", "ir_datasets", "pytrec_eval_terrier", "wrapt", "lxml"),
]
MTEB = """
import sys
import datasets, mteb
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import CrossEncoderProtocol
from pipelines import open_run, run
from pipelines.interop import mteb_model

TEXTS = {"a": "nothing of it", "b": "how to freeze a layer", "c": "a layer of paint"}
QUERIES = {"1": "how to freeze a layer", "2": "a layer of paint"}

class Small(AbsTaskRetrieval):
    metadata = TaskMetadata(
        name="Small", description="three documents", reference=None, type="Reranking", category="t2t",
        modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10",
        dataset={"path": "none", "revision": "none"}, date=None, domains=None, task_subtypes=None, license=None,
        annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation=None)
    def load_data(self, **_):
        def rows(texts, **more):
            return datasets.Dataset.from_list([{"id": i, "text": t, **more} for i, t in texts.items()])
        self.dataset = {"default": {"test": {
            "corpus": rows(TEXTS, title=""), "queries": rows(QUERIES),
            "relevant_docs": {"1": {"b": 1}, "2": {"c": 1}}, "top_ranked": {q: list(TEXTS) for q in QUERIES}}}}
        self.data_loaded = True

def value(given, **more):
    with mteb_model(given, quiet=True) as model:
        assert isinstance(model, CrossEncoderProtocol)
        done = mteb.evaluate(model, Small(), cache=None, show_progress_bar=False)
        engine = getattr(model.scores, "_engine", None)
        assert not (more.get("stored") and engine.needed), "an engine was started for scores that are stored"
        return done.task_results[0].get_score(), model.mteb_model_meta

config = sys.argv[1]
print("engine", *value(config))
print("stored", *value(config, stored=True))
"""
PYTERRIER = """
import sys
import numpy as np
import pandas as pd
import pyterrier as pt
from pipelines import open_run, run
from pipelines.interop import pyterrier_transformer

done = run(sys.argv[1], quiet=True)
order = done.rankings.dropna(subset="score")
queries, documents = {}, {}
from stages.files.tables import read_candidates
rows = [
    {"qid": one.query_id, "query": one.query, "docno": doc_id, "text": text, "score": score}
    for one in read_candidates(done.content.folder.candidates)
    for doc_id, text, score in zip(one.doc_ids, one.texts, one.scores)
]
first = pt.Transformer.from_df(pd.DataFrame(rows), uniform=False)
topics = pd.DataFrame(rows)[["qid", "query"]].drop_duplicates()
# In single precision, as the store keeps them.
wanted = {(q, d): np.float32(s) for q, d, s in order[["query_id", "doc_id", "score"]].itertuples(index=False)}
for given in (sys.argv[1], done):
    with pyterrier_transformer(given, quiet=True) as reranker:
        assert isinstance(reranker, pt.Transformer)
        pipeline = first >> reranker
        ranked = pipeline(topics)
        got = {(q, d): np.float32(s) for q, d, s in ranked[["qid", "docno", "score"]].itertuples(index=False)}
        assert got == wanted, [(pair, got.get(pair), score) for pair, score in wanted.items() if got.get(pair) != score]
        for q, of_run in order.groupby("query_id"):
            assert ranked[ranked["qid"] == q].sort_values("rank")["docno"].tolist() == of_run["doc_id"].tolist()
        best = (first >> reranker % 2)(topics)
        assert best.groupby("qid").size().max() == 2
        tops = order.groupby("query_id")["doc_id"].first()
        qrels = pd.DataFrame([{"qid": q, "docno": d, "label": 1} for q, d in tops.items()])
        table = pt.Experiment([first, pipeline], topics, qrels, ["ndcg_cut_10"], names=["first", "reranked"])
        assert table["ndcg_cut_10"].iloc[1] == 1.0, table
        columns = pt.inspect.transformer_outputs(reranker, ["qid", "query", "docno", "text"])
        print(type(given).__name__, len(got), "pairs", columns)
"""
CONFIG = """
data: {format: beir, path: PATH/configs/demo, run: PATH/configs/demo/runs/bm25.trec, depth: 5, limit: 5}
model: {name: MODEL}
engine: {backend: transformers}
rerank: {store: FOLDER/store}
tracking: {uri: null}
output: {dir: FOLDER/results}
"""


def environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        (packages,) = (folder / "lib").glob("python3*/site-packages")
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "ours.pth").write_text("\n".join([*ours, str(ROOT)]), encoding="utf-8")
    subprocess.run([python, "-m", "pip", "--quiet", "install", "--no-deps", *TOOLS], check=True)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="overlap")
    parser.add_argument("--environment", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = environment(given.environment or Path(folder) / "environment")
        failed = 0
        for name, script in {"mteb": MTEB, "pyterrier": PYTERRIER}.items():
            config = Path(folder) / f"{name}.yaml"
            filled = CONFIG.replace("PATH", str(ROOT)).replace("MODEL", given.model)
            config.write_text(filled.replace("FOLDER", f"{folder}/{name}"), encoding="utf-8")
            told = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
            done = subprocess.run([python, "-c", script, config], env=told, cwd=folder, check=False)
            print(f"{name:<10} {'ok' if done.returncode == 0 else 'FAILED'}")
            failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
