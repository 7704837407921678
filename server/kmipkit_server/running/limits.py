"""The limits that follow from a configuration."""

from dataclasses import replace

from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.config import Config
from kmipkit_server.config.effective import share_of_connections
from kmipkit_server.engine.budget import MessageLimits
from kmipkit_server.net.connection_limits import ConnectionLimits


def sizes_of(config: Config) -> Limits:
    """How large a message may be."""
    return replace(DEFAULT_LIMITS, max_message=config.limits.max_message)


def computations_of(config: Config, processes: int, number: int) -> int:
    """How many of all places for computations count as those of one of so many processes, by its number.
    They share all of them (:mod:`kmipkit_server.process.computations`)."""
    each, rest = divmod(config.limits.workers, processes)
    return each + (number <= rest)


def budgets_of(config: Config) -> MessageLimits:
    """What a message may cost."""
    limits = config.limits
    return MessageLimits(
        items=limits.batch_items, response=limits.max_response, cpu_seconds=limits.cpu_seconds
    )


def connection_limits_of(config: Config) -> ConnectionLimits:
    """How many connections there may be, and how long they may wait."""
    limits = config.limits
    share = share_of_connections(config)
    return ConnectionLimits(
        handshake_timeout=limits.handshake_timeout,
        message_timeout=limits.message_timeout,
        send_timeout=limits.send_timeout,
        idle_timeout=limits.idle_timeout,
        connections=limits.connections,
        connections_per_address=limits.connections_per_address or share,
        connections_per_account=limits.connections_per_account or share,
        connections_per_tenant=share,
        messages=sizes_of(config),
    )
