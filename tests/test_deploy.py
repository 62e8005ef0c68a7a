"""The container file and the manifest of KubeRay: what can be checked of them without a cluster."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context

from morelli._version import __version__

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / "extract-rayjob.yaml").read_text())
    assert (loaded["apiVersion"], loaded["kind"]) == ("ray.io/v1", "RayJob")
    return dict(loaded["spec"])


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_entrypoint_is_a_command_of_this_program(job: dict[str, Any]) -> None:
    import typer.main

    from morelli.cli._app import app

    program, name, *arguments = shlex.split(job["entrypoint"])
    assert program == "morelli"
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    with Context(command, info_name=name) as context:
        command.parse_args(context, arguments)
        assert context.params["engine"] == "ray" and context.params["ray_address"] == "auto"
        out, cpus = Path(context.params["out"]), context.params["ray_cpus"]
        most = context.params["ray_actors"]
    for pod in pods(job):  # the table lies on a volume that all machines share
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        (volume,) = pod["volumes"]
        assert out.is_relative_to(mount["mountPath"]) and mount["name"] == volume["name"]
        assert volume["persistentVolumeClaim"] == {"claimName": "morelli-tables"}
    (workers,) = job["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["cpu"]) >= cpus
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"] == most


def test_versions_agree(job: dict[str, Any]) -> None:
    file = (DEPLOY / "Containerfile").read_text()
    (ray,) = re.findall(r"ray\[default\]==([\d.]+)", file)
    assert job["rayClusterSpec"]["rayVersion"] == ray
    images = {container["image"] for pod in pods(job) for container in pod["containers"]}
    assert {image.rpartition(":")[2] for image in images} == {__version__}
    assert f"morelli:{__version__}" in file


def test_the_container_file_copies_what_is_there_and_runs_as_a_user() -> None:
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV"}
    assert steps[0][0] == "FROM" and {step for step, _ in steps} <= known
    for step, text in steps:
        if step == "COPY":
            for source in text.split()[:-1]:
                assert (ROOT / source).exists(), source
    assert [text for step, text in steps if step == "USER"][-1] != "root"
    # The wheel's build reads these files.
    copied = " ".join(text for step, text in steps if step == "COPY")
    for needed in ("pyproject.toml", "README.md", "LICENSE", "src", "scripts/build_app.py"):
        assert needed in copied
