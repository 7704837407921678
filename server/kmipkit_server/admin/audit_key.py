"""What the commands of the audit need from a data directory besides the log: its key, and its files."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kmipkit_server.admin.data_directory import require_database
from kmipkit_server.audit.anchor import known_hashes, known_logs, read_anchor
from kmipkit_server.audit.files import LogFile
from kmipkit_server.audit.logs import Log, logs_in
from kmipkit_server.audit.settings import key_of
from kmipkit_server.audit.signatures import PURPOSE, Signer
from kmipkit_server.audit.verification import Expected
from kmipkit_server.config import Config
from kmipkit_server.service import stores
from kmipkit_server.service.audit import node_of_logs


def of_data_directory(config: Config) -> tuple[Ed25519PublicKey, dict[str, Expected]]:
    """The public key of a server, and what its store knows of its logs, by their names.

    KMIPError or ClickException if that fails.
    """
    require_database(config)
    vault = stores.open_root_key(config)
    with stores.open_offline(config, vault) as store:
        key = Signer(store.derive_key(PURPOSE)).public_key
        expected = {}
        node = node_of_logs(config)
        for name in known_logs(store.reader, node):
            log = key_of(node, name)
            anchor = read_anchor(store.reader, log)
            if anchor is not None:
                expected[name] = Expected(anchor.chain, known_hashes(store.reader, log))
        return key, expected


def logs_at(path: Path) -> list[Log]:
    """The logs in a directory, or one file. OSError if they cannot be read."""
    return logs_in(path) if path.is_dir() else [Log("", [LogFile(0, path)])]
