"""What the processes of all roles share: where they listen, when they are ready, how they stop."""

import logging
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import trio

from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.call import Rows
from kmipkit_vsphere.rpc.tls import Credentials

log = logging.getLogger("kmipkit.vsphere")

Announce = Callable[[str], None]
Callers = Mapping[str, frozenset[str]]
Task = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a role listens, with which certificate, and the roles of its callers."""

    address: tuple[str, int]
    credentials: Credentials
    callers: Callers = field(default_factory=dict)
    everybody: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Service:
    """Something else that a role serves, at an address of its own; started before it is ready."""

    title: str
    address: tuple[str, int]
    serve: Callable[..., Awaitable[None]]


def run(
    title: str,
    rows: Rows,
    listening: Listening,
    announce: Announce,
    tasks: Iterable[Task],
    also: Iterable[Service] = (),
) -> None:
    """Serve calls, with background tasks and other services, until SIGTERM or SIGINT."""
    try:
        trio.run(_serve, title, rows, listening, announce, tuple(tasks), tuple(also))
    except BaseExceptionGroup as group:
        match group.exceptions:
            case (InvalidArgument() as failure,):
                raise failure from None
        raise


async def _serve(
    title: str,
    rows: Rows,
    listening: Listening,
    announce: Announce,
    tasks: Iterable[Task],
    also: Iterable[Service],
) -> None:
    context = listening.credentials.server_context()
    revocations = listening.credentials.revocations()
    server = channel.Server(
        rows, listening.callers, context, listening.everybody, revocations, f"kmipkit {title}"
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            host, port = await _listen(nursery, server.serve, listening.address)
            for task in tasks:
                nursery.start_soon(task)
            others = [
                (service.title, await _listen(nursery, service.serve, service.address))
                for service in also
            ]
            announce(f"ready: {title} listening on {host}:{port}")
            for name, where in others:
                announce(f"{name} listening on {where[0]}:{where[1]}")
            async for _ in signals:
                log.info("stopping")
                break
            nursery.cancel_scope.cancel()


async def _listen(
    nursery: trio.Nursery, serve: Callable[..., Awaitable[None]], address: tuple[str, int]
) -> tuple[str, int]:
    """Serve at an address, and return the one in use; InvalidArgument if that is not possible."""
    try:
        where: tuple[str, int] = await nursery.start(serve, address)
    except OSError as error:
        host, port = address
        reason = error.strerror or str(error)
        raise InvalidArgument(f"cannot listen on {host}:{port}: {reason}") from None
    return where


async def repeat(
    title: str, work: Callable[[], Awaitable[object]], interval: float, *, at_once: bool = True
) -> None:
    """Do background work for ever, with a pause of ``interval`` seconds; a failure is logged.

    Without ``at_once`` it begins with a pause.
    """
    if not at_once:
        await trio.sleep(interval)
    while True:
        with contained(log, title):
            await work()
        await trio.sleep(interval)
