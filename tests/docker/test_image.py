"""The image and the composition, as far as they can be judged without a container engine: lint, schema and facts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from compose_spec import PyCompose
from provision.catalogue import ENGINES

from maxcos.cli import main

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def instruction(name: str) -> Any:
    """The only instruction of this name that has its words as JSON."""
    (words,) = re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    return json.loads(words)


def understood(words: list[str]) -> dict[str, Any]:
    """What the command line makes of them. Raises click's UsageError."""
    name, *options = words
    return main.commands[name].make_context(name, options).params


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "docker/Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_composition_is_as_its_specification_wants_it() -> None:
    read = PyCompose.from_json(json.dumps({name: value for name, value in COMPOSE.items() if name[:2] != "x-"}))
    assert set(read.service_names()) == {"elasticsearch", "kibana", "index", "maxcos"}
    slip = {"services": {"maxcos": {"image": "maxcos", "prots": ["8000:8000"]}}}
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_json(json.dumps(slip))


def test_what_the_image_installs_and_copies_is_what_the_project_has() -> None:
    assert set(re.findall(r"--extra (\w+)", DOCKERFILE)) <= PROJECT["project"]["optional-dependencies"].keys()
    copied = {name for names in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.M) for name in names.split()}
    packages = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    assert copied == packages | {"pyproject.toml", "README.md", "LICENSE"}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_the_image_has_the_weights_that_make_fetches() -> None:
    pinned = r"[a-z0-9-]+==[0-9.]+"
    fetched = set(re.findall(pinned, (ROOT / "Makefile").read_text("utf-8")))
    assert fetched == set(re.findall(pinned, DOCKERFILE.split(" AS weights")[1].split("FROM")[0]))


def test_what_the_containers_run_is_a_command_of_maxcos() -> None:
    (entry,) = instruction("ENTRYPOINT")
    assert entry in PROJECT["project"]["scripts"]
    assert understood(instruction("CMD"))["host"] == "0.0.0.0"
    assert understood(SERVICES["index"]["command"])["build_only"]
    with pytest.raises(click.UsageError):
        understood(["serve", "--hots", "0.0.0.0"])


def test_the_container_runs_as_nobody_in_particular_and_nothing_of_it_is_writable() -> None:
    *_, user = re.findall(r"^USER (\S+)$", DOCKERFILE.split(" AS demo")[0], re.MULTILINE)
    assert int(user) >= 10_000
    assert DOCKERFILE.count("\nUSER 0\n") == 1  # for Debian's package, and given back
    for name in ("index", "maxcos"):
        service = SERVICES[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"] and service["volumes"] == ["data:/data"]


def test_ports_agree_and_only_this_machine_reaches_them() -> None:
    port = understood(instruction("CMD"))["port"]
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [str(port)]
    assert f"127.0.0.1:{port}/healthz" in instruction("HEALTHCHECK[^[]*?CMD")[2]
    assert SERVICES["maxcos"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert all(given.startswith("127.0.0.1:") for service in SERVICES.values() for given in service.get("ports", ()))


def test_the_health_check_tells_a_service_that_answers_from_one_that_does_not(service: str) -> None:
    _, option, code = instruction("HEALTHCHECK[^[]*?CMD")
    alive = code.replace("http://127.0.0.1:8000", service)
    assert alive != code
    assert subprocess.run([sys.executable, option, alive], check=False).returncode == 0
    dead = code.replace(":8000", ":9")
    assert subprocess.run([sys.executable, option, dead], check=False, capture_output=True).returncode != 0


def test_each_service_waits_for_what_it_needs() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            checked = "test" in SERVICES[name].get("healthcheck", {})
            assert how["condition"] == ("service_healthy" if checked else "service_completed_successfully")
    assert SERVICES["maxcos"]["depends_on"].keys() == {"elasticsearch", "index"}
    engine = SERVICES["kibana"]["environment"]["ELASTICSEARCH_HOSTS"]
    assert understood(SERVICES["index"]["command"])["engine"] == engine


def test_the_versions_are_those_that_the_tests_run() -> None:
    tested = ENGINES["elasticsearch-9"].version
    assert SERVICES["elasticsearch"]["image"] == f"elasticsearch:{tested}"
    assert SERVICES["kibana"]["image"] == f"kibana:{tested}"
