"""Whose a process is, by its title and by who is whose child."""

from __future__ import annotations

import pytest

from pipelines.service.diagnose.machine.roles import Known, roles, short_name

RAYLET = "/venv/lib/python3.11/site-packages/ray/core/src/ray/raylet/raylet --raylet_socket_name=/tmp/ray/s"
GCS = "/venv/lib/python3.11/site-packages/ray/core/src/ray/gcs/gcs_server --log_dir=/tmp/ray"
OWN = 900


def known(*processes: tuple[int, int, str]) -> dict[int, Known]:
    """(pid, parent, title), each in a process group of its own."""
    return {pid: Known(pid, parent, title, title, pid) for pid, parent, title in processes}


CLUSTER = (
    (1, 0, "/sbin/init"),
    (10, 1, RAYLET),
    (11, 1, GCS),
    (12, 10, "ray::ProxyActor"),
    (13, 10, "ray::ServeReplica:a:reranker"),
    (14, 13, "VLLM::EngineCore"),
    (15, 10, "ray::MapWorker(MapBatches(Rerank))"),
    (16, 15, "python -c tokenize"),
    (17, 14, "python -m torch._inductor.compile_worker"),
)


def test_behind_rays_proxy_the_service_is_what_that_ray_serves_and_a_job_beside_it_is_other() -> None:
    strange = ((20, 1, RAYLET), (21, 20, "ray::ServeReplica:b:reranker"), (22, 21, "VLLM::EngineCore"))
    told = roles(known(*CLUSTER, *strange), {12}, OWN)
    assert {pid: told[pid] for pid in (10, 11, 12, 13, 14, 15, 16, 17)} == {
        10: "ray",
        11: "ray",
        12: "proxy",
        13: "replica",
        14: "engine",
        15: "other",
        16: "other",
        17: "replica",
    }
    assert {told[pid] for pid in (1, 20, 21, 22)} == {"other"}


def test_another_server_is_who_listens_with_the_children_that_work_for_it() -> None:
    server = known(
        (5, 1, "python -m vllm.entrypoints.openai.api_server --port 8000"),
        (6, 5, "VLLM::EngineCore"),
        (7, 5, "python -c from multiprocessing.resource_tracker import main"),
        (8, 1, "VLLM::EngineCore"),
        (9, 5, "a job that it started"),
    )
    server[7] = server[7]._replace(group=5)
    assert roles(server, {5}, OWN) == {5: "api", 6: "engine", 7: "replica", 8: "other", 9: "other"}


def test_where_nobody_is_seen_to_listen_titles_decide() -> None:
    told = roles(known(*CLUSTER), set(), OWN)
    assert (told[12], told[13], told[14], told[15]) == ("proxy", "replica", "engine", "other")


def test_this_command_is_its_process_group_and_serves_where_it_listens_itself() -> None:
    mine = known((OWN, 1, "rerank-eval diagnose"), (901, OWN, "load"), (902, OWN, "somebody's server"))
    mine[901] = mine[901]._replace(group=OWN)
    assert roles(mine, set(), OWN) == {OWN: "this command", 901: "this command", 902: "other"}
    assert roles(mine, {OWN}, OWN) == {OWN: "api", 901: "this command", 902: "other"}
    assert roles(mine, {902}, OWN) == {OWN: "this command", 901: "this command", 902: "api"}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/usr/bin/mysqld", "--password=hunter2"], "mysqld"),
        (["/venv/bin/python", "/venv/bin/rerank-eval", "run", "--config", "c.yaml"], "python rerank-eval"),
        (["python3", "-u", "-m", "vllm.entrypoints.openai.api_server", "--api-key", "k"],
         "python3 -m vllm.entrypoints.openai.api_server"),
        (["python3", "-c", "secret = 1"], "python3 -c"),
        (["java", "-Xmx4g", "-jar", "/opt/search.jar", "--token", "t"], "java -jar /opt/search.jar"),
        (["nginx: master process /usr/sbin/nginx -g daemon off;"], "nginx:"),
        (["ray::ServeReplica:a:reranker", "", ""], "ray::ServeReplica:a:reranker"),
        (["python3"], "python3"),
        (["python3", "-m"], "python3 -m "),
        ([], ""),
    ],
)  # fmt: skip
def test_a_name_tells_program_and_script_and_nothing_that_may_be_secret(arguments: list[str], name: str) -> None:
    assert short_name(arguments) == name
