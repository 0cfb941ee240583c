"""A bare repository's branch as plain values, read and written by real git: what somebody with a clone does, in one process."""

from __future__ import annotations

import pathlib
import subprocess
from dataclasses import dataclass
from typing import Final

from tests.snapshots.git import ENVIRONMENT, git

FILE, SCRIPT, LINK, MODULE = 0o100644, 0o100755, 0o120000, 0o160000

Tree = dict[str, "Held"]
"""By path, bytes that are not UTF-8 as surrogates."""

NOBODY: Final = "alice <alice@example.org> 1700000000 +0000"


@dataclass(frozen=True, slots=True)
class Held:
    """Of a submodule, `content` is its commit in hex; of a symlink its target."""

    mode: int
    content: bytes


class Branch:
    def __init__(self, repository: pathlib.Path, name: str = "main") -> None:
        self._repository = repository
        self.ref = f"refs/heads/{name}"

    def head(self) -> str | None:
        return git(self._repository, "for-each-ref", "--format=%(objectname)", self.ref) or None

    def tree(self, commit: str | None = None) -> Tree:
        listed = git(self._repository, "ls-tree", "-rz", commit or self.ref) if commit or self.head() else ""
        found = [entry.partition("\t") for entry in listed.split("\0") if entry]
        heads = [head.split(" ") for head, _, _ in found]
        contents = self._contents([sha for _, kind, sha in heads if kind == "blob"])
        return {
            path: Held(int(mode, 8), sha.encode() if kind == "commit" else contents[sha])
            for (mode, kind, sha), (_, _, path) in zip(heads, found, strict=True)
        }

    def commit(self, tree: Tree, *, onto: str | None, ref: str | None = None) -> str:
        """The branch holds exactly this then, on top of that commit; whatever it held before."""
        target = ref or self.ref
        parts = [b"commit %b\ncommitter %b\ndata 1\nx\n" % (target.encode(), NOBODY.encode())]
        parts += [b"from %b\n" % onto.encode()] if onto else []
        parts.append(b"deleteall\n")
        for path, held in tree.items():
            name = path.encode("utf-8", "surrogateescape")
            if held.mode == MODULE:
                parts.append(b"M 160000 %b %b\n" % (held.content, name))
            else:
                parts.append(b"M %06o inline %b\ndata %d\n%b\n" % (held.mode, name, len(held.content), held.content))
        command = ["git", "-C", str(self._repository), "fast-import", "--quiet", "--force"]
        if not onto and self.head():
            git(self._repository, "update-ref", "-d", target)
        done = subprocess.run(command, input=b"".join(parts), env=ENVIRONMENT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return git(self._repository, "rev-parse", target)

    def merged(self, base: Tree, ours: Tree, theirs: Tree) -> Tree | None:
        """What `git merge` makes of the three; None where it sees a conflict."""
        root = self.commit(base, onto=None, ref="refs/tests/base")
        sides = [self.commit(side, onto=root, ref="refs/tests/side") for side in (ours, theirs)]
        options = ["-c", "merge.directoryRenames=false", "-c", "diff.renameLimit=1000"]
        command = ["git", "-C", str(self._repository), *options, "merge-tree", "--write-tree", *sides]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        for ref in ("base", "side"):
            git(self._repository, "update-ref", "-d", f"refs/tests/{ref}")
        assert done.returncode in (0, 1), done.stderr
        return self.tree(done.stdout.split()[0]) if done.returncode == 0 else None

    def _contents(self, shas: list[str]) -> dict[str, bytes]:
        command = ["git", "-C", str(self._repository), "cat-file", "--batch"]
        asked = "".join(f"{sha}\n" for sha in shas).encode()
        given = subprocess.run(command, input=asked, env=ENVIRONMENT, capture_output=True, check=True).stdout
        contents: dict[str, bytes] = {}
        at = 0
        for sha in shas:
            start = given.index(b"\n", at) + 1
            size = int(given[at:start].split()[2])
            contents[sha] = given[start : start + size]
            at = start + size + 1
        return contents
