"""The file with the policy of the server: a change of it is applied as a new version.

A version that an administrator has taken back stays so: the file is applied at a start and at a reload
only if its content is another one than that which was applied last.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from kmipkit_server.audit.administration import AdminRequest, AuditedChange
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.identity import SYSTEM
from kmipkit_server.policy import versions
from kmipkit_server.policy.document import MAX_BYTES, read_policy
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.service.reload import Commit
from kmipkit_server.store.base import Reader, Store, Transaction
from kmipkit_server.store.errors import Damaged

log = logging.getLogger("kmipkit.server")


def read_policy_file(path: Path) -> str:
    """The text of a policy. ConfigError with all faults if it is not usable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode()
        read_policy(text, source=str(path))
    except OSError as error:
        raise ConfigError(f"policy.file: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"policy.file: {path} is not UTF-8") from None
    except PolicyError as error:
        raise ConfigError(*error.faults) from None
    return text


class PolicyFile:
    """Applies the file that the configuration names."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._text: str | None = None

    def prepare(self, config: Config) -> Commit:
        """Read and check the file. ConfigError: nothing has changed."""
        path = config.policy.file
        self._text = None if path is None else read_policy_file(path)
        return lambda: ()

    async def apply(self, config: Config) -> Iterable[str]:
        """Apply what was read, if it is new; the lines say what has changed. StoreError if it fails."""
        path, text = config.policy.file, self._text
        if path is None or text is None:
            return ()
        digest = versions.digest_of(text)
        if await self._store.run(lambda reader: versions.applied_file(reader, "")) == digest:
            return (await self._store.run(lambda reader: _unchanged(reader, path)),)
        request = AdminRequest(SYSTEM, self._clock(), "policy apply")

        def work(transaction: Transaction) -> AuditedChange:
            now = self._clock()
            change = versions.apply(transaction, text, author="", now=now, origin=str(path))
            versions.note_file(transaction, "", digest)
            request.subject = change.subject
            return AuditedChange(request, change)

        changed = await self._store.run(work, writes=True)
        return (str(changed.result),)


def _unchanged(reader: Reader, path: Path) -> str:
    try:
        number: object = versions.active_number(reader, "")
    except (Damaged, versions.UnreadableVersion):
        number = "an unreadable one"
    return f"policy: {path} is as it was applied last; version {number} stays in force"


def warnings_of(config: Config) -> Iterator[str]:
    """Check the file for a start; ConfigError if it is not usable."""
    if config.policy.file is not None:
        read_policy_file(config.policy.file)
    yield from ()
