"""What earlier runs have left on the server, and its clean-up."""

from kmipkit_load import cleanup
from kmipkit_load.cleanup import Removal, Show
from kmipkit_load.errors import LoadError
from kmipkit_load.finding import Finder, Unfound
from kmipkit_load.interrupts import Interrupts
from kmipkit_load.network import Sockets
from kmipkit_load.settings import PREFIX, Settings
from kmipkit_load.source import Objects


def find(settings: Settings, show: Show) -> dict[str, list[str]]:
    """The Unique Identifiers of the objects of earlier runs, by run. LoadError if that is not known."""
    runs: dict[str, list[str]] = {}
    with Sockets(settings.target) as network:
        try:
            for identifier, name in Finder(network, settings).beginning_with(PREFIX, show):
                run = name.removeprefix(PREFIX).partition("-")[0]
                runs.setdefault(run, []).append(identifier)
        except Unfound as error:
            raise LoadError(f"{settings.target.address}: {error}") from None
    return runs


def remove(
    settings: Settings, identifiers: list[str], show: Show, interrupts: Interrupts
) -> Removal:
    """Destroy objects, whatever their state is."""
    objects = Objects()
    objects.made = dict.fromkeys(identifiers, True)
    with Sockets(settings.target) as network:
        return cleanup.clean(network, settings, objects, show, interrupts)
