"""What a server does without being asked: asynchronous requests, notifications."""

import logging

import trio

from kmipkit_server.config import Config, address
from kmipkit_server.config.effective import notified_accounts
from kmipkit_server.engine.asynchronous import DeferredRequest
from kmipkit_server.engine.deferred_work import DeferredWork
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.net.notifier import Notifier
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.operations.notify import RequestSource
from kmipkit_server.running.limits import sizes_of
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

MIN_DEFERRED_INTERVAL = 0.25
"""Seconds between two checks for asynchronous requests that are due, at least."""

CLEANING_INTERVAL = 60.0
"""Seconds between two looks for results that have expired."""


def notifier_of(config: Config, request_source: RequestSource, tls: TLSSettings) -> Notifier:
    """What sends notifications over connections of the server's own."""
    addresses = notified_accounts(config)
    return Notifier(
        queue=request_source.queue,
        message=request_source.message,
        addresses={account: address(text) for account, text in addresses.items() if text},
        context=tls.client_context,
        revocations=tls.revocations,
        limits=sizes_of(config),
        delivered=request_source.delivered,
    )


async def notify(notifier: Notifier, request_source: RequestSource) -> None:
    """Send notifications, of whichever process, until cancelled."""
    async with trio.open_nursery() as nursery:
        await nursery.start(notifier.run)
        nursery.start_soon(request_source.feed, tuple(notifier.addresses))


async def run_deferred(dispatcher: Dispatcher, delay: float) -> None:
    """Carry out asynchronous requests as they fall due, and remove results that have expired."""
    cleaning = trio.current_time()
    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(max(delay, MIN_DEFERRED_INTERVAL))
            if trio.current_time() >= cleaning:
                cleaning = trio.current_time() + CLEANING_INTERVAL
                await _remove_expired(dispatcher)
            # Each in a task of its own, so that one that takes long does not delay the others.
            for deferred in await _due(dispatcher):
                nursery.start_soon(_carry_out, dispatcher, deferred)


async def _remove_expired(dispatcher: Dispatcher) -> None:
    try:
        await DeferredWork(dispatcher).remove_expired()
    except StoreError as error:
        log.error("expired results of asynchronous requests stay: %s", error)


async def _due(dispatcher: Dispatcher) -> list[DeferredRequest]:
    try:
        return await dispatcher.due()
    except StoreError as error:  # background work never ends the server
        log.error("asynchronous requests wait: %s", error)
        return []


async def _carry_out(dispatcher: Dispatcher, deferred: DeferredRequest) -> None:
    try:
        await dispatcher.run_deferred([deferred])
    except StoreError as error:  # it is tried again
        log.error("%s: an asynchronous request waits: %s", deferred.account, error)
    except Exception:
        # Only a defect of the server gets here, and background work never ends the server.
        log.exception("an asynchronous request ended by an internal error")
