"""Removing the objects that cases have created, as far as the server permits it.

A server may answer badly to what removes an object, since that is what it is tested for: whatever it
answers, the run goes on. Only a server that can no longer be reached ends it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kmipkit_client import Client, OperationFailed
from kmipkit_client.errors import ConnectionFailed, TimedOut

from kmipkit.errors import KMIPError
from kmipkit.spec.enums import Operation, ResultReason, RevocationReasonCode
from kmipkit.spec.versions import Version
from kmipkit_conformance.target import Target
from kmipkit_conformance.wording import operation_title


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes objects of one target."""

    target: Target
    version: Version | None
    """The protocol version; None to negotiate it."""
    silent: set[Operation]
    """Operations to which the server has not responded in time: they are not tried again."""
    remarks: dict[str, None]
    """What went wrong, apart from refusals, in the order of its first occurrence."""

    def remove(self, created: set[str]) -> None:
        """Destroy objects, and take them out of the set. ConformanceError: there is no connection."""
        with self.target.client(self.version) as client:
            for identifier in sorted(created):
                self._remove(client, identifier)
                created.discard(identifier)

    def _remove(self, client: Client, identifier: str) -> None:
        """Destroy an object, even if it is active, or archived."""
        if self._end(client, identifier) is ResultReason.OBJECT_ARCHIVED:
            self._try(Operation.RECOVER, lambda: client.recover(identifier))
            self._end(client, identifier)

    def _end(self, client: Client, identifier: str) -> ResultReason | None:
        """Revoke and destroy an object; why it cannot be destroyed."""
        reason = RevocationReasonCode.CESSATION_OF_OPERATION
        # Objects that were never active need no revocation: its failure does not matter.
        self._try(Operation.REVOKE, lambda: client.revoke(identifier, reason))
        return self._try(Operation.DESTROY, lambda: client.destroy(identifier))

    def _try(self, operation: Operation, request: Callable[[], object]) -> ResultReason | None:
        if operation in self.silent:
            return None
        try:
            request()
        except OperationFailed as refusal:
            return refusal.reason
        except ConnectionFailed as error:
            if not error.request_sent:
                self.target.wait_for()
            elif isinstance(error, TimedOut):
                self.silent.add(operation)
                self._remark(operation, "the server did not respond in time")
            else:
                self._remark(operation, "the server closed the connection without a response")
        except KMIPError as error:
            self._remark(operation, f"the response cannot be read: {error}")
        return None

    def _remark(self, operation: Operation, text: str) -> None:
        self.remarks[f"{operation_title(operation)}: {text}"] = None
