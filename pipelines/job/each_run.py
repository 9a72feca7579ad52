"""Several first stages of one job: what the folder of each has for itself."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.base.redaction import write_config
from pipelines.runs.folder import RunFolder
from stages.core.records import Candidates, Ranking
from stages.core.several import split
from stages.files.rankings import RANKING_SCHEMA, rankings_table, read_rankings
from stages.sources.bm25.settings import Bm25Settings

RANKINGS_PER_GROUP = 1000


def begin_child(folder: RunFolder, child: RunFolder, config: RunConfig, name: str) -> RunConfig:
    """Write its config and its part of the rankings. Returns the config."""
    own = _config_of(config, name)
    write_config(child.config, own.to_yaml(), own.model_dump(mode="json"))
    _split_rankings(folder, child)
    return own


def _config_of(config: RunConfig, name: str) -> RunConfig:
    """The config that would rerank this first stage alone."""
    run = (config.data.runs or {}).get(name)
    first_stage = config.data.first_stage if run is None else None
    made = {} if first_stage else {"first_stage": None, "bm25": Bm25Settings()}
    data = config.data.model_copy(update={"run": run, "runs": None, **made})
    return config.model_copy(update={"data": data})


def _split_rankings(folder: RunFolder, child: RunFolder) -> None:
    """The child's part of the job's rankings. Of its candidates the ids alone are held, as Arrow."""
    table = pa.concat_tables(
        pq.read_table(file, columns=["query_id", "doc_ids", "tail", "listed"], partitioning=None)
        for file in sorted(child.candidates.glob("part-*.parquet"))
    )
    rows = {query_id: row for row, query_id in enumerate(table.column("query_id").to_pylist())}
    child.rankings.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(child.rankings / "part-00000.parquet", RANKING_SCHEMA) as writer:
        some: list[Ranking] = []
        for ranking in read_rankings(folder.rankings):
            if (row := rows.get(ranking.query_id)) is not None:
                (one,) = table.slice(row, 1).to_pylist()
                doc_ids, tail, listed = (tuple(one[name]) for name in ("doc_ids", "tail", "listed"))
                some.append(split(ranking, Candidates(ranking.query_id, "", doc_ids, (), (), tail, listed=listed)))
            if len(some) == RANKINGS_PER_GROUP:
                writer.write_table(rankings_table(some))
                some = []
        writer.write_table(rankings_table(some))
