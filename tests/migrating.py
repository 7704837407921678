"""Two key servers, and migrations from one to the other."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kmipkit_client import Client
from kmipkit_client.values import opaque_object, secret_data, symmetric_key
from kmipkit_migrate.comparison import Compared, Comparison
from kmipkit_migrate.journal import Entry, Journal
from kmipkit_migrate.migration import Options, Outcome, migrate
from kmipkit_migrate.server import Server

from kmipkit.spec.enums import RevocationReasonCode

FAST = Options(workers=1)
BEGIN = datetime(2026, 7, 1, 12, tzinfo=UTC)


def silent(_what: str, _done: int, _of: int) -> None:
    """No progress is shown."""


@dataclass
class Move:
    """A migration between two servers."""

    source: Client
    target: Client
    path: Path
    options: Options = FAST
    names: tuple[str, str] = ("old:5696", "new:5696")
    outcome: Outcome | None = field(default=None, init=False)

    @property
    def one(self) -> Server:
        return Server(self.source, self.names[0]).open()

    @property
    def two(self) -> Server:
        return Server(self.target, self.names[1]).open()

    def run(self, progress: Any = silent) -> dict[str, Entry]:
        """Migrate; the entries by the identifiers of the source."""
        journal = Journal(self.path, *self.names)
        try:
            self.outcome = migrate(self.one, self.two, journal, self.options, progress)
        finally:
            journal.close()
        return {entry.id: entry for entry in self.outcome.entries}

    @property
    def journal(self) -> Journal:
        opened = Journal(self.path, *self.names)
        opened.close()
        return opened

    def compare(self, **options: Any) -> list[Compared]:
        return Comparison(
            self.one, self.two, self.journal.identifiers if self.path.exists() else {}, **options
        ).run(1, silent)

    def steps(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


def furnish(client: Client) -> dict[str, str]:
    """Objects of several types, and in all states that an object with a key can have."""
    made = {
        "active": client.create(name="active", attributes={"x-Owner": "storage"}),
        "pre-active": client.create(name="pre-active"),
        "deactivated": client.create(name="deactivated"),
        "compromised": client.create(name="compromised"),
        "password": client.register(secret_data("correct horse"), name="password"),
        "short": client.register(symmetric_key(bytes(range(16))), name="short", usage=_usage()),
        "opaque": client.register(opaque_object(b"anything"), name="opaque"),
    }
    pair = client.create_key_pair(length=2048, names=("private", "public"))
    made |= {"private": pair.private, "public": pair.public}
    for name in ("active", "deactivated"):
        client.activate(made[name])
    client.revoke(made["deactivated"], RevocationReasonCode.SUPERSEDED, "a newer one")
    client.revoke(
        made["compromised"],
        RevocationReasonCode.KEY_COMPROMISE,
        "stolen",
        compromise_occurred=BEGIN,
    )
    return made


def _usage() -> Any:
    from kmipkit_client.values import ENCRYPT_AND_DECRYPT

    return ENCRYPT_AND_DECRYPT
