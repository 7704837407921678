"""The attempts of one call: which server is next, how long it may take, and when to give up.

Without I/O, so that both clients decide alike:

* What was not sent can be tried again, with any server.
* What was sent is tried again only if it can be repeated without harm (``may_be_repeated`` in
  :mod:`kmipkit.model.operations`), and not with a server that is silent.
* While other servers are left, none gets more than its share of the time: a server that swallows all
  packets would otherwise use up the deadline.
"""

from dataclasses import dataclass

from kmipkit_client.cluster import Cluster, Member
from kmipkit_client.deadline import Deadline
from kmipkit_client.errors import ConnectionFailed, TimedOut


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: a server, and until when."""

    member: Member
    number: int
    """1 for the first attempt of a call."""
    connecting: Deadline
    """For a connection with a common protocol version."""
    responding: Deadline
    """For the response."""
    is_repeatable: bool
    left: float
    """The seconds that were left for the call when it began."""


class Attempts:
    """The attempts of one call."""

    def __init__(
        self, cluster: Cluster, deadline: Deadline, *, retries: int, is_repeatable: bool, what: str
    ) -> None:
        """Begin a call.

        Args:
            retries: how many times to try all servers again.
            is_repeatable: whether the request can be sent twice without harm.
            what: the operations, for messages.
        """
        self._cluster = cluster
        self._deadline = deadline
        self._retries = retries
        self._is_repeatable = is_repeatable
        self._what = what
        self._queue = cluster.candidates()
        self._rounds = 1
        self._number = 0
        self._errors: dict[Member, ConnectionFailed] = {}
        self._excluded: set[Member] = set()

    def next(self) -> Attempt:
        """The next attempt."""
        share = self._deadline.within(self._deadline.left() / len(self._queue))
        self._number += 1
        return Attempt(
            member=self._queue.pop(0),
            number=self._number,
            connecting=share,
            responding=share if self._is_repeatable else self._deadline,
            is_repeatable=self._is_repeatable,
            left=self._deadline.left(),
        )

    def responded(self, attempt: Attempt) -> None:
        """Note that the server has responded."""
        self._cluster.responded(attempt.member)

    def failed(self, attempt: Attempt, error: ConnectionFailed) -> float:
        """The seconds to wait before the next attempt.

        Raises:
            ConnectionFailed, TimedOut: there is none.
        """
        member = attempt.member
        self._cluster.failed(member, str(error), attempt.left - self._deadline.left())
        if error.request_sent and not self._is_repeatable:
            raise self._unknown(error) from None
        self._errors[member] = error
        if error.is_permanent or (error.request_sent and isinstance(error, TimedOut)):
            self._excluded.add(member)
        if self._deadline.left() <= 0:
            raise self._last()
        if self._queue:
            return 0.0
        return self._next_round()

    def _next_round(self) -> float:
        self._queue = [each for each in self._cluster.candidates() if each not in self._excluded]
        pause = self._cluster.rest(self._rounds)
        if not self._queue or self._rounds > self._retries or pause >= self._deadline.left():
            raise self._last()
        self._rounds += 1
        return pause

    def _unknown(self, error: ConnectionFailed) -> ConnectionFailed:
        """The error for a request that was sent, has no response, and must not be repeated."""
        unknown = type(error)(
            f"{error}. {self._what} was sent, so that the server may have carried it out; it is not"
            " repeated, since that could do it twice. Look on the server before you repeat it",
            request_sent=True,
        )
        unknown.outcome_unknown = True
        return unknown

    def _last(self) -> ConnectionFailed:
        """The error of the only server, or of all."""
        errors = list(self._errors.values())
        if len(errors) == 1:
            return errors[0]
        kind = TimedOut if all(isinstance(each, TimedOut) for each in errors) else ConnectionFailed
        listed = "; ".join(map(str, errors))
        return kind(
            f"none of {len(errors)} servers has responded: {listed}",
            request_sent=any(each.request_sent for each in errors),
        )
