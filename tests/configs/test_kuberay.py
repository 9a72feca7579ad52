"""The Kubernetes manifests: as the CRDs want them, and true to this repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import jsonschema
import pytest
import yaml

from pipelines.base.config import RunConfig, load_config
from pipelines.base.process import QUIET
from pipelines.nightly.cron import Cron
from pipelines.nightly.loop import HOPELESS
from pipelines.nightly.state import JUDGED
from serve_app.builders import Sections
from serve_app.http.api import make_api
from serve_app.http.service import Service
from serve_app.replica.niceness import VARIABLE
from serve_app.settings import DeploymentSettings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "configs" / "kuberay"
SCHEMAS = ROOT.parent / "shared" / "data" / "kuberay-crds"
IN_IMAGE = "/opt/rerank-eval/"

RAY_KINDS = {"RayService": "rayservices", "RayJob": "rayjobs", "RayCronJob": "raycronjobs"}
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{document['metadata'].get('name', 'one')}")
    for path in sorted(MANIFESTS.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]


def manifest(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))
    return content


SERVICE, JOB, CRON_JOB, RAY_CRON_JOB = map(
    manifest, ("rayservice.yaml", "rayjob.yaml", "cronjob.yaml", "raycronjob.yaml")
)
CLAIMS = {one["metadata"]["name"] for one in yaml.safe_load_all((MANIFESTS / "storage.yaml").read_text("utf-8"))}
SERVED = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])


def pods(node: Any) -> Iterator[dict[str, Any]]:
    """Each pod's spec in a manifest."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pods(value)
    elif isinstance(node, list):
        for value in node:
            yield from pods(value)


