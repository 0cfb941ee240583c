"""A cut that is brought up to date a file at a time is the one that would be made anew."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from collab import paths
from collab.ids import BlobSha, DocumentId, Path, Position
from snapshots.cut import Cut
from snapshots.manifest import EMPTY, File, decode, encode

names = st.sampled_from(["a", "a/b", "a b", "é", "z", "\udcff", '"q"']).map(lambda name: paths.show(Path(name)))
files = st.builds(
    File,
    names,
    st.just("100644"),
    st.sampled_from([BlobSha("a" * 40), BlobSha("b" * 40)]),
    st.sampled_from([DocumentId(f"d{number}") for number in range(5)]),
    st.integers(1, 3).map(Position),
)


@given(
    st.lists(files), st.lists(files | st.sampled_from([DocumentId(f"d{number}") for number in range(5)]), max_size=30)
)
def test_step_by_step_or_at_once_is_the_same(first: list[File], steps: list[File | DocumentId]) -> None:
    now = {file.document: file for file in first}
    cut = Cut(now.values())
    for step in steps:
        if isinstance(step, File):
            assert cut.put(step) == now.get(step.document)
            now[step.document] = step
        else:
            assert cut.drop(step) == now.pop(step, None)
    anew = Cut(now.values())
    assert list(cut) == list(anew)
    assert len(cut) == len(now)
    assert cut.documents() == now.keys()
    shas = {file.sha for file in now.values()}
    assert {sha for sha in ("a" * 40, "b" * 40, "c" * 40) if cut.names(BlobSha(sha))} == shas
    in_order = sorted(now.values(), key=lambda file: (paths.to_bytes(paths.parse(file.path)), file.document))
    assert list(cut) == in_order
    assert decode(encode(EMPTY, cut.encoded())) == msgspec.structs.replace(EMPTY, files=tuple(in_order))
