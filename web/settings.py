"""What the operator decides: one frozen object, and the only module that reads the environment.

A value comes from, in this order: what the command line said, `QUIRE_*` in the environment, the TOML file named by
`QUIRE_CONFIG` (keys are the variables' names, small and without `QUIRE_`), the default. A value that cannot be is
refused with its key, the value and what would be right; an unknown key in the file is refused, one in the
environment is warned about (it may belong to another program), both with the nearest known name.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import pathlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from collab.errors import Invalid
from collab.objects.keys import PREFIX_LENGTH, possible

PREFIX: Final = "QUIRE_"
CONFIG: Final = "QUIRE_CONFIG"

FIRST_PARTS: Final = frozenset(
    {"api", "assets", "git", "github", "healthz", "hooks", "join", "login", "metrics", "p", "readyz", "sync"}
)
"""What our own addresses begin with: a path prefix that did could not be told from them."""

MB: Final = 1_000_000

SHORT: Final = 16
"""Characters below which a root token is warned about."""


class SettingInvalid(Invalid):
    code = "setting_invalid"


def _refuse(key: str, value: object, right: str) -> SettingInvalid:
    return SettingInvalid(f"{key} is {value!r}: {right}", field=key)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
        raise _refuse(key, value, "give a text that is not empty, without spaces around it")
    return value


def _secret(key: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise SettingInvalid(f"{key} cannot be used: give printable ASCII without spaces", field=key)
    return value


KEY_LENGTH: Final = 32
"""Characters of a key that seals credentials: 128 bits of chance as hexadecimal digits."""


def _sealing_keys(key: str, value: object) -> str:
    """One or several with commas between."""
    keys = value.split(",") if isinstance(value, str) else []
    if not keys or not all(re.fullmatch(r"[!-+\--~]+", each) and len(each) >= KEY_LENGTH for each in keys):
        raise SettingInvalid(
            f"{key} cannot be used: give {KEY_LENGTH} printable characters or more without spaces, such as "
            "`openssl rand -hex 32` prints; several with commas between, of which the first one seals",
            field=key,
        )
    return ",".join(keys)


def _folder(key: str, value: object) -> pathlib.Path:
    if isinstance(value, pathlib.Path):
        return value
    return pathlib.Path(_text(key, value)).expanduser()


@dataclass(frozen=True, slots=True)
class S3Place:
    """`s3://bucket/prefix`."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def place(key: str, value: object) -> pathlib.Path | S3Place:
    if isinstance(value, pathlib.Path) or not _text(key, value).startswith("s3:"):
        return _folder(key, value)
    right = f"give a folder, or s3://bucket or s3://bucket/prefix (a prefix of at most {PREFIX_LENGTH - 1} bytes)"
    bucket, _, prefix = _text(key, value).removeprefix("s3://").rstrip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not possible(prefix)) or len(prefix.encode()) >= PREFIX_LENGTH:
        raise _refuse(key, value, right)
    return S3Place(bucket, prefix)


def _backup(key: str, value: object) -> str | pathlib.Path | S3Place:
    if isinstance(value, str) and value.lower() in ("auto", "off"):
        return value.lower()
    return place(key, value)


@dataclass(frozen=True, slots=True)
class Aws:
    """What the variables of Amazon's own tools say; what they do not, boto3 finds as those tools do."""

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Aws:
        def read(key: str) -> str | None:
            return environ.get(key) or None

        return cls(
            access_key=read("AWS_ACCESS_KEY_ID"),
            secret_key=read("AWS_SECRET_ACCESS_KEY"),
            session_token=read("AWS_SESSION_TOKEN"),
            region=read("AWS_REGION") or read("AWS_DEFAULT_REGION"),
        )


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def parse(key: str, value: object) -> int:
        right = f"give a whole number from {low} to {high}"
        try:
            number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise _refuse(key, value, right)
        return number

    return parse


_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d|)")


