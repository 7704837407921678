"""What the commands of the audit need from a data directory besides the log: its key, and its files."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kmipkit_server.audit.anchor import known_hashes, read_anchor
from kmipkit_server.audit.files import LogFile, log_files
from kmipkit_server.audit.signatures import PURPOSE, Signer
from kmipkit_server.audit.verification import Expected
from kmipkit_server.config import Config
from kmipkit_server.store.sqlite.offline import OfflineStore
from kmipkit_server.vault.file import FileVault


def of_data_directory(config: Config) -> tuple[Ed25519PublicKey, Expected | None]:
    """The public key of a server, and what its store knows of the log. KMIPError if that fails."""
    vault = FileVault.open(config.root_key, may_create=False)
    with OfflineStore.open(config.database, vault) as store:
        key = Signer(store.derive_key(PURPOSE)).public_key
        anchor = read_anchor(store.reader)
        if anchor is None:
            return key, None
        return key, Expected(anchor.chain, known_hashes(store.reader))


def files_at(path: Path) -> list[LogFile]:
    """The files of a log in a directory, or one file. OSError if they cannot be read."""
    return log_files(path) if path.is_dir() else [LogFile(0, path)]
