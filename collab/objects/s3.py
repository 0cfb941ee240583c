"""The ObjectStore in a bucket of S3, or of a server that speaks its language.

Requests run in worker threads, so many at once. What may pass by itself (no answer, 5xx, 429, a conflict of two writers) is
tried again, later each time and by chance a little later still; what will not (no permission, no bucket) is `Unavailable`
at once, and its message says what to look at. "There is none" is said only of a key, never of a bucket.

A swap is one request with `If-Match` or `If-None-Match`. When its answer was lost, and the next attempt is told that the
object is not what was expected, the object itself tells who wrote it: every put leaves a mark of its own in the metadata.

What breaks it: a server that ignores conditions. MinIO, Ceph and Amazon's keep them.
"""

from __future__ import annotations

import contextlib
import pathlib
import random
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeVar

import anyio
import boto3  # type: ignore[import-untyped]
from anyio import to_thread
from botocore import exceptions as failures  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

from collab.crowd import each
from collab.errors import NotFound, Stale, Unavailable
from collab.objects.base import CHUNK, Object, Reading
from collab.objects.keys import PREFIX_LENGTH, absent, check, not_as_expected, possible

ATTEMPTS: Final = 5
FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 5.0
"""Seconds; a wait is doubled each time, and by chance up to twice as long."""
CONNECT_WITHIN: Final = 5.0
ANSWER_WITHIN: Final = 30.0
"""Seconds without a byte."""
PART: Final = 8 * 1024 * 1024
"""What is larger goes in parts of this size. A swap never does: it is one request or none."""
PARTS_AT_ONCE: Final = 4
PARTS_MOST: Final = 10_000
"""S3's own limit: what is larger than so many parts has larger parts."""
TOO_LARGE: Final = frozenset({"InvalidRequest", "EntityTooLarge"})
"""What S3 says of a source that is too large for one copy (5 GB)."""

MARK: Final = "quire-put"

