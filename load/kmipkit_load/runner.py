"""A run from its first connection to the last Destroy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kmipkit_client import calls
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import QueryFunction
from kmipkit.spec.versions import Version
from kmipkit_load import cleanup, results
from kmipkit_load.cleanup import Removal
from kmipkit_load.errors import LinkFailed, LoadError
from kmipkit_load.fleet import Fleet, Run, Status
from kmipkit_load.interrupts import Interrupts
from kmipkit_load.network import CONNECT_TIMEOUT, Network, Sockets
from kmipkit_load.preparation import Preparation
from kmipkit_load.results import Moment
from kmipkit_load.session import Session
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects
from kmipkit_load.texts import duration
from kmipkit_load.worker import Stock

Show = Callable[[str], None]
"""Shows how far the run is, in one line."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended."""

    run: str
    removal: Removal
    document: dict[str, Any] | None = None
    """The results; None if it ended before the measurement."""
    problem: str = ""
    """Why it ended before the measurement; empty if it did not."""
    was_interrupted: bool = False


def negotiated(settings: Settings) -> Settings:
    """The settings with the newest version that the target supports. LoadError if there is none."""
    settings = _located(settings)
    with Sockets(settings.target) as network:
        session = Session(network, settings.encoding, settings.timeout)
        try:
            return replace(settings, version=session.negotiate())
        except LoadError as error:
            raise LoadError(f"{settings.target.address}: {error}") from None


def _located(settings: Settings) -> Settings:
    return replace(settings, target=settings.target.located(CONNECT_TIMEOUT))


def carry_out(
    settings: Settings, show: Show, started: datetime, interrupts: Interrupts
) -> Finished:
    """Prepare, measure and clean up. Ctrl-C ends each of these; what was created is destroyed."""
    objects = Objects()
    settings = _located(settings)
    with Sockets(settings.target) as network:

        def removing(removed: int, total: int) -> None:
            show(f"destroying what the run has created: {removed:,} of {total:,}")

        try:
            finished = _measure(network, settings, objects, show, started, interrupts)
        except Exception:  # a defect of ours must not leave objects on the server, either
            cleanup.clean(network, settings, objects, removing, interrupts)
            raise
        return finished(cleanup.clean(network, settings, objects, removing, interrupts))


def _measure(
    network: Network,
    settings: Settings,
    objects: Objects,
    show: Show,
    started: datetime,
    interrupts: Interrupts,
) -> Callable[[Removal], Finished]:
    """Everything before the clean-up, whose result is the last part of the outcome."""
    try:
        session = Session(network, settings.encoding, settings.timeout)
        try:
            with interrupts.raising():
                vendor = _vendor(session, settings.version)
                stock = _prepare(Preparation(session, settings, objects), show)
        finally:
            session.close()  # the server may permit few of them
        run = Fleet(settings, stock, interrupts).run(
            objects, lambda status: show(progress_line(settings, status))
        )
    except KeyboardInterrupt:
        return lambda removal: Finished(settings.run, removal, was_interrupted=True)
    except LoadError as error:
        problem = str(error)
        return lambda removal: Finished(settings.run, removal, problem=problem)
    return lambda removal: _finished(settings, Moment(started, vendor), run, removal)


def _finished(settings: Settings, moment: Moment, run: Run, removal: Removal) -> Finished:
    if run.problems and not run.measures.succeeded:
        problems = "; ".join(run.problems)
        return Finished(settings.run, removal, None, problems, run.was_interrupted)
    document = results.document(settings, moment, run, removal)
    return Finished(settings.run, removal, document, "", run.was_interrupted)


def _prepare(preparation: Preparation, show: Show) -> Stock:
    stock = preparation.stock(
        lambda number, total: show(f"preparing objects: {number:,} of {total:,}")
    )
    preparation.rehearse(stock)
    return stock


def _vendor(session: Session, version: Version) -> str:
    """What the server calls itself; empty if it does not say, which is no reason to measure nothing."""
    try:
        response = session.ask(calls.query((QueryFunction.QUERY_SERVER_INFORMATION,)), version)
    except (OperationFailed, LinkFailed, ProtocolError):
        return ""
    return response.vendor_identification or ""


def progress_line(settings: Settings, status: Status) -> str:
    """The line that shows how far a run is."""
    if not status.seconds:
        return "opening connections"
    seconds = status.seconds - settings.warm_up
    if seconds < 0:
        return "warm-up"
    of = "" if settings.duration is None else f" of {settings.duration:g}"
    total = status.succeeded + status.failed
    rate = status.succeeded / seconds if seconds else 0.0
    return (
        f"{seconds:.0f}{of} s  {total:,} requests  {rate:,.0f}/s"
        f"  p50 {duration(status.recent.percentile(50) / 1e6)}"
        f"  p99 {duration(status.recent.percentile(99) / 1e6)}  {status.failed:,} failed"
    )
