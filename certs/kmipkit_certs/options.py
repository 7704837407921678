"""Options that several commands have; importing this module is cheap."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from kmipkit.durations import duration
from kmipkit_certs.clock import system_clock

DAY = timedelta(days=1)
MAX_DAYS = 36500
_Command = TypeVar("_Command", bound=Callable[..., Any])


def password_option(function: _Command) -> _Command:
    """``--key-password-file``; without it, the environment and the terminal are asked."""
    return click.option(
        "--key-password-file",
        type=click.Path(path_type=Path),
        envvar="KMIPKIT_KEY_PASSWORD_FILE",
        help="File whose first line is the password of the private key.  [default: the environment"
        " variable KMIPKIT_KEY_PASSWORD; else it is asked for]",
    )(function)


def validity_options(default: int | None = 825) -> Callable[[_Command], _Command]:
    """``--days`` and ``--until``; the command gets the days, which need not be whole, as ``days``.

    ``default`` None is for commands that know better how long.
    """

    def decorate(function: _Command) -> _Command:
        @wraps(function)
        def with_days(*args: Any, days: int | None, until: timedelta | None, **options: Any) -> Any:
            if days is not None and until is not None:
                raise click.UsageError("give one of --days and --until")
            valid = (days or default) if until is None else until / DAY
            return function(*args, days=valid, **options)

        return by_days(by_end(with_days))  # type: ignore[return-value]  # as of click itself

    usual = "as long as the old one" if default is None else default
    by_days = click.option(
        "--days",
        type=click.IntRange(1, MAX_DAYS),
        help=f"Days for which the certificate is valid.  [default: {usual}]",
    )
    by_end = click.option(
        "--until",
        callback=_time_left,
        metavar="TIME",
        help="End of its validity: 2027-01-31, 2027-01-31T18:00, or 12h from now.",
    )
    return decorate


def _time_left(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> timedelta | None:
    """From now until a time that was written, in UTC unless it has a zone."""
    if text is None:
        return None
    left = duration(text)
    if left is None:
        try:
            end = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is not a time such as 2027-01-31T18:00 or 12h"
            ) from None
        left = (end if end.tzinfo is not None else end.replace(tzinfo=UTC)) - system_clock()
    if not timedelta() < left <= MAX_DAYS * DAY:
        raise click.BadParameter(f"{text!r} is not between now and {MAX_DAYS} days from now")
    return left
