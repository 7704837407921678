"""What the commands on files need before all else: a data directory in which a server has been."""

import click

from kmipkit_server.config import Config
from kmipkit_server.service import stores


def require_database(config: Config) -> None:
    """ClickException if there is no database, before anything says that its root key is missing."""
    if not stores.exists(config):
        if config.store.url is not None:
            raise click.ClickException(
                f"{stores.place_of(config)} is empty: no server has used it yet"
            )
        raise click.ClickException(
            f"{stores.place_of(config)} does not exist; --data-dir or --config says where the server"
            " has its data"
        )
