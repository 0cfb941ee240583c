"""What a stranger finds in a project's place in the object store, checked as they read it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from collab.errors import NotFound
from collab.objects.base import ObjectStore
from collab.store.base import Project
from tests.snapshots.git import blob_sha


@dataclass
class Found:
    number: int
    contents: dict[str, bytes]
    """By path."""
    files: dict[str, bytes]
    """What lies under `files/`."""


async def look(objects: ObjectStore, project: Project) -> Found | None:
    """The newest snapshot, and the plain files that follow it."""
    found = await newest(objects, project)
    if found is None:
        return None
    below = f"projects/{project.id}/files/"
    keys = [key async for key in objects.list(below)]
    found.files = {key.removeprefix(below): (await objects.get(key)).content for key in keys}
    return found


async def newest(objects: ObjectStore, project: Project) -> Found | None:
    """HEAD, its manifest and every blob that it names, which must all be there and be what they are named after."""
    root = f"projects/{project.id}/"
    try:
        number = int((await objects.get(f"{root}HEAD")).content)
    except NotFound:
        return None
    manifest = json.loads((await objects.get(f"{root}snapshots/{number}.json")).content)
    contents = {}
    for file in manifest["files"]:
        assert set(file) == {"path", "mode", "sha", "document", "position"}
        if file["mode"] == "160000":
            continue
        content = (await objects.get(f"{root}blobs/{file['sha']}")).content
        assert blob_sha(content) == file["sha"]
        contents[file["path"]] = content
    return Found(number, contents, {})