def seconds(key: str, value: object) -> float:
    """A duration in seconds: `90`, `1.5`, `"250ms"`, `"90s"`, `"10m"`, `"1h"`, `"7d"`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = format(value, "f")
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _refuse(key, value, "give seconds (60, 0.5) or a duration (90s, 10m, 1h, 7d)")
    return float(match[1]) * _UNITS[match[2]]


def _above_zero(key: str, value: object) -> float:
    found = seconds(key, value)
    if not found:
        raise _refuse(key, value, "give a duration above zero")
    return found


def _yes_or_no(key: str, value: object) -> bool:
    known = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}
    found = value if isinstance(value, bool) else known.get(str(value).lower())
    if found is None:
        raise _refuse(key, value, "give yes or no")
    return found


def _one_of(*choices: str) -> Callable[[str, object], str]:
    def parse(key: str, value: object) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise _refuse(key, value, f"give one of {', '.join(choices)}")
        return value.lower()

    return parse


def _url(key: str, value: object) -> str:
    """An absolute http(s) address without query, without a slash at its end."""
    right = "give an address such as https://quire.example.org or https://example.org/quire"
    text = _text(key, value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise _refuse(key, value, right)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", parts.path):
        raise _refuse(key, value, right + "; a path may hold letters, digits, '.', '_', '~' and '-'")
    first = parts.path.split("/")[1] if parts.path else ""
    if key == "QUIRE_PUBLIC_URL" and first in FIRST_PARTS:
        raise _refuse(key, value, f"give another path: /{first} is an address of Quire's own")
    return text


def _setting(default: Any, parse: Callable[[str, object], Any], doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "doc": doc})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    data: pathlib.Path = _setting(
        pathlib.Path("quire-data"), _folder, "The directory that holds everything: database, objects, git repositories."
    )
    url: str | None = _setting(None, _url, "The server that commands talk to, instead of the data directory's own.")
    root_token: str | None = _setting(
        None,
        _secret,
        "The administrator's token, for provisioning. Not given: one is made and kept in `root-token` in the data directory.",
        secret=True,
    )
    public_url: str | None = _setting(
        None,
        _url,
        "The address that people use, a path prefix included: links and the allowed origin are made of it.",
    )
    host: str = _setting("127.0.0.1", _text, "The address to listen at; `0.0.0.0` or `::` for all.")
    port: int = _setting(8000, _whole(0, 65535), "The port to listen at; 0 takes a free one.")
    github_token: str | None = _setting(
        None,
        _secret,
        "A token for GitHub: of the server, for connections that have none of their own; of `quire connect`, for the one it makes.",
        secret=True,
    )
    github_api: str = _setting(
        "https://api.github.com", _url, "The address of GitHub's API, or of a server that is compatible with it."
    )
    secret_key: str | None = _setting(
        None,
        _sealing_keys,
        "What seals the credentials of connections: 32 characters or more. Several with commas between: the first one seals, "
        "all of them open. Not given: one is made and kept in `secret-key` in the data directory, which backups leave out.",
        secret=True,
    )
    objects: pathlib.Path | S3Place | None = _setting(
        None,
        place,
        "Where objects lie, a folder or `s3://bucket/prefix`; and then every snapshot of a project goes there too. "
        "Not given: what is not text lies in the data directory, and snapshots are git's alone.",
    )
    s3_endpoint: str | None = _setting(None, _url, "The address of an S3 server that is not Amazon's.")
    s3_addressing: Literal["auto", "path", "virtual"] = _setting(
        "auto",
        _one_of("auto", "path", "virtual"),
        "Where a request names the bucket: in the path or in the host. `auto`: in the path when there is an endpoint.",
    )
    s3_checksums: Literal["when_supported", "when_required"] = _setting(
        "when_supported",
        _one_of("when_supported", "when_required"),
        "`when_required` for servers that refuse the checksums of newer clients.",
    )
    s3_at_once: int = _setting(16, _whole(1, 256), "Requests to S3 side by side.")
    s3_redirect: int = _setting(
        0,
        _whole(0, 10**13),
        "Downloads of at least so many bytes are answered with 307 and an address in the bucket, good for a minute, so that "
        "they do not pass through the server; 0: never. Clients must be able to reach the bucket, and must follow.",
    )
    s3_public_endpoint: str | None = _setting(
        None, _url, "Where clients reach the S3 server, if that is not `QUIRE_S3_ENDPOINT`: redirects lead there."
    )
    snapshot_quiet: float = _setting(5.0, seconds, "Objects follow when a project was quiet for this long.")
    snapshot_max_age: float = _setting(
        30.0, seconds, "Objects follow at the latest this long after the first edit, quiet or not."
    )
    snapshot_keep: float = _setting(
        30 * 86400.0,
        seconds,
        "Snapshots in the object store are deleted when they are older than this; before that they are thinned out, to one "
        "an hour after an hour and one a day after a day. The newest stays, and what a commit names.",
    )
    backup: Literal["auto", "off"] | pathlib.Path | S3Place = _setting(
        "auto",
        _backup,
        "Where everything is backed up to, continuously: a folder or `s3://bucket/prefix`. `auto`: to where `QUIRE_OBJECTS` says, if "
        "it says anything; `off`: nowhere.",
    )
    backup_lag: float = _setting(
        1.0,
        _above_zero,
        "How old an edit may become before it is in the backup, when the object store answers quickly.",
    )
    backup_keep: float = _setting(
        30 * 86400.0, seconds, "Every moment of the last so many seconds can be restored (`quire restore --at`)."
    )
    backup_copy_every: float = _setting(
        86400.0,
        _above_zero,
        "How often the backup has a new copy of the whole database, if anything has changed; restoring begins with a copy. One is made "
        "earlier when the changes since the last one have grown larger than it.",
    )
    backup_check_every: float = _setting(
        7 * 86400.0,
        seconds,
        "How often the newest state is restored from the backup, in a process of its own, and verified; 0: never by itself.",
    )
    backup_keys: bool = _setting(
        False,
        _yes_or_no,
        "Whether the backup holds the keys of the installation too (`secret`, `secret-key`, `root-token`): who can read the bucket can "
        "then open everything that is sealed.",
    )
    commit_quiet: float = _setting(60.0, seconds, "A commit is made when a project was quiet for this long.")
    commit_max_age: float = _setting(
        600.0, seconds, "A commit is made at the latest this long after the first edit, quiet or not."
    )
    scheduler: Literal["on", "off"] = _setting(
        "on",
        _one_of("on", "off"),
        "`off`: commits and looks at branches are left to `quire snapshotter`, a process of its own.",
    )
    poll: float = _setting(
        5.0,
        seconds,
        "How often the branches on this machine are looked at for what others pushed; 0: only before a commit.",
    )
    github_poll: float = _setting(
        30.0,
        seconds,
        "How often the branches on GitHub are looked at, by a request that costs nothing while nothing has moved; ten times less "
        "often where webhooks arrive; 0: only before a commit.",
    )
    github_webhook_secret: str | None = _setting(
        None,
        _secret,
        "The secret of the webhooks on GitHub that point to `/hooks/github`; that of the GitHub App counts as well.",
        secret=True,
    )
    shutdown_timeout: float = _setting(
        20.0, seconds, "How long a stop may take: requests end, the log is drained, a last snapshot is made."
    )
    git_at_once: int = _setting(
        4, _whole(1, 64), "Clones, fetches and pushes over HTTP that are worked on side by side; others wait."
    )
    max_file: int = _setting(100 * MB, _whole(1, 10**12), "The largest file that one request may write, in bytes.")
    max_upload: int = _setting(2000 * MB, _whole(1, 10**13), "The largest upload for an import, in bytes.")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", _one_of("debug", "info", "warning", "error"), "What is logged; `debug` has a line for every request."
    )
    log_format: Literal["auto", "json", "console"] = _setting(
        "auto", _one_of("auto", "json", "console"), "`auto`: for people on a terminal, JSON lines elsewhere."
    )
    shipping: bool = True
    """False for a command that opens the data directory: its changes wait on disk until the server ships them. Not to be set."""
    aws: Aws = Aws()
    """From the environment alone, never from a file."""
    warnings: tuple[str, ...] = ()
    """What the operator should hear: keys of the environment that nothing knows."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, /, **overrides: Any) -> Settings:
        """`overrides` are what the command line said; None stands for "not said"."""
        environ = os.environ if environ is None else environ
        values = {name: value for name, value in overrides.items() if value is not None}
        unknown = values.keys() - KEYS.keys()
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        given = {KEYS[name]: value for name, value in values.items()}
        merged = {**_file(environ), **_known(environ), **given}
        fields = {
            f.name: f.metadata["parse"](KEYS[f.name], merged[KEYS[f.name]]) for f in FIELDS if KEYS[f.name] in merged
        }
        return cls(**fields, aws=Aws.of(environ), warnings=_warnings(environ))

    @property
    def backup_place(self) -> pathlib.Path | S3Place | None:
        """None: nothing is backed up continuously. (What lies in the data directory goes with it: that is no place for a backup.)"""
        if not isinstance(self.backup, str):
            return self.backup
        within = isinstance(self.objects, pathlib.Path) and self.objects.is_relative_to(self.data)
        return self.objects if self.backup == "auto" and not within else None

    @property
    def prefix(self) -> str:
        """The path under which everything lies, without a slash at its end: `/quire`, or empty."""
        return urlsplit(self.public_url).path if self.public_url else ""

    @property
    def origin(self) -> str | None:
        """Scheme, host and port of the public address, as a browser's Origin header has them."""
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        default = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + ("" if parts.port in (None, default) else f":{parts.port}")


