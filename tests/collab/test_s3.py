"""What is S3's own: answers that are lost, servers that are busy, buckets that are gone, files that go in parts."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from collab.errors import NotFound, Stale, Unavailable
from collab.objects.s3 import ATTEMPTS, PART, S3Objects
from tests.harness.s3 import SIGNED, Fault, Proxy, bucket, objects_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def objects(proxy: Proxy, bucket_name: str) -> AsyncIterator[S3Objects]:
    made = objects_in(proxy.address, bucket_name)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    "fault",
    [Fault("before"), Fault("after"), Fault(500), Fault(503, "SlowDown"), Fault(429, "TooManyRequests")],
    ids=lambda fault: str(fault.kind),
)
async def test_what_passes_by_itself_is_tried_again(objects: S3Objects, proxy: Proxy, fault: Fault) -> None:
    proxy.faults.extend([fault] * (ATTEMPTS - 1))
    await objects.put("k", b"one")
    for ask in (objects.get, objects.exists, lambda _: objects.copy("k", "l"), objects.delete):
        proxy.faults.extend([fault] * (ATTEMPTS - 1))
        await ask("k")
    assert [key async for key in objects.list()] == ["l"]


async def test_what_lasts_is_unavailable_and_never_absence(objects: S3Objects, proxy: Proxy) -> None:
    await objects.put("k", b"one")
    proxy.down = True
    for attempt in (objects.get("k"), objects.exists("k"), objects.put("k", b""), objects.delete("k")):
        with pytest.raises(Unavailable, match="does not answer"):
            await attempt
    proxy.down = False
    assert (await objects.get("k")).content == b"one"


@pytest.mark.parametrize("creates", [True, False])
async def test_a_swap_whose_answer_was_lost_is_known_to_have_won(
    objects: S3Objects, proxy: Proxy, creates: bool
) -> None:
    before = None if creates else await objects.put("k", b"one")
    proxy.faults.append(Fault("after", method="PUT"))
    tag = await objects.put("k", b"two", if_match=before, if_none_match=creates)
    found = await objects.get("k")
    assert (found.content, found.tag) == (b"two", tag)


async def test_a_swap_that_was_won_and_then_replaced_by_another_is_not_called_lost(
    objects: S3Objects, proxy: Proxy, bucket_name: str, s3_address: str
) -> None:
    """Nobody can know it then, so nobody says it."""
    first = await objects.put("k", b"one")
    other = objects_in(s3_address, bucket_name)
    await other.put("k", b"theirs")
    proxy.faults.append(Fault("before", method="PUT"))
    with pytest.raises(Unavailable, match="not known"):
        await objects.put("k", b"ours", if_match=first)
    assert (await other.get("k")).content == b"theirs"
    await other.aclose()


async def test_two_writers_that_meet_in_the_server_try_again(objects: S3Objects, proxy: Proxy) -> None:
    proxy.faults.append(Fault(409, "ConditionalRequestConflict"))
    await objects.put("k", b"one", if_none_match=True)
    with pytest.raises(Stale):
        await objects.put("k", b"two", if_none_match=True)


async def test_a_bucket_that_is_gone_is_trouble_and_not_absence(s3_address: str) -> None:
    objects = objects_in(s3_address, "no-such-bucket")
    keys: list[str] = []
    for attempt in (
        objects.get("k"),
        objects.exists("k"),
        objects.put("k", b""),
        objects.put("k", b"", if_match='"x"'),
        objects.put("k", b"x" * (PART + 1)),
        objects.copy("k", "l"),
        objects.delete("k"),
    ):
        with pytest.raises(Unavailable, match="bucket no-such-bucket is not there"):
            keys.append(str(await attempt))
    with pytest.raises(Unavailable, match="bucket no-such-bucket is not there"):
        keys += [key async for key in objects.list()]
    assert keys == []
    await objects.aclose()


async def test_what_may_not_be_done_is_said_at_once_with_what_to_check(objects: S3Objects, proxy: Proxy) -> None:
    proxy.faults.append(Fault(403, "AccessDenied"))
    with pytest.raises(Unavailable, match=r"refuses GetObject.*AccessDenied.*policy"):
        await objects.get("k")
    assert proxy.requests["GET"] == 1


async def test_what_is_large_goes_in_parts_and_comes_back_whole(objects: S3Objects, proxy: Proxy) -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range((2 * PART + 1000) // 4))
    proxy.faults.extend(
        [Fault(503, "SlowDown", method="PUT"), Fault("after", method="PUT"), Fault("before", method="POST")]
    )
    tag = await objects.put("large", content)
    found = await objects.get("large")
    assert found.content == content
    assert found.tag == tag
    assert proxy.requests["PUT"] == 5
    await objects.put("large", b"small", if_match=tag)
    await objects.put("exactly", content[:PART])
    assert proxy.requests["PUT"] == 7


async def test_a_large_file_goes_in_parts_and_comes_in_pieces_each_tried_again(
    objects: S3Objects, proxy: Proxy, tmp_path: pathlib.Path
) -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range((PART + 1000) // 4))
    (tmp_path / "large").write_bytes(content)
    proxy.faults.extend([Fault("after", method="PUT"), Fault(503, "SlowDown", method="PUT")])
    await objects.put_file("large", tmp_path / "large")
    assert proxy.requests["PUT"] == 4
    proxy.faults.extend([Fault("cut", method="GET", key="/large"), Fault("before", method="GET", key="/large")])
    async with objects.read("large", 10) as reading:
        assert b"".join([chunk async for chunk in reading.chunks]) == content[10:]


async def test_what_is_too_large_for_one_copy_is_copied_in_parts(objects: S3Objects, proxy: Proxy) -> None:
    content = b"0123456789abcdef" * ((PART + 1600) // 16)
    await objects.put("large", content)
    proxy.faults.append(Fault(400, "InvalidRequest", method="PUT", key="/copied"))
    await objects.copy("large", "copied")
    assert (await objects.get("copied")).content == content


async def test_a_link_opens_one_object_for_whoever_has_it(s3_address: str, bucket_name: str) -> None:
    objects = objects_in(s3_address, bucket_name, "some/where")
    await objects.put("k", b"0123456789")
    address = await objects.link(
        "k", seconds=60, content_type="application/pdf", disposition='attachment; filename="a"'
    )
    assert address is not None
    assert "X-Amz-Expires=60" in address
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.get(address, headers={"range": "bytes=2-3"})
    assert (answer.status_code, answer.content) == (206, b"23")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="a"'
    await objects.aclose()


async def test_links_lead_where_clients_can_go(s3_address: str, bucket_name: str) -> None:
    objects = S3Objects(replace(bucket(s3_address, bucket_name), public_endpoint="https://files.example.org"))
    address = await objects.link("k", seconds=60, content_type="text/plain", disposition="attachment")
    assert address is not None
    assert address.startswith(f"https://files.example.org/{bucket_name}/k?")
    await objects.aclose()


async def test_parts_that_cannot_all_be_sent_leave_nothing_behind(
    objects: S3Objects, proxy: Proxy, bucket_name: str, s3_address: str
) -> None:
    await objects.put("large", b"before")
    proxy.faults.extend([Fault(400, "BadDigest", method="PUT", key="partNumber=2")])
    with pytest.raises(Unavailable, match="BadDigest"):
        await objects.put("large", b"x" * (2 * PART))
    assert (await objects.get("large")).content == b"before"
    async with httpx.AsyncClient(headers={"authorization": SIGNED}) as raw:
        left = await raw.get(f"{s3_address}/{bucket_name}?uploads")
    assert "ListMultipartUploadsResult" in left.text
    assert "<UploadId>" not in left.text


async def test_an_answer_that_breaks_off_is_asked_for_again(objects: S3Objects, proxy: Proxy) -> None:
    await objects.put("k", b"one" * 1000)
    proxy.faults.append(Fault("cut", method="GET"))
    assert (await objects.get("k")).content == b"one" * 1000
    assert proxy.requests["GET"] == 2


async def test_objects_of_others_below_the_prefix_are_not_ours(s3_address: str, bucket_name: str) -> None:
    objects = objects_in(s3_address, bucket_name, "quire")
    await objects.put("k", b"")
    async with httpx.AsyncClient(headers={"authorization": SIGNED}) as raw:
        for name in ("quire/folder/", "quire/=strange", "other/k", "quirex/k"):
            (await raw.put(f"{s3_address}/{bucket_name}/{name}")).raise_for_status()
    assert [key async for key in objects.list()] == ["k"]
    with pytest.raises(NotFound):
        await objects.get("folder/k")
    await objects.aclose()


async def test_credentials_are_not_shown(s3_address: str) -> None:
    shown = repr(replace(bucket(s3_address, "b"), secret_key="a-secret", session_token="another-secret"))
    assert "-secret" not in shown


async def test_no_credentials_are_said_in_words_that_help(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    objects = S3Objects(replace(bucket(s3_address, "b"), access_key=None, secret_key=None))
    with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
        await objects.get("k")
    await objects.aclose()


def test_nothing_of_it_is_loaded_when_it_is_not_configured() -> None:
    code = "import sys, web.app, web.cli; sys.exit(any(name.split('.')[0] == 'boto3' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
