"""The called side of one connection: it answers calls, one at a time, until the caller is gone.

After an error of HTTP the connection is closed, because it is unknown where the next request begins.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import trio

from kmipkit_vsphere.model.errors import RPCError
from kmipkit_vsphere.rpc.api import Api, Caller
from kmipkit_vsphere.rpc.http import Call, Refusal, Requests, Signal

IDLE_TIMEOUT: Final = 3600.0
"""Seconds for a caller to begin a request."""
REQUEST_TIMEOUT: Final = 30.0
"""Seconds for a caller to end a request that it began."""
SEND_TIMEOUT: Final = 30.0
"""Seconds for a caller to take an answer."""
LINGER: Final = 2.0
"""Seconds for which the rest of a refused request is read, so that the caller gets the answer."""

log = logging.getLogger("kmipkit.vsphere.rpc")


class CallStream:
    """One connection.

    ``listens`` is called with True when the connection begins to wait for a call, and with False
    when there is one. ``require_valid`` raises :class:`RPCError` before a call if the caller's
    certificate has been revoked.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        api: Api,
        caller: Caller,
        listens: Callable[[bool], None] = lambda _: None,
        require_valid: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._api = api
        self._caller = caller
        self._listens = listens
        self._require_valid = require_valid
        self._requests = Requests(lambda head: api.accept(head, caller))

    async def serve(self) -> None:
        """Answer calls until the caller closes the connection, or it cannot be used any more."""
        try:
            while await self._serve_one():
                pass
        except RPCError as error:
            log.warning("%s: %s", self._caller.name, error)
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def _serve_one(self) -> bool:
        """Answer one call; whether another one may follow."""
        self._listens(True)
        try:
            call = await self._receive()
            if call is None:
                return False
            self._listens(False)
            self._require_valid()
            answer, ends = await self._api.answer(call, self._caller), False
        except Refusal as refusal:
            self._require_valid()
            answer, ends = refusal.answer, refusal.ends
            log.warning("%s: refused with HTTP %d: %s", self._caller.name, answer.status, refusal)
        await self._send(self._requests.reply(answer, ends=ends))
        if ends:
            await self._linger()
        return self._requests.is_open

    async def _receive(self) -> Call | None:
        """The next request; None if the caller closes the connection instead, or is silent."""
        if not self._requests.is_inside:
            has_begun = False
            with trio.move_on_after(IDLE_TIMEOUT):
                has_begun = await self._read()
            if not has_begun:
                return None
        with trio.move_on_after(REQUEST_TIMEOUT):
            return await self._rest()
        problem = RPCError(f"the request did not end within {REQUEST_TIMEOUT:.0f} s")
        raise Refusal(problem, HTTPStatus.REQUEST_TIMEOUT, ends=True)

    async def _rest(self) -> Call:
        while True:
            call = self._requests.next()
            if isinstance(call, Call):
                return call
            if call is Signal.CONTINUE:
                await self._send(self._requests.go_on())
            if not await self._read():
                raise RPCError("the peer closed the connection in the middle of a request")

    async def _read(self) -> bool:
        """Whether there was more to read; False if the caller has closed the connection."""
        try:
            data = await self._stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise RPCError("the connection broke") from None
        if data:
            self._requests.feed(bytes(data))
        return bool(data)

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(SEND_TIMEOUT):
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise RPCError("the peer closed the connection before its answer") from None
            return
        raise RPCError(f"the peer did not take an answer within {SEND_TIMEOUT:.0f} s")

    async def _linger(self) -> None:
        self._listens(True)
        with trio.move_on_after(LINGER):
            try:
                while await self._stream.receive_some(65536):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
