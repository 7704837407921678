"""Tampering with the audit log: whatever is removed, changed, moved or cut off is found, and where.

The intruder can write all files of the log, and computes hashes as the server does, but has neither the
root key nor the database.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from audited import AuditedLaboratory
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_client import calls
from kmipkit_server.audit import chain
from kmipkit_server.audit.files import log_files
from kmipkit_server.audit.records import Event, decode
from kmipkit_server.audit.service import Audit
from kmipkit_server.audit.signatures import Signer, Verifier
from kmipkit_server.audit.verification import Expected, Report, verify
from lengths import examples

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask as Mask

CREATE = calls.create(CryptographicAlgorithm.AES, 128, Mask.ENCRYPT, None, None)


class Log(NamedTuple):
    """A log in three files, of a server that has stopped."""

    files: dict[str, bytes]
    verifier: Verifier
    expected: Expected
    folder: Path

    def __repr__(self) -> str:
        return f"Log({', '.join(self.files)})"

    def report(self, files: dict[str, bytes], *, with_store: bool = True) -> Report:
        """The result of verifying other files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        expected = self.expected if with_store else None
        return verify(log_files(self.folder), self.verifier, expected)

    @property
    def lines(self) -> list[tuple[str, bytes]]:
        """All lines with the names of their files."""
        return [
            (name, line)
            for name, data in self.files.items()
            for line in data.splitlines(keepends=True)
        ]

    def joined(self, lines: list[tuple[str, bytes]]) -> dict[str, bytes]:
        """Files of these lines; a file may be empty."""
        files = dict.fromkeys(self.files, b"")
        for name, line in lines:
            files[name] += line
        return files


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The log of some requests, with a checkpoint here and there."""
    folder = tmp_path_factory.mktemp("tampering")
    laboratory = AuditedLaboratory(folder / "data")

    async def work(audit: Audit) -> None:
        for name in ("Jürgen", "vcenter 01"):
            for _ in range(3):
                [key] = await laboratory.request(CREATE, identity=name)
                await laboratory.request(calls.get(key, None, None, None), identity=name)
                await laboratory.request(calls.get("x", None, None, None), identity="a thief")
            audit.log.rotate()
        await laboratory.request(CREATE)

    laboratory.run(work)
    expected, verifier = laboratory.expected(), laboratory.verifier
    files = {file.path.name: file.path.read_bytes() for file in log_files(laboratory.directory)}
    laboratory.close()
    return Log(files, verifier, expected, folder / "changed")


def test_the_log_itself_is_intact(log: Log) -> None:
    for with_store in (True, False):
        report = log.report(log.files, with_store=with_store)
        assert not report.problems
        assert report.records == len(log.lines)
        assert report.signed == report.last


@given(data=st.data())
@settings(max_examples=examples(30))
def test_a_removed_record_is_found(log: Log, data: st.DataObject) -> None:
    lines = log.lines
    start = data.draw(st.integers(0, len(lines) - 1), "first")
    end = data.draw(st.integers(start + 1, len(lines)), "end")
    files = log.joined(lines[:start] + lines[end:])
    report = log.report(files)
    assert report.problems
    if start > 0 and end < len(lines):
        assert any(f"record {start + 1}" in text or f"records {start + 1} to {end}" in text
                   or "is empty" in text for text in map(str, report.problems))  # fmt: skip


@given(data=st.data())
@settings(max_examples=examples(30))
def test_a_changed_byte_is_found_at_its_place(log: Log, data: st.DataObject) -> None:
    lines = log.lines
    index = data.draw(st.integers(0, len(lines) - 1), "record")
    name, line = lines[index]
    at = data.draw(st.integers(0, len(line) - 1), "offset")
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[at]), "byte")
    changed = line[:at] + bytes([byte]) + line[at + 1 :]
    files = log.joined([*lines[:index], (name, changed), *lines[index + 1 :]])
    first = log.report(files).problems[0]
    position = [each for each, _ in lines[: index + 1]].count(name)
    assert first.file == name
    # A record whose own hash was changed shows in the next one.
    assert first.line in (position, position + 1) or position == log.files[name].count(b"\n")


@given(data=st.data())
@settings(max_examples=examples(30))
def test_records_in_another_order_are_found(log: Log, data: st.DataObject) -> None:
    lines = log.lines
    order = data.draw(st.permutations(range(len(lines))), "order")
    moved = [(lines[index][0], lines[other][1]) for index, other in enumerate(order)]
    assert bool(log.report(log.joined(moved)).problems) is (moved != lines)


@given(data=st.data())
@settings(max_examples=examples(30))
def test_a_repeated_record_is_found(log: Log, data: st.DataObject) -> None:
    lines = log.lines
    index = data.draw(st.integers(0, len(lines) - 1), "record")
    to = data.draw(st.integers(0, len(lines)), "place")
    place = lines[min(to, len(lines) - 1)][0]
    assert log.report(log.joined([*lines[:to], (place, lines[index][1]), *lines[to:]])).problems


@given(data=st.data())
@settings(max_examples=examples(30))
def test_an_end_that_was_cut_off_is_found(log: Log, data: st.DataObject) -> None:
    """At any byte, and also whole files."""
    whole = b"".join(log.files.values())
    size = data.draw(st.integers(0, len(whole) - 1), "size")
    files: dict[str, bytes] = {}
    for name, content in log.files.items():
        part = content[: max(0, size)]
        size -= len(content)
        if part:
            files[name] = part
    problems = log.report(files).problems
    assert problems
    assert any("cut off" in each.text or "missing" in each.text for each in problems)


@given(data=st.data())
@settings(max_examples=examples(30))
def test_a_removed_file_is_found(log: Log, data: st.DataObject) -> None:
    names = sorted(log.files)
    name = data.draw(st.sampled_from(names))
    rest = {each: content for each, content in log.files.items() if each != name}
    report = log.report(rest)
    # The oldest one may have been archived: the log then begins at a signed checkpoint.
    assert bool(report.problems) is (name != names[0])
    assert bool(report.notes) is (name == names[0])


def rewritten(lines: list[bytes], change: Callable[[int, bytes], bytes | None]) -> list[bytes]:
    """Records with other bodies, numbers and right hashes, as an intruder computes them."""
    digest, written = chain.BEGINNING.digest, []
    for line in lines:
        link = chain.parse(line.rstrip(b"\n"))
        assert link is not None
        body = change(len(written) + 1, link.body)
        if body is None:
            continue
        new, digest = chain.link(digest, body)
        written.append(new)
    return written


@given(data=st.data())
@settings(max_examples=examples(30))
def test_right_hashes_do_not_help(log: Log, data: st.DataObject) -> None:
    """Without the key, no checkpoint can be signed again."""
    name = min(log.files)
    lines = log.files[name].splitlines(keepends=True)
    operations = [
        index for index, line in enumerate(lines) if decode(line).event is Event.OPERATION
    ]
    chosen = data.draw(st.sampled_from(operations), "record")
    removes = data.draw(st.booleans(), "removed")

    def change(number: int, body: bytes) -> bytes | None:
        old = b'"n":%d,' % (chosen + 1)
        if old in body and not removes:
            return body.replace(b'"outcome":"failed"', b'"outcome":"success"').replace(
                b'"account":"', b'"account":"nobody '
            )
        if old in body:
            return None
        current = decode(body[:-1] + b',"hash":""}').n
        return body.replace(b'"n":%d,' % current, b'"n":%d,' % number)

    forged = b"".join(rewritten(lines, change))
    problems = log.report({**log.files, name: forged}, with_store=False).problems
    assert any("signed" in str(each) or "signature" in str(each) for each in problems)


def test_another_key_signs_nothing(log: Log) -> None:
    """An intruder may write a whole log, signed with a key of one's own."""
    signer = Signer(bytes(32))

    def sign(_: int, body: bytes) -> bytes:
        entry = decode(body[:-1] + b',"hash":""}')
        if entry.event is not Event.CHECKPOINT:
            return body
        unsigned = body.partition(b',"signature":')[0].replace(
            entry.key.encode(), signer.key_id.encode()
        )
        return signer.sign(unsigned + b"}")

    name = min(log.files)
    forged = b"".join(rewritten(log.files[name].splitlines(keepends=True), sign))
    report = log.report({name: forged}, with_store=False)
    assert all("signed with another key" in str(each) or "signature" in str(each)
               for each in report.problems)  # fmt: skip
    assert report.problems
    assert report.signed == 0


def test_the_file_of_another_log_does_not_fit(log: Log, tmp_path: Path) -> None:
    other = AuditedLaboratory(tmp_path / "data")

    async def work(_: Audit) -> None:
        await other.request(CREATE)

    other.run(work)
    files = {file.path.name: file.path.read_bytes() for file in log_files(other.directory)}
    other.close()
    assert log.report(files).problems
    assert log.report(files, with_store=False).problems
