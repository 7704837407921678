"""Prepared answers: the response to a request that comes again and again, ready but for its key.

Key servers are asked for the same few keys all day long. The first answers go the ordinary way; later
ones are repeated, if the operation has said that it would respond the same (:class:`.Repeatable`).

What is checked for each answer: the header and the account of the request, by the dispatcher; the
rights of a ticket, quotas and all else that hangs on the seam; what
:func:`kmipkit_server.objects.access.load` checks, since the object is loaded from the store, with its
policy and its MAC; whether the store still has the version of the object for which the answer was
prepared; and whether its state would be the same by the clock. Whatever is not as it was goes the
ordinary way, also each refusal.

What is kept: requests without credentials, and responses without the key. The key is opened and put into
its place each time, so that nothing is left of it once it is destroyed.

Each account has answers of its own: it does not learn what others have asked for from the time that an
answer takes, and one that asks for much takes no places from those who have fewer.

Some responses follow from values of the request, as the output of Encrypt does from its Data. Then the
request is recognized by all of its bytes but these values, the operation computes the values of the
response, and neither of them is kept (:class:`.Varying`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.model.structure import Structure, copier
from kmipkit_server.engine.gaps import Gaps, Parts, cut, find_gaps
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.repeatable import Repeatable, Values, Varying
from kmipkit_server.engine.request import Request, UnreadableItem
from kmipkit_server.engine.response import Answer
from kmipkit_server.engine.server import Server

MAX_REQUEST = 512
"""Bytes of a request that are kept."""
MAX_RESPONSE = 4096
"""Bytes of a response that are kept."""
MAX_PREPARED = 4096
"""Answers that are kept, of all accounts together."""
MIN_SEEN = 16
"""Requests of an account that came once, of which the server knows at least."""
MAX_VARYING = 16 * 1024
"""Bytes of a request whose values are another ones each time."""
MAX_SHAPES = 4
"""In how many places requests of the same length may have their values."""

Key = bytes | Parts
"""What a request is recognized by: all of its bytes, or those outside of its gaps."""


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """The answer to one request, or to requests that differ in some values."""

    server: Server
    """The server whose settings it had."""
    key: Key
    request: Request
    """The request; without the values that are another ones each time."""
    row: ServedOperation
    repeatable: Repeatable
    """What must still be true; without the secret and the values."""
    parts: Parts
    """The encoded item of the response, before, between and after the secret or the values."""
    sizes: tuple[int, ...]
    """The lengths of the secret or the values."""
    result: ResponseBatchItem
    """The result without its payload, for hooks."""
    objects: tuple[str, ...]
    """The objects of the request and its response, for hooks."""
    notes: dict[Any, Any] = field(default_factory=dict)
    """What hooks keep for the next time: it follows from the request and these objects."""
    make: "_Requests | None" = None
    """Makes the requests with other values; None if there are none."""


class Match(NamedTuple):
    """A prepared answer, and the request for which it was found."""

    prepared: Prepared
    request: Request
    item: RequestBatchItem
    values: Values = ()
    """The values of the request that are another ones each time."""


class _Share:
    """What is kept for one account."""

    __slots__ = ("answers", "seen", "shapes")

    def __init__(self) -> None:
        self.answers: dict[Key, Match] = {}
        self.shapes: dict[int, dict[Gaps, None]] = {}
        """Where requests have their values, by the length of the request."""
        self.seen: set[int] = set()
        """Hashes of requests that came once: most requests do not come again."""

    def note_shape(self, length: int, gaps: Gaps) -> None:
        if len(self.shapes) > 2 * len(self.answers):
            self.shapes.clear()  # most of them are those of answers that are no longer kept
        shapes = self.shapes.setdefault(length, {})
        shapes[gaps] = None
        if len(shapes) > MAX_SHAPES:
            del shapes[next(iter(shapes))]


class PreparedAnswers:
    """The prepared answers of a server, by account and by the bytes of their requests."""

    def __init__(self, maximum: int = MAX_PREPARED) -> None:
        self._maximum = maximum
        self._number = 0
        self._shares: dict[str, _Share] = {}

    def __len__(self) -> int:
        return self._number

    def find(self, data: bytes, account: str) -> Match | None:
        """The answer to a request of an account that has come before, in the same bytes or with other
        values; None if there is none."""
        share = self._shares.get(account)
        if share is None:
            return None
        answers = share.answers
        found = answers.get(data)
        if found is not None:
            return found
        for gaps in share.shapes.get(len(data), ()):
            key, values = cut(data, gaps)
            found = answers.get(key)
            if found is not None:
                prepared = found.prepared
                assert prepared.make is not None
                request, item = prepared.make.with_values(values)
                return Match(prepared, request, item, values)
        return None

    def keep(
        self, data: bytes, request: Request, answer: Answer, server: Server, account: str
    ) -> None:
        """Prepare the answer to a request that has just been answered, if it may come again."""
        gaps = _gaps_to_keep(data, request, answer)
        if gaps is None:
            return
        key: Key = cut(data, gaps)[0] if gaps else data
        if _size(key) > MAX_REQUEST:
            return
        share, digest = self._share_of(account), hash(key)
        if digest not in share.seen:
            if len(share.seen) >= max(2 * self._maximum // len(self._shares), MIN_SEEN):
                share.seen.clear()
            share.seen.add(digest)
            return
        match = _prepare(key, request, answer, server)
        if match is None:
            return
        if key not in share.answers:
            if self._number >= self._maximum:
                self._make_room(share)
            self._number += 1
        share.answers[key] = match
        if gaps:
            share.note_shape(len(data), gaps)

    def _share_of(self, account: str) -> _Share:
        share = self._shares.get(account)
        if share is None:
            if len(self._shares) >= self._maximum:
                oldest = self._shares.pop(next(iter(self._shares)))
                self._number -= len(oldest.answers)
            share = self._shares[account] = _Share()
        return share

    def _make_room(self, share: _Share) -> None:
        """Remove the oldest answer of the account itself, or of the one with the most if it has few."""
        answers = share.answers
        if len(answers) * len(self._shares) < self._maximum:
            answers = max((each.answers for each in self._shares.values()), key=len)
        del answers[next(iter(answers))]
        self._number -= 1

    def forget(self, key: Key, account: str) -> None:
        """Remove the answer to a request."""
        share = self._shares.get(account)
        if share is not None and share.answers.pop(key, None) is not None:
            self._number -= 1


def _size(key: Key) -> int:
    return len(key) if isinstance(key, bytes) else sum(map(len, key))


def _gaps_to_keep(data: bytes, request: Request, answer: Answer) -> Gaps | None:
    """Where a request has its values; None if its answer may not come again, or that is not certain."""
    repeated = answer.repeated
    if repeated is None or not is_plain(request):
        return None
    varying = repeated.repeatable.varying
    return () if varying is None else _gaps_of(data, request, varying)


def _gaps_of(data: bytes, request: Request, varying: Varying) -> Gaps | None:
    [item] = request.items
    if len(data) > MAX_VARYING or isinstance(item, UnreadableItem):
        return None
    payload = item.request_payload
    return find_gaps(data, [(tag, getattr(payload, name)) for name, tag in varying.fields])


def is_plain(request: Request) -> bool:
    """Whether a message is a single item without anything secret or unusual in its header."""
    header = request.header
    return (
        len(request.items) == 1
        and not request.later
        and header.authentication is None
        and header.maximum_response_size is None
        and not header.asynchronous_indicator
    )


def _prepare(key: Key, request: Request, answer: Answer, server: Server) -> Match | None:
    repeated = answer.repeated
    [item], [result], [objects] = request.items, answer.results, answer.objects
    assert repeated is not None
    assert not isinstance(item, UnreadableItem)
    repeatable, varying = repeated.repeatable, repeated.repeatable.varying
    if varying is None:
        gaps = _place_of(repeated.encoded, repeatable.secret)
        make = None
    else:
        gaps = find_gaps(repeated.encoded, varying.results)
        make = _Requests(request, item, [name for name, _ in varying.fields])
        varying = Varying(varying.fields, (), varying.compute)
        request, item = make.with_values((b"",) * len(varying.fields))
    if gaps is None:
        return None  # a place is not certain
    parts, values = cut(repeated.encoded, gaps)
    if sum(map(len, parts)) > MAX_RESPONSE:
        return None
    prepared = Prepared(
        server=server,
        key=key,
        request=request,
        row=repeated.row,
        repeatable=Repeatable(
            repeatable.load,
            repeatable.version,
            repeatable.since,
            repeatable.until,
            offset=repeatable.offset,
            varying=varying,
        ),
        parts=parts,
        sizes=tuple(map(len, values)),
        result=result.replace(response_payload=None),
        objects=tuple(dict.fromkeys(objects)),
        make=make,
    )
    return Match(prepared, request, item)


def _place_of(encoded: bytes, secret: bytes) -> Gaps | None:
    """Where the secret is, if there is one; None if that is not certain."""
    if not secret:
        return ()
    at = encoded.find(secret)
    if at < 0 or at != encoded.rfind(secret):
        return None
    return ((at, at + len(secret)),)


class _Requests:
    """Makes requests that are the same but for some values of their payload."""

    __slots__ = ("_item", "_payload", "_request")

    def __init__(self, request: Request, item: RequestBatchItem, names: Iterable[str]) -> None:
        assert isinstance(item.request_payload, Structure)
        self._request = request.version, request.header
        self._payload = copier(item.request_payload, *names)
        self._item = copier(item, "request_payload")

    def with_values(self, values: Values) -> tuple[Request, RequestBatchItem]:
        """The request with these values, and its item."""
        item = self._item((self._payload(values),))
        return Request(*self._request, (item,)), item
