"""Routes of the API of administrators that only the test mode has: the time of the server."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.problems import bad_request
from kmipkit_server.administration.routes import AnyRoute, Empty, Request, Route, Who
from kmipkit_server.test_mode.clock import MovableClock

if TYPE_CHECKING:
    from kmipkit_server.test_mode.control import Control

MAX_SECONDS = 100 * 366 * 86400
"""How far the clock can be put forward at once: a century."""


class Advance(Request, frozen=True):
    """How much time is to pass."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]


class ServerTime(msgspec.Struct, frozen=True):
    """The time of a server."""

    now: datetime
    """The time by which it judges."""
    ahead: float
    """By how many seconds it was put forward so far."""


def _time(clock: MovableClock) -> ServerTime:
    return ServerTime(clock(), clock.ahead.total_seconds())


def routes(control: "Control") -> tuple[AnyRoute, ...]:
    """The routes to the clock of a server."""

    async def show(_context: Context, _request: Empty) -> ServerTime:
        return _time(control.clock)

    async def advance(context: Context, request: Advance) -> ServerTime:
        context.request.subject = f"{request.seconds:g} seconds"
        try:
            await control.advance(timedelta(seconds=request.seconds))
        except ValueError as error:
            raise bad_request(f"{error}; start another server") from None
        return _time(control.clock)

    return (
        Route(
            method="GET",
            path="/clock",
            name="clock show",
            summary="Show the time of a server in test mode.",
            who=Who.SERVER,
            request=Empty,
            answer=ServerTime,
            handler=show,
        ),
        Route(
            method="POST",
            path="/clock",
            name="clock advance",
            summary="Put the clock of a server in test mode forward.",
            who=Who.SERVER,
            request=Advance,
            answer=ServerTime,
            handler=advance,
        ),
    )
