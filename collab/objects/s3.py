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
from collab.errors import Unavailable
from collab.objects.base import Object
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

MARK: Final = "quire-put"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the objects lie and how they are reached. What is None is found as the `aws` command finds it."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
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
        self._client = _client(bucket)

    async def get(self, key: str) -> Object:
        name = self._name(key)

        def run() -> Object:
            answer = self._client.get_object(Bucket=self._bucket, Key=name)
            # Not `with`: that gives urllib3's stream, whose errors and missing checksums nobody turns into botocore's.
            with contextlib.closing(answer["Body"]) as body:
                return Object(body.read(), answer["ETag"])

        return await self._do(run, key)

    async def exists(self, key: str) -> bool:
        """By listing: to a question about one object the answer is a bare 404, be it the key or the bucket that is gone."""
        name = self._name(key)
        page = await self._do(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=name, MaxKeys=1), key)
        return any(found["Key"] == name for found in page.get("Contents", ()))

    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        name = self._name(key)
        condition: dict[str, str] = {}
        if if_none_match:
            condition["IfNoneMatch"] = "*"
        if if_match is not None:
            condition["IfMatch"] = if_match
        if len(content) > PART and not condition:
            return await self._put_in_parts(key, name, content)
        mark = secrets.token_hex(8)

        def run() -> str:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=name, Body=content, Metadata={MARK: mark}, **condition
            )
            tag: str = answer["ETag"]
            return tag

        return await self._do(run, key, mark=mark if condition else None)

    async def copy(self, source: str, target: str) -> None:
        name, origin = self._name(target), {"Bucket": self._bucket, "Key": self._name(source)}
        await self._do(lambda: self._client.copy_object(Bucket=self._bucket, Key=name, CopySource=origin), source)

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

    async def aclose(self) -> None:
        await to_thread.run_sync(self._client.close)

    def _name(self, key: str) -> str:
        return self._prefix + check(key)

    def _lister(self, prefix: str, more: dict[str, str]) -> Callable[[], Any]:
        return lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)

    async def _put_in_parts(self, key: str, name: str, content: bytes) -> str:
        place = {"Bucket": self._bucket, "Key": name}
        upload = (await self._do(lambda: self._client.create_multipart_upload(**place), key))["UploadId"]
        tags: dict[int, str] = {}

        async def put_part(number: int) -> None:
            part = content[(number - 1) * PART : number * PART]

            def run() -> str:
                answer = self._client.upload_part(**place, UploadId=upload, PartNumber=number, Body=part)
                tag: str = answer["ETag"]
                return tag

            tags[number] = await self._do(run, key)

        try:
            await each(range(1, -(-len(content) // PART) + 1), put_part, at_once=PARTS_AT_ONCE)
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


def _client(bucket: Bucket) -> Any:
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
        request_checksum_calculation=bucket.checksums,
        response_checksum_validation=bucket.checksums,
        tcp_keepalive=True,
    )
    region = session.region_name or "us-east-1"
    return session.client("s3", region_name=region, endpoint_url=bucket.endpoint, config=config)