Piece = Callable[[int, int], bytes]
"""The bytes from one place up to another."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the objects lie and how they are reached. What is None is found as the `aws` command finds it."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    """How clients reach it, if that is not `endpoint`: links lead there."""
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    addressing: Literal["auto", "path", "virtual"] = "auto"
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    at_once: int = 16


class Verdict(Enum):
    ABSENT = "the key is known to be absent"
    NOT_AS_EXPECTED = "a condition did not hold, and nothing was done"
    AGAIN = "it may pass by itself, and may have happened"
    NOT_SENT = "it may pass by itself, and has not happened"
    REFUSED = "somebody has to do something"


class S3Objects:
    """See `collab.objects.base.ObjectStore`. `chance` spreads what is tried again; `first_wait` is for tests."""

    def __init__(
        self, bucket: Bucket, *, chance: Callable[[], float] = random.random, first_wait: float = FIRST_WAIT
    ) -> None:
        self._bucket = bucket.name
        self._prefix = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        if len(self._prefix.encode()) > PREFIX_LENGTH:
            raise ValueError(f"the prefix is longer than {PREFIX_LENGTH - 1} bytes")
        self._chance = chance
        self._first_wait = first_wait
        self._limiter = anyio.CapacityLimiter(bucket.at_once)
        self._client = _client(bucket, bucket.endpoint)
        self._signer = self._client if bucket.public_endpoint is None else _client(bucket, bucket.public_endpoint)

    async def get(self, key: str) -> Object:
        name = self._name(key)

        def run() -> Object:
            answer = self._client.get_object(Bucket=self._bucket, Key=name)
            # Not `with`: that gives urllib3's stream, whose errors and missing checksums nobody turns into botocore's.
            with contextlib.closing(answer["Body"]) as body:
                return Object(body.read(), answer["ETag"])

        return await self._do(run, key)

    @contextlib.asynccontextmanager
    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[Reading]:
        """A request for every piece: no connection is held for a reader who is slow, and each is tried again by itself."""
        size, tag = await self._found(key)
        yield Reading(size, self._chunks(key, tag, start, size if stop is None else min(stop, size)))

    async def size(self, key: str) -> int:
        return (await self._found(key))[0]

    async def exists(self, key: str) -> bool:
        return await self._look(key) is not None

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        name = self._name(key)
        condition: dict[str, str] = {}
        if if_none_match:
            condition["IfNoneMatch"] = "*"
        if if_match is not None:
            condition["IfMatch"] = if_match
        if len(content) > PART and not condition:
            return await self._put_in_parts(key, name, len(content), lambda start, stop: content[start:stop])
        mark = secrets.token_hex(8)

        def run() -> str:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=name, Body=content, Metadata={MARK: mark}, **condition
            )
            tag: str = answer["ETag"]
            return tag

        return await self._do(run, key, mark=mark if condition else None)

    async def put_file(self, key: str, file: pathlib.Path) -> str:
        name = self._name(key)
        size = (await anyio.Path(file).stat()).st_size
        if size <= PART:
            return await self.put(key, await anyio.Path(file).read_bytes())
        return await self._put_in_parts(key, name, size, lambda start, stop: _piece(file, start, stop))

    async def copy(self, source: str, target: str) -> None:
        name, origin = self._name(target), {"Bucket": self._bucket, "Key": self._name(source)}

        def run() -> bool:
            try:
                self._client.copy_object(Bucket=self._bucket, Key=name, CopySource=origin)
            except failures.ClientError as error:
                if _code(error) not in TOO_LARGE:
                    raise
                return False
            return True

        if not await self._do(run, source):
            await self._copy_in_parts(source, name, origin)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        more: dict[str, str] = {}
        while True:
            page = await self._do(self._lister(prefix, more), prefix)
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if possible(key):  # what others have put there is not ours to name
                    yield key
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str) -> None:
        name = self._name(key)
        await self._do(lambda: self._client.delete_object(Bucket=self._bucket, Key=name), key)

    async def link(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        place = {"Bucket": self._bucket, "Key": self._name(key)}
        answer = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, no-store",
        }

        def sign() -> str:
            address: str = self._signer.generate_presigned_url("get_object", Params=place | answer, ExpiresIn=seconds)
            return address

        # Credentials may have to be fetched first.
        return await self._do(sign, key)

    async def aclose(self) -> None:
        await to_thread.run_sync(self._client.close)

    def _name(self, key: str) -> str:
        return self._prefix + check(key)

    def _lister(self, prefix: str, more: dict[str, str]) -> Callable[[], Any]:
        return lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)

    async def _look(self, key: str) -> dict[str, Any] | None:
        """By listing: to a question about one object the answer is a bare 404, be it the key or the bucket that is gone."""
        name = self._name(key)
        page = await self._do(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=name, MaxKeys=1), key)
        return next((found for found in page.get("Contents", ()) if found["Key"] == name), None)

    async def _found(self, key: str) -> tuple[int, str]:
        """Size and tag."""
        found = await self._look(key)
        if found is None:
            raise absent(key)
        return found["Size"], found["ETag"]

    async def _chunks(self, key: str, tag: str, start: int, stop: int) -> AsyncIterator[bytes]:
        name = self._name(key)

        def run(piece: str) -> bytes:
            answer = self._client.get_object(Bucket=self._bucket, Key=name, Range=piece, IfMatch=tag)
            with contextlib.closing(answer["Body"]) as body:
                content: bytes = body.read()
                return content

        for at in range(start, stop, CHUNK):
            piece = f"bytes={at}-{min(at + CHUNK, stop) - 1}"
            try:
                yield await self._do(lambda piece=piece: run(piece), key)  # type: ignore[misc]
            except (NotFound, Stale) as error:
                raise Unavailable(f"the object {key} was replaced while it was read") from error

    async def _put_in_parts(self, key: str, name: str, size: int, piece: Piece) -> str:
        place = {"Bucket": self._bucket, "Key": name}

        def put(upload: str, number: int, start: int, stop: int) -> str:
            answer = self._client.upload_part(**place, UploadId=upload, PartNumber=number, Body=piece(start, stop))
            tag: str = answer["ETag"]
            return tag

        return await self._in_parts(key, place, size, put)

    async def _copy_in_parts(self, source: str, name: str, origin: dict[str, str]) -> None:
        """What is too large for one request; it does not pass through here all the same."""
        place = {"Bucket": self._bucket, "Key": name}

        def put(upload: str, number: int, start: int, stop: int) -> str:
            answer = self._client.upload_part_copy(
                **place,
                UploadId=upload,
                PartNumber=number,
                CopySource=origin,
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )
            tag: str = answer["CopyPartResult"]["ETag"]
            return tag

        await self._in_parts(source, place, await self.size(source), put)

    async def _in_parts(
        self, key: str, place: dict[str, str], size: int, put: Callable[[str, int, int, int], str]
    ) -> str:
        upload = (await self._do(lambda: self._client.create_multipart_upload(**place), key))["UploadId"]
        part = max(PART, -(-size // PARTS_MOST))
        tags: dict[int, str] = {}

        async def put_part(number: int) -> None:
            start = (number - 1) * part
            tags[number] = await self._do(lambda: put(upload, number, start, min(start + part, size)), key)

        try:
            await each(range(1, -(-size // part) + 1), put_part, at_once=PARTS_AT_ONCE)
            parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
            answer = await self._do(
                lambda: self._client.complete_multipart_upload(
                    **place, UploadId=upload, MultipartUpload={"Parts": parts}
                ),
                key,
            )
        except BaseException:
            await self._give_up(place, upload)
            raise
        tag: str = answer["ETag"]
        return tag

    async def _give_up(self, place: dict[str, str], upload: str) -> None:
        """One attempt: a rule of the bucket sweeps away what is left (docs/s3.md)."""
        with anyio.CancelScope(shield=True):
            try:
                await to_thread.run_sync(
                    lambda: self._client.abort_multipart_upload(**place, UploadId=upload), limiter=self._limiter
                )
            except (failures.ClientError, failures.BotoCoreError):
                return

    async def _do(self, run: Callable[[], T], key: str, *, mark: str | None = None) -> T:
        """`mark` belongs to a swap: what its object holds when it is ours."""
        maybe = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await to_thread.run_sync(run, limiter=self._limiter)
            except (failures.ClientError, failures.BotoCoreError) as error:
                verdict, failure = judge(error), error
            if verdict is Verdict.ABSENT and mark is None:
                raise absent(key) from failure
            if verdict in (Verdict.ABSENT, Verdict.NOT_AS_EXPECTED):
                if not maybe:
                    raise not_as_expected(key) from failure
                ours: T = await self._was_it_us(key, mark, failure)
                return ours
            if verdict is Verdict.REFUSED:
                break
            maybe = maybe or verdict is Verdict.AGAIN
            if attempt < ATTEMPTS:
                wait = min(self._first_wait * 2 ** (attempt - 1), LONGEST_WAIT)
                await anyio.sleep(wait * (1 + self._chance()))
        raise Unavailable(self._trouble(failure)) from failure

    async def _was_it_us(self, key: str, mark: str | None, failure: Exception) -> Any:
        """The tag, if the object is as our lost answer would have said."""
        name = self._name(key)
        found = await self._do(lambda: self._client.head_object(Bucket=self._bucket, Key=name), key)
        if found.get("Metadata", {}).get(MARK) != mark:
            raise Unavailable(f"it is not known whether {key} was replaced: the answer was lost") from failure
        return found["ETag"]

    def _trouble(self, failure: Exception) -> str:
        """For people: what to look at."""
        if not isinstance(failure, failures.ClientError):
            if isinstance(failure, failures.NoCredentialsError | failures.PartialCredentialsError):
                return "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return f"S3 does not answer: {failure}"
        code, status = _code(failure), _status(failure)
        if code == "NoSuchBucket":
            return f"the bucket {self._bucket} is not there: create it, or correct QUIRE_OBJECTS"
        if status in (401, 403):
            return (
                f"S3 refuses {failure.operation_name} in the bucket {self._bucket} ({code}): check the credentials and the "
                "policy (docs/s3.md)"
            )
        return f"S3 failed at {failure.operation_name}: {status} {code}"


def _piece(file: pathlib.Path, start: int, stop: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(stop - start)


def judge(error: Exception) -> Verdict:
    """By status and code, never by the text of a message."""
    if not isinstance(error, failures.ClientError):
        if isinstance(error, failures.ConnectTimeoutError | failures.EndpointConnectionError):
            return Verdict.NOT_SENT
        passing = (failures.HTTPClientError, failures.IncompleteReadError, failures.CredentialRetrievalError)
        return Verdict.AGAIN if isinstance(error, passing) else Verdict.REFUSED
    code, status = _code(error), _status(error)
    if code == "NoSuchKey":
        return Verdict.ABSENT
    if status == 412 or code == "PreconditionFailed":
        return Verdict.NOT_AS_EXPECTED
    if code in ("ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"):
        return Verdict.AGAIN
    return Verdict.AGAIN if status >= 500 or status == 429 else Verdict.REFUSED


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _client(bucket: Bucket, endpoint: str | None) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        aws_session_token=bucket.session_token,
        region_name=bucket.region,
    )
    config = Config(
        connect_timeout=CONNECT_WITHIN,
        read_timeout=ANSWER_WITHIN,
        max_pool_connections=bucket.at_once,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": bucket.addressing},
        signature_version="s3v4",
        request_checksum_calculation=bucket.checksums,
        response_checksum_validation=bucket.checksums,
        tcp_keepalive=True,
    )
    region = session.region_name or "us-east-1"
    return session.client("s3", region_name=region, endpoint_url=endpoint, config=config)
