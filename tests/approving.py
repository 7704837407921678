"""Clients and approvers with certificates, in a laboratory whose policy needs approvals."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import outcome
import trio
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_client.calls import Call
from kmipkit_server.engine.hooks import Permissions
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import approvals
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.approving import approve, reject
from kmipkit_server.store.base import Reader, Transaction
from laboratory import START, Laboratory
from policies import apply_policy

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.spec.enums import CryptographicAlgorithm, ValidityIndicator
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.versions import V2_1, Version

AUTHORITY = Authority.create("ca", "ecdsa-p256", START)

RULE = """
[groups]
officers = ["officer-1", "officer-2", "officer-3"]
[rules."two persons"]
require = ["destroy objects", "export", "get"]
approvals = { number = %d, by = { groups = "officers" } }
"""

CREATE = calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT | Mask.DECRYPT, None, None)


def certificate() -> PeerCertificate:
    """The certificate of another client."""
    issued = AUTHORITY.issue("any name", Purpose.CLIENT, START)
    return PeerCertificate.of(issued.certificate)


class Approving(Laboratory):
    """A laboratory with accounts, each of which has a certificate."""

    def __init__(self, folder: Path, number: int = 1, **settings: Any) -> None:
        self.revoked: set[bytes] = set()
        super().__init__(folder, hooks=(Permissions(),), revocation=self._validity, **settings)
        self.certificates: dict[str, PeerCertificate] = {}
        if number:
            apply_policy(self, RULE % number)

    def restarted(self, folder: Path) -> "Approving":
        """The same server after a restart; it is closed with this one."""
        self.store.close()
        again = Approving(folder, number=0)
        again.certificates, self.store = self.certificates, again.store
        return again

    def _validity(self, peer: PeerCertificate) -> ValidityIndicator:
        is_revoked = peer.signed_hash in self.revoked
        return ValidityIndicator.INVALID if is_revoked else ValidityIndicator.VALID

    def identity(self, account: str) -> Identity:
        """An account with its certificate."""
        if account not in self.certificates:
            self.certificates[account] = certificate()
        return Identity(account, certificate=self.certificates[account])

    async def answer(
        self, identity: Identity, *asked: Call[Any], version: Version = V2_1, **options: Any
    ) -> list[Any]:
        """The results of a message, while the store is served."""
        request = messages.request(version, asked, **options)
        response = await self.dispatcher.respond(encode(request, version), identity)
        return messages.results(asked, decode_response(response.data)[0])

    def message(self, identity: Identity | str, *asked: Call[Any], **options: Any) -> list[Any]:
        """The results of a message."""
        who = self.identity(identity) if isinstance(identity, str) else identity

        async def work() -> list[Any]:
            async with self.serving():
                return await self.answer(who, *asked, **options)

        return trio.run(work)

    def do(self, call: Call[Any], identity: Identity | str = "me", **options: Any) -> Any:
        """The result of one operation; raises OperationFailed."""
        [result] = self.message(identity, call, **options)
        if isinstance(result, OperationFailed):
            raise result
        return result

    def text_of(self, identity: Identity, item: RequestBatchItem) -> str:
        """The Result Message of a message with one item; empty for a success."""
        header = RequestHeader(protocol_version=ProtocolVersion.of(V2_1), batch_count=1)
        request = RequestMessage(request_header=header, batch_items=(item,))

        async def work() -> bytes:
            async with self.serving():
                return (await self.dispatcher.respond(encode(request, V2_1), identity)).data

        [result] = decode_response(trio.run(work))[0].batch_items
        return result.result_message or ""

    def attempt(self, call: Call[Any], identity: str) -> str:
        """The text with which an operation is refused; empty for a success."""
        [result] = self.message(identity, call)
        return str(result) if isinstance(result, OperationFailed) else ""

    def refused(self, call: Call[Any], identity: Identity | str = "me", **options: Any) -> str:
        """The text with which an operation is refused."""
        [result] = self.message(identity, call, **options)
        assert isinstance(result, OperationFailed), result
        return str(result)

    def asked(self, call: Call[Any], identity: Identity | str = "me", **options: Any) -> int:
        """The number of the request that a refused operation has made."""
        text = self.refused(call, identity, **options)
        match = re.search(r"this is request (\d+)", text)
        assert match is not None, text
        return int(match[1])

    def change(self, work: Any) -> Any:
        """The result of work in a transaction, or its exception."""

        async def run() -> outcome.Outcome[Any]:
            async with self.serving():
                return await outcome.acapture(self.store.run, work, writes=True)

        return trio.run(run).unwrap()

    def approve(self, number: int, by: Identity | str) -> None:
        """Approve a request; Refused if that is not permitted."""
        self._sign(approve, number, by)

    def reject(self, number: int, by: Identity | str) -> None:
        self._sign(reject, number, by)

    def _sign(self, sign: Any, number: int, by: Identity | str) -> None:
        who = self.identity(by) if isinstance(by, str) else by

        def work(transaction: Transaction) -> None:
            sign(transaction, ActivePolicies(), number, who, self.now)

        self.change(work)

    def waiting(self) -> list[approvals.ApprovalRequest]:
        """The requests that wait."""

        def work(reader: Reader) -> list[approvals.ApprovalRequest]:
            return approvals.every(reader, self.now)

        return trio.run(partial(self.store.run, work))

    def key(self, **attributes: Any) -> str:
        """A new key of ``me``."""
        key: str = self.do(
            calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT, None, attributes)
        )
        return key
