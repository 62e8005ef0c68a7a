"""The container file and the manifest of KubeRay: what can be checked of them without a cluster."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
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


def test_pip_makes_the_program_of_what_is_copied(tmp_path: Path) -> None:
    """The container file's own line, without the packages that others make: only what it copies is there."""
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                to = tmp_path / target / (source if target.endswith("/") else "")
                to.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, to)
    (install,) = (line for line in lines if "pip install" in line)
    words = shlex.split(install.partition("pip install")[2].partition("&&")[0])
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("pip cannot fetch hatchling, which builds the program")
    assert done.returncode == 0, done.stderr
    assert f"morelli-{__version__}" in done.stdout
    assert "does not provide the extra" not in done.stderr


def test_the_service_is_an_application_of_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments are settings; a replica fits into a pod; the token reaches head and replicas."""
    from morelli.server import deployment

    loaded = yaml.safe_load((DEPLOY / "judge-rayservice.yaml").read_text())
    assert (loaded["apiVersion"], loaded["kind"]) == ("ray.io/v1", "RayService")
    serve = yaml.safe_load(loaded["spec"]["serveConfigV2"])
    (application,) = serve["applications"]
    assert application["import_path"] == f"{deployment.__name__}:{deployment.application.__name__}"
    monkeypatch.setenv("MORELLI_TOKEN", "x" * 32)
    settings = deployment.deployed_settings(application["args"])
    assert settings.offline and settings.hosts and settings.token == "x" * 32
    assert serve["http_options"]["request_timeout_s"] > settings.limits.answer_seconds
    (judge,) = application["deployments"]
    cluster = loaded["spec"]["rayClusterConfig"]
    (workers,) = cluster["workerGroupSpecs"]
    groups = [cluster["headGroupSpec"], workers]
    containers = [container for group in groups for container in group["template"]["spec"]["containers"]]
    assert int(containers[1]["resources"]["limits"]["cpu"]) >= judge["ray_actor_options"]["num_cpus"]
    assert workers["maxReplicas"] == judge["autoscaling_config"]["max_replicas"]
    for container in containers:
        assert container["envFrom"] == [{"secretRef": {"name": "morelli-token"}}]
        assert container["image"].endswith(f":{__version__}")
    assert cluster["rayVersion"] in (DEPLOY / "Containerfile").read_text()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_services_configuration_is_one_of_ray_serve() -> None:
    """Ray's own schema takes it, which `serve deploy` would check."""
    if find_spec("ray") is None or find_spec("grpc") is None:
        pytest.skip("needs Ray Serve, which is an extra: pip install 'morelli[ray]'")
    from ray.serve.schema import ServeDeploySchema

    loaded = yaml.safe_load((DEPLOY / "judge-rayservice.yaml").read_text())
    config = ServeDeploySchema.parse_obj(yaml.safe_load(loaded["spec"]["serveConfigV2"]))
    assert [one.name for one in config.applications[0].deployments] == ["judge"]
