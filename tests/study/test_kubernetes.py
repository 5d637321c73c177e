"""The Kubernetes manifest of docs/examples: what a cluster would accept, a command that there is, and no password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from archcost.cli import cli

MANIFEST = Path(__file__).parents[2] / "docs" / "examples" / "kubernetes-job.yaml"


def objects() -> list[dict[str, Any]]:
    """Return the objects of the manifest."""
    return list(yaml.safe_load_all(MANIFEST.read_text("utf-8")))


def container() -> dict[str, Any]:
    """Return the container of its Job."""
    (job,) = [each for each in objects() if each["kind"] == "Job"]
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return found


def test_a_cluster_accepts_it() -> None:
    """Every object is valid by Kubernetes' own schemas, and has no key that they do not know."""
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for each in objects():
        schemas.validate(each, schemas.latest_version(), strict=True)
    wrong = objects()[-1]
    wrong["spec"]["paralelism"] = 2
    with pytest.raises(schemas.ValidationError):
        schemas.validate(wrong, schemas.latest_version(), strict=True)


def test_its_command_is_a_worker() -> None:
    """The words after `python -m archcost` are a command and options that there are."""
    words = container()["command"]
    assert ["python", "-m", "archcost", "study", "worker"] == words[:5]
    study = cli.commands["study"]
    assert isinstance(study, click.Group)
    worker = study.commands["worker"]
    parsed = worker.make_context("worker", words[5:]).params
    assert ("/study/study.yaml", 1) == (parsed["file"], parsed["workers"])
    named = [option.envvar for option in worker.params if option.name == "storage"]
    assert named == [each["name"] for each in container()["env"] if each["name"] == "ARCHCOST_STORAGE"]


def test_no_password_is_written_down() -> None:
    """The database's URL has none, and PGPASSWORD comes from a Secret that the manifest does not make."""
    kept = {each["metadata"]["name"]: each for each in objects() if each["kind"] == "Secret"}
    env = {each["name"]: each for each in container()["env"]}
    url = env["ARCHCOST_STORAGE"]["valueFrom"]["secretKeyRef"]
    assert "archcost@" in kept[url["name"]]["stringData"][url["key"]].partition("://")[2]
    assert env["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["name"] not in kept
    assert "value" not in env["PGPASSWORD"]
