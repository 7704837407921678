"""Checking what was assembled: everything that a server would ever read from it is read now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kmipkit.errors import KMIPError
from kmipkit_server.audit.anchor import known_hashes, known_logs, read_anchor
from kmipkit_server.audit.logs import logs_in
from kmipkit_server.audit.signatures import PURPOSE as AUDIT_PURPOSE
from kmipkit_server.audit.signatures import Signer, Verifier
from kmipkit_server.audit.verification import Expected
from kmipkit_server.audit.verification import verify as verify_audit
from kmipkit_server.backup import manifest, state
from kmipkit_server.backup.assembly import Assembled, Progress
from kmipkit_server.backup.directory import STATE, Chain, parts
from kmipkit_server.objects.managed import unpack_object
from kmipkit_server.store.root_keys import KeyWrapper
from kmipkit_server.store.sqlite.offline import OfflineSQLite

MAX_PROBLEMS = 1000


@dataclass(slots=True)
class Findings:
    """What was read, and what is wrong with it."""

    problems: list[str] = field(default_factory=list)
    objects: int = 0
    materials: int = 0
    """Objects whose key material was opened."""
    counter: int = 0
    audit_records: int = 0
    signer: str = ""
    """The identifier of the key with which the server signs its backups."""


def check(
    assembled: Assembled,
    chain: Chain,
    progress: Progress,
    wrapper: KeyWrapper,
    *,
    is_newest: bool = False,
) -> Findings:
    """Read everything. KMIPError if the root key does not open the database.

    Args:
        wrapper: the root key.
        is_newest: whether the directory should have no later part than the last of the chain.
    """
    findings = Findings()
    with OfflineSQLite.open(assembled.database, wrapper, opens_material=True) as store:
        findings.problems += store.faults()
        findings.problems += _signatures(chain, store.derive_key, findings)
        if is_newest:
            findings.problems += _newest(chain, store.derive_key(state.PURPOSE))
        _objects(store, findings, progress)
        findings.counter = store.counter
        if assembled.contents.has_audit:
            findings.problems += _audit(store, assembled.audit, findings)
    if findings.counter != chain[-1].manifest.counter:
        findings.problems.append("the database has another counter than the manifest says")
    return findings


def _signatures(
    chain: Chain, derive_key: Callable[[str], bytes], findings: Findings
) -> Iterator[str]:
    signer = Signer(derive_key(manifest.PURPOSE))
    verifier = Verifier([signer.public_key])
    findings.signer = signer.key_id
    for part in chain:
        if not manifest.is_signed(part.text, part.manifest, verifier):
            yield f"{part.path}: the server whose database this is has not signed it so"


def _newest(chain: Chain, key: bytes) -> Iterator[str]:
    """Parts at the end leave no gap: but the server has noted which one was the last."""
    directory = chain[-1].path.parent
    last = state.load(directory / STATE, key)
    if last is not None and last.manifest not in {part.digest for part in parts(directory)}:
        yield f"{directory}: the last part that the server has made is missing"


def _objects(store: OfflineSQLite, findings: Findings, progress: Progress) -> None:
    identifiers = store.identifiers()
    for number, identifier in enumerate(identifiers, 1):
        try:
            record = store.reader.get(identifier)
            assert record is not None
            findings.objects += 1
            if record.material:
                unpack_object(record.material, record.object_type)
                findings.materials += 1
        except (KMIPError, ValueError) as error:
            if len(findings.problems) < MAX_PROBLEMS:
                findings.problems.append(str(error))
        progress("checking", number, len(identifiers))


def _audit(store: OfflineSQLite, directory: Path, findings: Findings) -> Iterator[str]:
    """The logs of all processes of the server."""
    files = {log.name: log.files for log in (logs_in(directory) if directory.is_dir() else [])}
    verifier = Verifier([Signer(store.derive_key(AUDIT_PURPOSE)).public_key])
    for name in sorted({*files, *known_logs(store.reader)}):
        anchor = read_anchor(store.reader, name)
        if anchor is None and name not in files:
            continue
        hashes = known_hashes(store.reader, name)
        expected = None if anchor is None else Expected(anchor.chain, hashes)
        report = verify_audit(files.get(name, []), verifier, expected)
        findings.audit_records += report.records
        yield from (f"audit log {name}: {problem}" for problem in report.problems)
