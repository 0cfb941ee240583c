"""The image and the composition name what is there."""

from __future__ import annotations

import re
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.test_architecture import ROOT
from web.settings import KEYS, Settings

FILES: Final = ("Dockerfile", "docker-compose.yml")


@pytest.mark.parametrize("name", FILES)
def test_only_settings_that_exist_are_set(name: str) -> None:
    assert set(re.findall(r"\bQUIRE_[A-Z_]*[A-Z]\b(?=[:=])", (ROOT / name).read_text())) <= set(KEYS.values())


def test_the_image_copies_only_what_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = {name for line in copied for name in line.split()}
    assert named == kept
    assert all((ROOT / name).exists() for name in named)


def test_the_composition_gives_quire_settings_that_it_takes() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    environ = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in services["quire"]["environment"].items()}
    settings = Settings.load(environ)
    assert settings.warnings == ()
    assert str(settings.objects) == "s3://quire/main"
    assert settings.aws.secret_key == re.sub(
        r"\$\{\w+:-(.*)\}", r"\1", services["objects"]["environment"]["MINIO_ROOT_PASSWORD"]
    )
    assert settings.s3_endpoint == "http://objects:9000"
    assert services["quire"]["depends_on"].keys() <= services.keys()
