"""No secret is in the audit log: no key material, no data, no password, in no operation and no error.

Requests of all operations are drawn from the declarations; each value that is secret, and each byte
string, is replaced by a value that can be recognised wherever it appears, in any usual form.
"""

import base64
import hashlib
import itertools
from pathlib import Path
from typing import Any

from audited import AuditedLaboratory
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_client import calls, symmetric_key
from kmipkit_server.audit.service import Audit
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.identity.guessing import Guesses
from kmipkit_server.operations.table import STANDARD
from model_strategies import structures

from kmipkit.errors import LocalProtocolError
from kmipkit.model import operations
from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.headers import Authentication, ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.spec.enums import CredentialType, Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V1_4, V2_1, V3_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

EVERYTHING = CryptographicUsageMask(0xFFFFF)
SLOW = (Operation.CREATE_KEY_PAIR, Operation.RE_KEY_KEY_PAIR)
NAMES = (Tag.UNIQUE_IDENTIFIER, Tag.UNIQUE_BATCH_ITEM_ID)
"""What is no secret."""

Rows = st.sampled_from([row for row in STANDARD if row.operation not in SLOW])
_numbers = itertools.count()


class Secrets:
    """Values that can be recognised."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def new(self) -> str:
        """A text of letters and digits, which is also valid as hexadecimal digits."""
        text = hashlib.sha256(b"%d" % next(_numbers)).hexdigest()[:24]
        self.values.append(text.encode())
        return text

    def replace(self, item: Item) -> Item:
        """An item in which each secret and each byte string is one of ours."""
        if isinstance(item.value, tuple):
            return Item(item.tag, item.type, tuple(map(self.replace, item.value)))
        if item.tag in NAMES:
            return item
        if item.type is ItemType.BYTE_STRING:
            return Item(item.tag, item.type, self.new().encode())
        if item.type is ItemType.TEXT_STRING and item.tag in SECRET_TAGS:
            return Item(item.tag, item.type, self.new())
        return item

    def found_in(self, data: bytes) -> list[bytes]:
        """The secrets that appear in some data."""
        return [value for value in self.values if any(form in data for form in forms(value))]


def forms(value: bytes) -> tuple[bytes, ...]:
    """A value as it might be written."""
    return value, value.hex().encode(), value.hex().upper().encode(), base64.b64encode(value)[:-4]


def request(row: ServedOperation, version: Version, draw: Any, known: list[str]) -> Item | None:
    """A drawn request, with a password in its header; None if the version cannot say it."""
    operation = row.operation
    if not operation.known_in(version):
        return None
    payload = draw(structures(operations.request_payload(operation, version), version))
    if hasattr(payload, "unique_identifier"):
        payload = payload.replace(unique_identifier=draw(st.sampled_from(known)))
    authentication = None
    if draw(st.booleans()):
        value = UsernameAndPassword(username="array", password="replaced below")
        kind = CredentialType.USERNAME_AND_PASSWORD
        credential = Credential(credential_type=kind, credential_value=value)
        authentication = Authentication(credentials=(credential,))
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        authentication=authentication,
        batch_count=1 if version < V3_0 else None,
    )
    item = RequestBatchItem(operation=operation, request_payload=payload)
    message = RequestMessage(request_header=header, batch_items=(item,))
    try:
        return binary.decode(encode(message, version))
    except LocalProtocolError:
        return None


@settings(max_examples=6)
@given(data=st.data())
def test_no_secret_is_in_the_log(tmp_path_factory: Any, data: st.DataObject) -> None:
    folder: Path = tmp_path_factory.mktemp("secrets")
    laboratory = AuditedLaboratory(folder / "data")
    secrets = Secrets()
    seconds = itertools.count(0, 1_000_000)
    laboratory.dispatcher.accounts.guesses = Guesses(lambda: next(seconds))  # no waiting

    async def work(_: Audit) -> None:
        known: list[str] = []
        for _ in range(2):
            key = symmetric_key(bytes.fromhex(secrets.new() + "00" * 4))
            known += await laboratory.request(calls.register(key, EVERYTHING, None, None))
        for _ in range(12):
            version = data.draw(st.sampled_from([V1_2, V1_4, V2_1, V3_0]))
            tree = request(data.draw(Rows), version, data.draw, known)
            if tree is not None:
                await laboratory.respond(binary.encode(secrets.replace(tree)), "administrator")

    laboratory.run(work)
    log = b"".join(path.read_bytes() for path in laboratory.directory.iterdir())
    assert log.count(b"\n") > 3
    laboratory.close()
    assert not secrets.found_in(log)
