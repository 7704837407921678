"""A server without sockets whose policy a test sets, and identities with addresses and certificates."""

from typing import Any

import trio
from kmipkit_client import messages
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import versions
from kmipkit_server.policy.versions import Change
from kmipkit_server.store.base import Transaction
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import V2_1, Version


def apply_policy(laboratory: Laboratory, text: str, tenant: str = "") -> None:
    """Put a document in force, as an administrator does."""

    def apply(transaction: Transaction) -> None:
        versions.apply(transaction, text, tenant=tenant, author="administrator", now=laboratory.now)

    async def work() -> None:
        async with laboratory.serving():
            await laboratory.store.run(apply, writes=True)

    trio.run(work)


class PolicyLaboratory(Laboratory):
    """A laboratory with policies."""

    def apply(self, text: str, tenant: str = "", **options: Any) -> Change:
        """Put a document in force."""

        def work(transaction: Any) -> Change:
            return versions.apply(
                transaction, text, tenant=tenant, author="test", now=self.now, **options
            )

        return self.change(work)

    def revert(self, number: int, tenant: str = "") -> Change:
        """Put an earlier document back in force."""

        def work(transaction: Any) -> Change:
            return versions.revert(transaction, number, tenant=tenant, author="test", now=self.now)

        return self.change(work)

    def change(self, work: Any) -> Any:
        """The result of a transaction."""

        async def run() -> tuple[Any, Exception | None]:
            async with self.serving():
                try:
                    return await self.store.run(work, writes=True), None
                except Exception as error:  # raised outside of the nursery
                    return None, error

        result, error = trio.run(run)
        if error is not None:
            raise error
        return result

    def ask_as(self, identity: Identity, call: Call[Any], version: Version = V2_1) -> Any:
        """The result of an operation for a whole identity; raises OperationFailed."""

        async def work() -> bytes:
            async with self.serving():
                account = await self.dispatcher.admit(identity)
                data = encode(messages.request(version, [call]), version)
                return (await self.dispatcher.respond(data, account)).data

        response, _ = decode_response(trio.run(work))
        [result] = messages.results([call], response)
        if isinstance(result, OperationFailed):
            raise result
        return result

    def outcome_as(self, identity: Identity, call: Call[Any]) -> str:
        """The same as :meth:`outcome` for a whole identity."""
        try:
            self.ask_as(identity, call)
        except OperationFailed as failure:
            return outcome_of(failure)
        return ""

    def outcome(self, call: Call[Any], identity: str = "me", version: Version = V2_1) -> str:
        """ "" for a success, "rule NAME" for a refusal by a rule, else the Result Reason."""
        try:
            self.ask(call, version, identity)
        except OperationFailed as failure:
            return outcome_of(failure)
        return ""


def outcome_of(failure: OperationFailed) -> str:
    """The name of the rule that has refused, or the Result Reason."""
    text = str(failure)
    if failure.reason is ResultReason.PERMISSION_DENIED and "denied by the rule " in text:
        return "rule " + text.partition("denied by the rule ")[2].strip("'\"")
    return failure.reason.name if failure.reason else "?"
