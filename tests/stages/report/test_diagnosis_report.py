"""The page of a diagnosis: the one sentence first, then what each step saw."""

from __future__ import annotations

from stages.diagnosis.conclusion import conclude
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.diagnosis.requests import Requests, Wish
from stages.report.diagnosis_report import Diagnosed, diagnosis_document
from stages.report.document import Text
from stages.report.markdown import to_markdown
from stages.telemetry.machine import Connections, DiskUse, GpuUse, Machine, ProcessUse
from stages.telemetry.readings import Reading

QUEUE = Finding(
    "metrics",
    "queue",
    Weight.LIMIT,
    "Queries wait 900 ms.",
    {"queue_p95_ms": 900.0},
    Advice("add a replica", "half the wait", "serve.replicas", 1, 2),
)
WELL = Finding("resources", "resources_well", Weight.FINE, "Well: memory 26% in use.")
MACHINE = Machine(
    host="node-a",
    seconds=20.0,
    samples=40,
    cores=2.0,
    machine_cores=2,
    busy_share=0.75,
    io_wait_share=0.0,
    steal_share=0.0,
    run_queue=None,
    pressure={"cpu": 0.5},
    memory_share=0.26,
    swap_mb_s=0.0,
    processes=(ProcessUse("engine", 42, "VLLM::Worker", 1.25, 9, 0.98, None, 60.0),),
    gpus=(GpuUse(0, "a GPU", 0.97, 0.9, 0.8),),
    disk=DiskUse("/models", "nvme0n1", "ssd", 1.5, None),
    connections=Connections({"ESTABLISHED": 8}, 0.0, 0.1),
)


def shown(*findings: Finding, **told: object) -> str:
    seen = Diagnosed("http://a", "a model", conclude(findings), findings, **told)  # type: ignore[arg-type]
    return to_markdown(diagnosis_document(seen)).replace("\\", "")


def test_the_sentence_comes_first_in_the_tone_of_what_it_means() -> None:
    sick = diagnosis_document(Diagnosed("http://a", None, conclude([QUEUE]), [QUEUE]))
    well = diagnosis_document(Diagnosed("http://a", None, conclude([WELL]), [WELL]))
    assert sick.lead[0] == Text(conclude([QUEUE]).sentence, "bad")
    assert well.lead[0] == Text(conclude([WELL]).sentence, "good")


def test_each_step_has_its_section_and_one_that_was_not_made_says_why() -> None:
    page = shown(QUEUE, WELL, skipped={"direct": "it needs --config"})
    order = ["The golden metrics", "1. Which resource?", "2. What do requests", "3. Under pressure", "4. Without vLLM"]
    places = [page.index(title) for title in order]
    assert places == sorted(places)
    assert "To do: add a replica. Expect: half the wait." in page[places[0] : places[1]]
    assert "Not looked at: it needs" in page[places[4] :]


def test_the_machine_is_told_with_its_processes_and_what_it_does_not_tell_is_a_dash() -> None:
    page = shown(WELL, machine=MACHINE)
    for told in ("node-a", "75.0%", "a GPU", "97.0%", "nvme0n1 (ssd)", "8 ESTABLISHED", "VLLM::Worker (42)", "1.25"):
        assert told in page
    assert "| tasks that run or want to | – |" in page


def test_settings_stand_beside_what_the_pattern_wants_and_an_unknown_one_is_not_judged() -> None:
    wishes = (
        Wish("engine.compile", True, False, False, "compiled steps take less time"),
        Wish("engine.max_num_seqs", None, None, None, "a step takes a whole request"),
    )
    page = shown(WELL, requests=Requests("1 query, 100 passages", 2.0, 100.0, 0.0, 1.0, 200.0, 0.5, wishes))
    assert "| engine.compile | false | true |" in page
    assert "| engine.max_num_seqs | not known | null |" in page


def test_readings_are_shown_with_their_zone_and_what_to_do() -> None:
    page = shown(
        WELL, readings=[Reading("queue time p95", 0.9, "900 ms", "bad", "too long", "raise serve.replicas", "q")]
    )
    assert "| queue time p95 | 900 ms | too long |" in page
    assert "queue time p95: raise serve.replicas." in page
