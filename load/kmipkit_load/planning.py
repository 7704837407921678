"""From the options of the command to the settings of a run, and what the run will do, in words."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from pathlib import Path

import click
from kmipkit_certs.passwords import KeyPassword, first_line, from_command_line

from kmipkit.spec.versions import V1_0, Version
from kmipkit_load import mixes
from kmipkit_load.driver import Reuse
from kmipkit_load.encoding import ENCODINGS, Encoding
from kmipkit_load.errors import MixError
from kmipkit_load.keys import KEYS
from kmipkit_load.mixes import Mix
from kmipkit_load.options import HTTPS_PATH, RunOptions, TargetOptions
from kmipkit_load.preparation import planned
from kmipkit_load.runner import negotiated
from kmipkit_load.settings import Settings
from kmipkit_load.target import Target
from kmipkit_load.texts import objects


def check_usage(options: RunOptions) -> None:
    """Refuse options that do not go together."""
    if options.duration is None and options.requests is None:
        raise click.UsageError(
            "a run needs a bound: give --duration SECONDS, --requests N, or both"
        )
    if options.cold and options.resumed:
        raise click.UsageError("--cold and --resumed exclude each other")
    if options.processes > options.connections:
        raise click.UsageError(
            f"--processes {options.processes} needs as many connections;"
            f" there are {options.connections} (--connections)"
        )
    if options.requests is not None and options.requests < options.processes:
        raise click.UsageError("--requests must not be less than --processes")


def settings_of(options: RunOptions) -> Settings:
    """The settings; the version is agreed on with the target if no option names it.

    A usage error for options that are not valid; LoadError or ClientError if the target cannot be used.
    """
    check_usage(options)
    settings = replace(
        _basic(options, _mix(options)),
        run=secrets.token_hex(4),
        connections=options.connections,
        processes=options.processes,
        duration=options.duration,
        requests=options.requests,
        warm_up=options.warm_up,
        rate=options.rate,
        arrivals=options.arrivals,
        reuse=Reuse.COLD if options.cold else Reuse.RESUMED if options.resumed else Reuse.KEEP,
        seed=options.seed,
    )
    if options.kmip is None:
        settings = negotiated(settings)
    _check_version(settings)
    return settings


def settings_to_clean(options: TargetOptions) -> Settings:
    """The settings to clean up after earlier runs."""
    settings = _basic(options, mixes.of_operation("get"))
    return negotiated(settings) if options.kmip is None else settings


def _basic(options: TargetOptions, mix: Mix) -> Settings:
    return Settings(
        run="",
        target=_target(options),
        mix=mix,
        version=V1_0 if options.kmip is None else _version(options.kmip),
        encoding=Encoding(ENCODINGS[options.encoding]),
        timeout=options.timeout,
    )


def _version(text: str) -> Version:
    return Version(*map(int, text.split(".")))


def _target(options: TargetOptions) -> Target:
    host, port = options.target
    https = options.https
    if https is None and options.encoding != "ttlv":
        https = port, HTTPS_PATH
    port, path = (port, None) if https is None else https
    return Target(
        host,
        port,
        options.ca,
        options.cert,
        options.key,
        _password(options.key_password_file),
        https=path,
        media=ENCODINGS[options.encoding],
        tls=options.tls,
    )


def _password(file: Path | None) -> KeyPassword:
    """The password, read once: the file may be a pipe, and each process of the run needs it."""
    if file is None:
        return from_command_line(None)
    return KeyPassword(text=first_line(file))


def _mix(options: RunOptions) -> Mix:
    unknown = [name for name in options.key_sizes if name not in KEYS]
    if unknown:
        raise click.BadParameter(
            f"{unknown[0]!r} is not one of {', '.join(KEYS)}", param_hint="--key-size"
        )
    mix = mixes.find(options.mix).with_keys(options.key_sizes)
    return mix if options.objects is None else replace(mix, objects=options.objects)


def _check_version(settings: Settings) -> None:
    late = [
        line.operation for line in settings.mix.lines if line.operation.since > settings.version
    ]
    if late:
        raise MixError(
            f"the mix {settings.mix.name} has {late[0].name}, which needs KMIP {late[0].since};"
            f" this run uses {settings.version}"
        )


def announcement(settings: Settings) -> Iterator[str]:
    """What the run will create and send."""
    address, prefix = settings.target.address, f"{settings.prefix}..."
    prepared = planned(settings)
    creating = [line.label for line in settings.mix.lines if line.operation.creates]
    if prepared:
        yield f"This run creates {objects(prepared)} on {address} before it measures."
    if creating:
        yield f"It creates objects while it measures ({', '.join(creating)}): {_bound(settings)}."
    if prepared or creating:
        yield f"Their names begin with {prefix}; all of them are destroyed at the end."
    else:
        yield f"This run creates nothing on {address}."


def _bound(settings: Settings) -> str:
    """How many requests there will be, with those of the warm-up."""
    if settings.requests is None:
        return _requests_in(settings, (settings.duration or 0) + settings.warm_up)
    most = f"{settings.requests:,} at most"
    if settings.duration is not None:
        most += f" and {_requests_in(settings, settings.duration)}"
    if settings.warm_up:
        most += f", and {_requests_in(settings, settings.warm_up)} of warm-up"
    return most


def _requests_in(settings: Settings, seconds: float) -> str:
    if settings.rate is None:
        return f"as many as the server can in {seconds:g} s"
    about = "about " if settings.arrivals == "poisson" else ""
    return f"{about}{ceil(settings.rate * seconds):,} in {seconds:g} s"