PODS = [
    pytest.param(pod, id=f"{path.stem}-{pod['containers'][0]['name']}")
    for path in sorted(MANIFESTS.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    for pod in pods(document)
]


def unknown_keys(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """The keys of a manifest that its schema does not know; it knows any where it says nothing of its properties."""
    if isinstance(value, list):
        return [key for one in value for key in unknown_keys(one, schema.get("items", {}), f"{place}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    known: dict[str, Any] = schema["properties"]
    unknown = [f"{place}.{key}" for key in value if key not in known]
    return unknown + [
        key for name in value if name in known for key in unknown_keys(value[name], known[name], f"{place}.{name}")
    ]


def run_config(arguments: Sequence[str]) -> RunConfig:
    """The config that a command's `--config F --set k=v ...` names, with the image's paths as this repository's."""
    words = [word for argument in arguments for word in argument.split("=", 1)] if "=" in arguments[0] else arguments
    pairs = list(zip(words[::2], words[1::2], strict=True))
    assert {option for option, _ in pairs} <= {"--config", "--set", "--address"}
    [path] = [value for option, value in pairs if option == "--config"]
    return load_config(ROOT / path.removeprefix(IN_IMAGE), [value for option, value in pairs if option == "--set"])


def entrypoint() -> RunConfig:
    shell, option, script = shlex.split(JOB["spec"]["entrypoint"])
    command, _, verdict = script.partition(" || ")
    assert (shell, option, verdict) == ("sh", "-c", "test $? = 5 -o $? = 6")
    python, module, name, *arguments = shlex.split(command)
    assert [python, module, name] == ["python", "-m", "pipelines.run"]
    return run_config(arguments)


def submitted() -> RunConfig:
    [pod] = pods(CRON_JOB)
    assert pod["containers"][0]["command"] == ["rerank-eval", "submit"]
    return run_config(pod["containers"][0]["args"])


# --- the CRDs' own schemas ---


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=f"KubeRay's schemas are not at {SCHEMAS}")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_manifest_is_valid_and_each_of_its_keys_is_known_to_the_crd(document: dict[str, Any]) -> None:
    if document["kind"] not in RAY_KINDS:
        assert document["apiVersion"] in ("batch/v1", "v1"), "neither Ray's nor Kubernetes' own"
        return
    schema = json.loads((SCHEMAS / f"{RAY_KINDS[document['kind']]}.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    assert document["apiVersion"] == "ray.io/v1"
    assert unknown_keys(document, schema) == []


def test_the_search_for_unknown_keys_finds_them_at_any_depth() -> None:
    schema = {"properties": {"spec": {"properties": {"list": {"items": {"properties": {"known": {}}}}, "free": {}}}}}
    value = {"spec": {"list": [{"known": 1}, {"knwon": 1}], "free": {"any": 1}}, "kind": "x"}
    assert unknown_keys(value, schema) == [".kind", ".spec.list[].knwon"]


# --- pods ---


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_has_no_rights_that_it_does_not_need(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    security = pod["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] and security["seccompProfile"]["type"] == "RuntimeDefault"
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("pod", PODS)
def test_a_container_is_pinned_limited_and_quiet(pod: dict[str, Any]) -> None:
    for container in pod["containers"]:
        assert re.search(r":\d+\.\d+\.\d+$", container["image"]), "a version, never latest"
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
        values = {one["name"]: one.get("value") for one in container["env"]}
        assert {name: values.get(name) for name in QUIET} == QUIET
        secret = [name for name in values if re.search("TOKEN|KEY|PASSWORD", name)]
        assert [name for name in secret if values[name] is not None] == [], "secrets come from Secrets"


@pytest.mark.parametrize("pod", PODS)
def test_what_is_mounted_is_there(pod: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
    assert mounted == set(volumes)
    claimed = {one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one}
    assert claimed <= CLAIMS


@pytest.mark.parametrize("pod", PODS)
def test_a_user_whom_the_image_does_not_know_has_a_home_to_write_to(pod: dict[str, Any]) -> None:
    """As OpenShift gives one, whose home else is "/"."""
    written = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    for container in pod["containers"]:
        values = {one["name"]: one.get("value") for one in container["env"]}
        places = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in written}
        assert values["HOME"] in places


def test_engines_are_as_nice_as_serve_niceness_says() -> None:
    for manifest in (SERVICE, JOB, RAY_CRON_JOB):
        for pod in pods(manifest):
            for container in pod["containers"]:
                values = {one["name"]: one.get("value") for one in container["env"]}
                assert values[VARIABLE] == str(DeploymentSettings().niceness)


def test_every_image_is_one_and_the_same_release_of_this_project() -> None:
    images = {container["image"] for param in PODS for pod in param.values for container in pod["containers"]}
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert {image.rpartition(":")[2] for image in images} == {version[1]}
    assert len(images) == 1


def test_ray_is_the_release_that_the_project_is_pinned_to() -> None:
    pinned = re.search(r"ray\[.*\]==([\d.]+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pinned is not None
    for cluster in (SERVICE["spec"]["rayClusterConfig"], JOB["spec"]["rayClusterSpec"]):
        assert cluster["rayVersion"] == pinned[1]
        assert cluster["authOptions"]["mode"] == "token"


# --- the service ---


def test_probes_ask_a_path_that_the_service_answers_at_its_port() -> None:
    probes = [
        container[kind]["httpGet"]
        for pod in pods(SERVICE)
        for container in pod["containers"]
        for kind in ("readinessProbe", "livenessProbe")
        if kind in container
    ]
    api = make_api(create_autospec(Service, instance=True, limits=Sections().serve.http), [])
    answered = set(api.openapi()["paths"])
    assert probes
    assert {probe["path"] for probe in probes} <= answered
    assert {probe["port"] for probe in probes} == {SERVED["http_options"]["port"]}


def test_the_served_applications_are_ours_and_their_settings_load() -> None:
    expected = yaml.safe_load((ROOT / "configs" / "serve" / "service.yaml").read_text(encoding="utf-8"))
    shape = [(one["name"], one["route_prefix"], one["import_path"]) for one in SERVED["applications"]]
    assert shape == [(one["name"], one["route_prefix"], one["import_path"]) for one in expected["applications"]]
    engines, api = SERVED["applications"]
    assert engines["args"] == api["args"]
    assert Sections.model_validate(engines["args"]).serve.application == engines["name"]


def test_the_service_reads_its_api_keys_from_a_secret() -> None:
    variable = Sections.model_validate(SERVED["applications"][1]["args"]).serve.http.api_keys_env
    for pod in pods(SERVICE):
        env = {one["name"]: one for one in pod["containers"][0]["env"]}
        assert "secretKeyRef" in env[variable]["valueFrom"]


# --- the runs ---


@pytest.mark.parametrize("config", [entrypoint(), submitted()], ids=["rayjob", "cronjob"])
def test_a_run_reads_and_writes_in_mounted_volumes_only(config: RunConfig) -> None:
    mounts = {
        mount["mountPath"]
        for pod in pods([JOB, SERVICE])
        for c in pod["containers"]
        for mount in c.get("volumeMounts", [])
    }
    places = [config.data.run, config.data.qrels, config.data.queries, config.data.documents]
    places += [config.rerank.store, config.output.dir]
    for place in places:
        assert place is not None and any(Path(str(place)).is_relative_to(mount) for mount in mounts), place


@pytest.mark.parametrize(
    ("config", "cluster"),
    [(entrypoint(), JOB["spec"]["rayClusterSpec"]), (submitted(), SERVICE["spec"]["rayClusterConfig"])],
    ids=["rayjob", "cronjob"],
)
def test_there_are_gpus_for_every_engine(config: RunConfig, cluster: dict[str, Any]) -> None:
    [group] = cluster["workerGroupSpecs"]
    resources = group["template"]["spec"]["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"]
    available = int(resources["limits"]["nvidia.com/gpu"]) * group["minReplicas"]
    assert available >= config.serve.replicas * (config.serve.gpus_per_replica or 1)


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 1), (4, 1), (5, 0), (6, 0)])
def test_a_ray_job_fails_for_what_kuberay_is_to_repeat_and_not_for_a_verdict(
    code: int, ends: int, tmp_path: Path
) -> None:
    """KubeRay writes the entrypoint into a script of bash, `ray job submit` quotes its words anew (its cli.py), and
    the job server gives them to a shell.
    """
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    heard = subprocess.run(
        ["bash", "-ce", f"printf '%s\\n' {JOB['spec']['entrypoint']} ;"], capture_output=True, text=True, check=True
    )
    submitted = shlex.join(heard.stdout.splitlines())
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert subprocess.run(submitted, shell=True, env={"PATH": path}, check=False).returncode == ends


def test_a_night_whose_pod_ended_with_a_verdict_or_a_mistake_is_not_repeated() -> None:
    job = CRON_JOB["spec"]["jobTemplate"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert set(rule["onExitCodes"]["values"]) == HOPELESS.keys() | JUDGED.keys()
    assert job["backoffLimit"] > 0
    (pod,) = pods(CRON_JOB)
    assert rule["onExitCodes"]["containerName"] == pod["containers"][0]["name"]


def test_the_nightly_run_on_the_service_scores_with_its_own_settings() -> None:
    config, served = submitted(), Sections.model_validate(SERVED["applications"][0]["args"])
    assert (config.model, config.engine) == (served.model, served.engine)
    assert config.serve.application == served.serve.application
    assert config.serve.replicas == served.serve.replicas


def test_the_nightly_run_is_sent_to_the_service_of_that_cluster_with_its_token() -> None:
    [pod] = pods(CRON_JOB)
    assert f"--address=http://{SERVICE['metadata']['name']}-head-svc:8265" in pod["containers"][0]["args"]
    env = {one["name"]: one for one in pod["containers"][0]["env"]}
    secret = SERVICE["spec"]["rayClusterConfig"]["authOptions"]["secretName"]
    assert env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": secret, "key": "auth_token"}


def test_both_nightly_manifests_run_without_overlap_and_the_ray_one_is_the_job() -> None:
    assert CRON_JOB["spec"]["concurrencyPolicy"] == "Forbid"
    assert RAY_CRON_JOB["spec"]["jobTemplate"] == JOB["spec"]
    for manifest, job in ((CRON_JOB, CRON_JOB["spec"]["jobTemplate"]["spec"]), (RAY_CRON_JOB, JOB["spec"])):
        cron = Cron.parse(manifest["spec"]["schedule"], manifest["spec"]["timeZone"])
        first = cron.next(datetime.now(UTC))
        assert first is not None
        second = cron.next(first)
        assert second is not None and (second - first).total_seconds() > job["activeDeadlineSeconds"]


def test_the_readme_names_every_manifest_and_every_secret() -> None:
    told = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in MANIFESTS.glob("*.yaml") if f"({path.name})" not in told] == []
    text = "".join(path.read_text(encoding="utf-8") for path in MANIFESTS.glob("*.yaml"))
    secrets = set(re.findall(r"secretName: (\S+)|secretKeyRef: \{name: ([^,]+),", text))
    for name in {one or other for one, other in secrets}:
        assert f"create secret generic {name} " in told
