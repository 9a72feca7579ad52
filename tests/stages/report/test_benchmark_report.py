"""The report of a benchmark: the ceiling first, ours against it, and whoever failed or cheated said so."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from stages.report.benchmark_drawing import speeds
from stages.report.benchmark_report import benchmark_document
from stages.report.document import Details, Document, Items, Table, cell, figures
from stages.report.html import write_html
from stages.report.markdown import to_markdown
from stages.report.terminal import print_document
from stages.speed.benchmark import Benchmark, Measurement, Round
from tests.benchmark_inputs import OTHER, a_round, agreement_of, benchmark, contender

ENGINE = contender("engine-ours", "engine", 5.0, 4.0, 4.5)
DEFAULTS = contender("engine-defaults", "engine", 16.0, ours=False)
SERVER = contender("server-ours-text-8", "server", 5.0, clients=8)
JOB = contender("job-cold", "job", 5.0)
SERVICE = contender("service-8", "service", 4.8, clients=8)
LIBRARY = contender("transformers", "library", 20.0, ours=False)
STORED = contender("job-stored", "stored", 1.0)
FAILED = contender("job-warm", "job", rounds=(Round(1, error="the engine did not start"),), agreement=None)
WRONG = contender("server-ours-ids-8", "server", 1.0, clients=8, agreement=OTHER)


def lead(*measurements: Measurement) -> list[str]:
    return [text.text for text in benchmark_document(benchmark(*measurements)).lead]


def table(document: Document, title: str) -> dict[str, dict[str, str]]:
    """The first table of a section: first cell of each row -> heading -> text."""
    section = next(one for one in document.sections if one.title == title)
    found = next(block for block in section.blocks if isinstance(block, Table))
    headings = [column.heading for column in found.columns]
    rows = [[cell(one).text for one in row] for row in found.rows]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


def test_the_ceiling_is_told_first_with_its_share_of_the_limit() -> None:
    assert lead(DEFAULTS, ENGINE)[0] == (
        "The ceiling is title of engine-ours: 222 pairs/s, 44% of what the machine's arithmetic allows."
    )


def test_our_job_is_compared_with_the_ceiling_and_with_what_one_would_have_otherwise() -> None:
    job = contender("job-cold", "job", 5.0, 5.0, 5.0)
    assert lead(DEFAULTS, ENGINE, job, LIBRARY)[1] == (
        "Title of job-cold: 200 pairs/s; 90% (80% to 100%) of the ceiling, 3.20 times vLLM offline with its defaults, "
        "4.00 times Transformers, the first pair is scored after 100% (100% to 100%) of the bare engine's time."
    )


def test_a_query_at_a_time_is_told_of_our_service_beside_the_bare_engine() -> None:
    alone = contender("engine-alone", "alone", 8.0, 8.0), contender("service-alone", "alone", 10.0, 16.0)
    told = lead(ENGINE, *alone)
    assert len(told) == 2
    assert told[1] == (
        "Title of service-alone: 81.2 pairs/s; 65% (50% to 80%) of the bare engine, which then gets a query at a time "
        "too."
    )


def test_our_service_is_compared_with_the_server_that_does_the_same_work() -> None:
    assert "104% of vLLM's own server with as many clients and the same texts" in lead(ENGINE, SERVER, SERVICE)[1]


def test_without_a_ceiling_the_report_says_so_and_shows_what_there_is() -> None:
    told = lead(JOB, LIBRARY)
    assert "no ceiling" in told[0]
    assert told[1] == "Title of job-cold: 200 pairs/s; 4.00 times Transformers."


def test_who_failed_is_told_with_the_reason() -> None:
    assert "title of job-warm has no figure: the engine did not start" in lead(ENGINE, FAILED)


def test_who_computes_something_else_has_no_ratio_and_is_told() -> None:
    document = benchmark_document(benchmark(ENGINE, WRONG))
    assert any("title of server-ours-ids-8 does not give" in text.text for text in document.lead)
    row = table(document, "Who is how fast?")["title of server-ours-ids-8"]
    assert row["pairs/s"] == "1,000"
    assert row["of the ceiling"] == row["of the limit"] == "–"
    assert table(document, "Do all compute the same?")["title of server-ours-ids-8"]["the same"] == "no"


def test_where_all_pairs_score_alike_nobody_can_tell_whether_all_compute_the_same() -> None:
    alike = contender("job-cold", "job", 5.0, agreement=agreement_of(0.0, 0.0, None))
    row = table(benchmark_document(benchmark(ENGINE, alike)), "Do all compute the same?")["title of job-cold"]
    assert row["rank correlation"] == "–"
    assert row["the same"] == "cannot be told"


def test_the_tables_hold_each_contenders_figures() -> None:
    document = benchmark_document(benchmark(ENGINE, FAILED))
    row = table(document, "Who is how fast?")["title of engine-ours"]
    assert row["pairs/s"] == "222"
    assert row["slowest to fastest"] == "200 to 250"
    assert row["of the limit"] == "44%"
    costs = table(document, "What does it cost?")
    assert costs["title of engine-ours"]["peak memory, MiB"] == "2,000"
    assert costs["title of engine-ours"]["first pair after, s"] == "30.0"
    assert set(costs["title of job-warm"].values()) == {"title of job-warm", "–"}


def test_gpu_memory_has_a_column_where_any_contender_was_on_a_gpu() -> None:
    on_gpu = contender("job-cold", "job", rounds=(a_round(5.0, peak_gpu_mib=41_000.0),))
    costs = table(benchmark_document(benchmark(ENGINE, on_gpu)), "What does it cost?")
    assert costs["title of job-cold"]["peak GPU memory, MiB"] == "41,000"
    assert costs["title of engine-ours"]["peak GPU memory, MiB"] == "–"
    without = table(benchmark_document(benchmark(ENGINE, JOB)), "What does it cost?")
    assert "peak GPU memory, MiB" not in without["title of job-cold"]


def test_processor_time_is_told_for_each_kind_of_process() -> None:
    spent = {"engine worker": 4.0, "replica": 0.5, "Serve controller": 0.001}
    job = contender("job-cold", "job", rounds=(a_round(5.0, processor_s=spent),))
    document = benchmark_document(benchmark(ENGINE, job))
    (details,) = (block for block in document.sections[1].blocks if isinstance(block, Details))
    (inner,) = details.blocks
    assert isinstance(inner, Table)
    assert [column.heading for column in inner.columns] == ["contender", "engine worker", "replica"]
    assert [cell(one).text for one in inner.rows[0]] == ["title of job-cold", "4.00", "0.500"]


def test_what_was_measured_is_told_with_its_operations() -> None:
    rows = table(benchmark_document(benchmark(ENGINE)), "What was measured?")
    texts = {name: row[""] for name, row in rows.items()}
    assert texts["pairs"] == "20 queries x 50 documents"
    assert texts["tokens a pair"] == "220, from 100 to 400"
    assert texts["the same, beginnings shared to the token"] == "2.00 GFLOP"
    assert texts["rate of a large matrix product"] == "1,000 GFLOP/s"


def test_a_quick_benchmark_warns_and_tells_what_it_left_out() -> None:
    document = benchmark_document(benchmark(ENGINE, quick=True, notes=("--quick leaves out: job-warm",)))
    assert document.lead[0].text.startswith("--quick: one round")
    assert document.lead[0].tone == "unsure"
    assert Items(["--quick leaves out: job-warm"]) in document.sections[-1].blocks


def test_an_interrupted_benchmark_says_so_first_and_tells_what_it_lacks() -> None:
    document = benchmark_document(benchmark(ENGINE, interrupted=True, notes=("interrupted in round 2 of 3",)))
    assert document.lead[0].text.startswith("It was interrupted")
    assert document.lead[0].tone == "unsure"
    assert Items(["interrupted in round 2 of 3"]) in document.sections[-1].blocks


def test_the_figure_has_a_bar_for_all_who_scored_something() -> None:
    (figure,) = figures(benchmark_document(benchmark(ENGINE, JOB, STORED, FAILED)))
    (axes,) = figure.draw().axes
    assert [round(bar.get_width()) for bar in axes.patches] == [222, 200]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["title of engine-ours", "title of job-cold"]
    lines = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() != "-"]
    assert lines == pytest.approx([1000 / 4.5, 500.0])  # the ceiling and the limit


def test_a_bar_is_cut_short_by_no_edge() -> None:
    (axes,) = speeds([ENGINE, JOB], None, None).axes
    assert axes.get_xlim()[1] > 250


@pytest.mark.parametrize(
    "made",
    [
        benchmark(DEFAULTS, ENGINE, SERVER, JOB, STORED, FAILED, SERVICE, LIBRARY, WRONG, notes=("a note",)),
        benchmark(FAILED, reference=None, matrix_flops=()),
        benchmark(contender("<b>&$", "job", 5.0, agreement=None), reference=None, prefix_caching=False),
    ],
    ids=["all", "nothing", "markup"],
)
def test_it_is_shown_in_every_form(made: Benchmark, tmp_path: Path) -> None:
    document = benchmark_document(made)
    write_html(document, tmp_path / "report.html", tmp_path / "figures")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    lines = io.StringIO()
    print_document(document, Console(file=lines, width=100))
    for one in made.measurements:
        assert one.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
        assert one.title.split(" of ")[1][:10] in lines.getvalue()
    assert (tmp_path / "figures" / "pairs-per-second.png").is_file() == any(
        one.pairs_per_s for one in made.measurements
    )
    assert not re.search(r"\b(nan|None)\b", to_markdown(document))