FIELDS: Final = tuple(f for f in dataclasses.fields(Settings) if "parse" in f.metadata)
KEYS: Final[Mapping[str, str]] = {f.name: PREFIX + f.name.upper() for f in FIELDS}
"""Attribute -> variable."""


def documented() -> list[tuple[str, str, str]]:
    """Every setting that has an effect: its variable, its default as one would write it, what it does."""
    return [(KEYS[f.name], "" if f.default is None else format_default(f.default), f.metadata["doc"]) for f in FIELDS]


def format_default(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:g}"
    return str(value)


def _known(environ: Mapping[str, str]) -> dict[str, object]:
    return {key: value for key, value in environ.items() if key in KEYS.values() and value != ""}


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, [*KEYS.values(), CONFIG], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {*KEYS.values(), CONFIG}
    strange = sorted(key for key in environ if key.startswith(PREFIX) and key not in known)
    found = [f"{key} is no setting of Quire{_nearest(key)}" for key in strange]
    if 0 < len(environ.get("QUIRE_ROOT_TOKEN", "")) < SHORT:
        found.append(
            f"QUIRE_ROOT_TOKEN has fewer than {SHORT} characters: good for a test, not for a server that others reach"
        )
    return tuple(found)


def _file(environ: Mapping[str, str]) -> dict[str, object]:
    name = environ.get(CONFIG)
    if not name:
        return {}
    try:
        raw = pathlib.Path(name).expanduser().read_bytes()
    except OSError as error:
        raise _refuse(CONFIG, name, f"the file cannot be read ({error.strerror})") from error
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refuse(CONFIG, name, f"the file is not valid TOML ({error})") from error
    values: dict[str, object] = {}
    for small, value in table.items():
        key = PREFIX + small.upper()
        if small != small.lower() or key not in KEYS.values():
            raise SettingInvalid(
                f"{small!r} in {name} is no setting of Quire{_nearest(key).lower().replace('quire_', '')}", field=small
            )
        values[key] = value
    return values
