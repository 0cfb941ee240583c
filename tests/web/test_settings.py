"""Settings: where a value comes from, and what is said about one that cannot be."""

from __future__ import annotations

import pathlib

import pytest

from web.settings import KEYS, Aws, S3Place, SettingInvalid, Settings, documented


def test_without_anything_said_it_serves_this_machine_from_quire_data() -> None:
    settings = Settings.load({})
    assert settings.data == pathlib.Path("quire-data")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.prefix == ""
    assert settings.origin is None
    assert settings.warnings == ()


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: pathlib.Path) -> None:
    config = tmp_path / "quire.toml"
    config.write_text('port = 1\nhost = "::1"\ncommit_quiet = "2m"\n')
    settings = Settings.load({"QUIRE_CONFIG": str(config), "QUIRE_PORT": "2", "QUIRE_HOST": "::2"}, port=3)
    assert (settings.port, settings.host, settings.commit_quiet) == (3, "::2", 120.0)


def test_an_override_of_none_was_not_said() -> None:
    assert Settings.load({"QUIRE_PORT": "9"}, port=None).port == 9


def test_an_empty_variable_was_not_said() -> None:
    assert Settings.load({"QUIRE_PORT": ""}).port == 8000


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("QUIRE_PORT", "eight", "a whole number from 0 to 65535"),
        ("QUIRE_PORT", "70000", "a whole number from 0 to 65535"),
        ("QUIRE_COMMIT_QUIET", "soon", "seconds"),
        ("QUIRE_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("QUIRE_PUBLIC_URL", "quire.example.org", "an address such as https://"),
        ("QUIRE_PUBLIC_URL", "https://example.org/a b", "a path may hold"),
        ("QUIRE_PUBLIC_URL", "https://example.org/api", "another path"),
        ("QUIRE_PUBLIC_URL", "https://example.org/?x=1", "an address such as"),
        ("QUIRE_HOST", " ", "a text that is not empty"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_key_the_value_and_what_would_be_right(
    key: str, value: str, right: str
) -> None:
    with pytest.raises(SettingInvalid) as caught:
        Settings.load({key: value})
    assert caught.value.field == key
    assert repr(value) in caught.value.message
    assert right in caught.value.message


def test_a_bad_root_token_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingInvalid) as caught:
        Settings.load({"QUIRE_ROOT_TOKEN": "has space"})
    assert caught.value.field == "QUIRE_ROOT_TOKEN"
    assert "has space" not in caught.value.message


def test_the_root_token_is_not_shown_with_the_settings() -> None:
    assert "a-secret-token" not in repr(Settings.load({"QUIRE_ROOT_TOKEN": "a-secret-token"}))


def test_an_unknown_variable_is_warned_about_with_the_nearest_known_name() -> None:
    assert Settings.load({"QUIRE_COMIT_QUIET": "5"}).warnings == (
        "QUIRE_COMIT_QUIET is no setting of Quire; did you mean QUIRE_COMMIT_QUIET?",
    )


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_known_name(tmp_path: pathlib.Path) -> None:
    config = tmp_path / "quire.toml"
    config.write_text("prot = 1\n")
    with pytest.raises(SettingInvalid, match="did you mean port"):
        Settings.load({"QUIRE_CONFIG": str(config)})


@pytest.mark.parametrize("content", ["port = ", "\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path: pathlib.Path, content: str) -> None:
    config = tmp_path / "quire.toml"
    config.write_text(content, encoding="latin-1")
    with pytest.raises(SettingInvalid, match="not valid TOML"):
        Settings.load({"QUIRE_CONFIG": str(config)})


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingInvalid, match="cannot be read"):
        Settings.load({"QUIRE_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize(
    ("said", "seconds"), [("60", 60), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("1h", 3600), ("7d", 604800), (3, 3)]
)
def test_durations_are_seconds_or_have_a_unit(said: object, seconds: float) -> None:
    assert Settings.load({}, commit_quiet=said).commit_quiet == seconds


@pytest.mark.parametrize(
    ("url", "prefix", "origin"),
    [
        ("https://quire.example.org", "", "https://quire.example.org"),
        ("https://Example.org:443/quire/", "/quire", "https://example.org"),
        ("http://example.org:8080/a/b", "/a/b", "http://example.org:8080"),
        ("http://[::1]:8000", "", "http://[::1]:8000"),
    ],
)
def test_the_public_address_gives_the_prefix_and_the_origin(url: str, prefix: str, origin: str) -> None:
    settings = Settings.load({"QUIRE_PUBLIC_URL": url})
    assert (settings.prefix, settings.origin) == (prefix, origin)


def test_every_setting_says_what_it_does() -> None:
    for key, _, about in documented():
        assert about.endswith("."), key
    assert {key for key, _, _ in documented()} == set(KEYS.values())


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("s3://bucket", S3Place("bucket", "")),
        ("s3://bucket/", S3Place("bucket", "")),
        ("s3://my.bucket-1/some/where/", S3Place("my.bucket-1", "some/where")),
        ("/srv/objects", pathlib.Path("/srv/objects")),
    ],
)
def test_objects_lie_in_a_folder_or_a_bucket(said: str, place: object) -> None:
    settings = Settings.load({"QUIRE_OBJECTS": said})
    assert settings.objects == place
    assert str(settings.objects) == said.rstrip("/")


@pytest.mark.parametrize(
    "said", ["s3://", "s3:bucket", "s3://B", "s3://bucket//x", "s3://bucket/../x", "s3://bucket/" + "x/" * 70 + "x"]
)
def test_a_place_for_objects_that_cannot_be_is_refused(said: str) -> None:
    with pytest.raises(SettingInvalid, match="s3://bucket/prefix"):
        Settings.load({"QUIRE_OBJECTS": said})


def test_credentials_come_from_the_environment_and_are_not_shown() -> None:
    settings = Settings.load(
        {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_DEFAULT_REGION": "eu-central-1"}
    )
    assert settings.aws == Aws(access_key="id", secret_key="a-secret", region="eu-central-1")
    assert "a-secret" not in repr(settings)
