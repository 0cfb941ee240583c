"""Credentials for other services, sealed: nothing that opens another house's door is ever stored in clear.

What it promises
1. A sealed secret is ciphertext (AES-256-GCM, its own random nonce): without the key it says nothing but its length, and what
   was changed, or stands where it was not put (another project, another name), does not open.
2. The key is not stored with what it seals: it is a setting, or a file that backups leave out.
3. The first key seals; every key that is given opens. So a key is changed by putting the new one before the old one.

What breaks it: a key that is lost. Then `Sealed` is all there is, and the secret has to be given again (`SecretLost`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from collab.errors import Unavailable
from collab.ids import ProjectId
from collab.store.base import PutRecord, Store

CREDENTIALS: Final = "credentials"

VERSION: Final = b"\x01"
NAME: Final = 4
NONCE: Final = 12
"""Bytes: of a key's name, by which the one that sealed is found, and of a nonce."""


class SecretLost(Unavailable):
    """It was sealed with a key that is not here."""

    code = "secret_lost"


class Sealed(msgspec.Struct, frozen=True):
    """As it is stored."""

    sealed: str


def fresh_key() -> str:
    return secrets.token_hex(32)


class Sealer:
    """`keys`: texts of at least 128 bits of chance; the first one seals."""

    def __init__(self, *keys: str) -> None:
        if not keys:
            raise ValueError("a sealer needs a key")
        self._keys = {_name(key): _cipher(key) for key in reversed(keys)}
        self._first = _name(keys[0])

    def __repr__(self) -> str:
        return "Sealer()"

    def seal(self, secret: str, *, about: str) -> str:
        """`about`: what it is for. It opens for that alone."""
        nonce = secrets.token_bytes(NONCE)
        closed = self._keys[self._first].encrypt(nonce, secret.encode(), about.encode())
        return base64.urlsafe_b64encode(VERSION + self._first + nonce + closed).decode()

    def open(self, sealed: str, *, about: str) -> str:
        try:
            raw = base64.urlsafe_b64decode(sealed)
        except (binascii.Error, ValueError) as error:
            raise _lost(about) from error
        key = self._keys.get(raw[1 : 1 + NAME]) if raw[:1] == VERSION else None
        if key is None:
            raise _lost(about)
        nonce, closed = raw[1 + NAME : 1 + NAME + NONCE], raw[1 + NAME + NONCE :]
        try:
            return key.decrypt(nonce, closed, about.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise _lost(about) from error


def put(sealer: Sealer, project: ProjectId, name: str, secret: str | None) -> PutRecord:
    """`project` "" is the installation. None: it is forgotten."""
    value = None if secret is None else msgspec.json.encode(Sealed(sealer.seal(secret, about=_about(project, name))))
    return PutRecord(collection=CREDENTIALS, project=project, key=name, value=value)


async def secret(store: Store, sealer: Sealer, project: ProjectId, name: str) -> str | None:
    """None: there is none. `SecretLost`: there is, and it cannot be opened here."""
    found = await store.record(CREDENTIALS, project, name)
    if found is None:
        return None
    return sealer.open(msgspec.json.decode(found, type=Sealed).sealed, about=_about(project, name))


def _about(project: ProjectId, name: str) -> str:
    return f"{project}/{name}"


def _name(key: str) -> bytes:
    return hashlib.sha256(b"quire key name\0" + key.encode()).digest()[:NAME]


def _cipher(key: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"quire credentials").derive(key.encode()))


def _lost(about: str) -> SecretLost:
    return SecretLost(
        "The stored credential cannot be opened: it was sealed with a key that is not here. Give the credential again, or bring "
        "the key back (QUIRE_SECRET_KEY, or the file secret-key of the data directory).",
        details={"about": about.rpartition("/")[2]},
    )
