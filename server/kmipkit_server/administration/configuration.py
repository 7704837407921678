"""A route for the configuration of the running server."""

from typing import Any

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.routes import Empty, Route, Who
from kmipkit_server.config.effective import effective
from kmipkit_server.config.show import shown_value
from kmipkit_server.config.sources import all_settings


class Setting(msgspec.Struct, frozen=True):
    """A setting with the value that applies now; secrets are masked."""

    section: str
    key: str
    value: Any


class SettingList(msgspec.Struct, frozen=True):
    """All settings."""

    settings: tuple[Setting, ...]


async def show_configuration(context: Context, _request: Empty) -> SettingList:
    """The settings of the server, as the last reload has left them."""
    config = effective(context.parts.config())
    return SettingList(
        tuple(
            Setting(section, key, shown_value(config, section, key))
            for section, key in all_settings()
        )
    )


ROUTES = (
    Route(
        method="GET",
        path="/config",
        name="config show",
        summary="Show the configuration.",
        who=Who.SERVER,
        request=Empty,
        answer=SettingList,
        handler=show_configuration,
    ),
)
