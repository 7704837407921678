"""The versions of policy documents in the store, and which of them is in force.

They are settings, which are authenticated and which no client can name:

| setting | what it has |
| --- | --- |
| ``policy/TENANT/version/NUMBER`` | a version: its text, with number, time, author, comment and origin |
| ``policy/TENANT/active`` | the number and digest of the version in force |
| ``policy/TENANT/last`` | the number of the newest version |
| ``policy/TENANT/file`` | the digest of the file that was applied last |
| ``policy/revision`` | changes with every change of the above (:mod:`kmipkit_server.store.revision`) |

TENANT is empty for the document of the server. A version is never changed. The version in force may be
an older one, which an administrator has gone back to.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

from kmipkit.errors import KMIPError
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.revision import note_change

PREFIX = "policy/"
MAX_COMMENT = 1000
"""Characters of a comment at most."""
VERSIONS_KEPT = 100
"""The newest versions are kept, and the one that was in force before."""


class UnknownVersion(KMIPError):
    """There is no version of this number."""


class UnreadableVersion(KMIPError):
    """What is stored is not a version, or not the one that is in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A document as it was applied."""

    number: int
    """From 1 on, without gaps."""
    time: datetime
    author: str
    """The account that has applied it; empty for the server, which has read it from its file."""
    comment: str
    origin: str
    """Where the text is from, such as the name of a file."""
    text: str

    @property
    def digest(self) -> str:
        """The SHA-256 hash of the text."""
        return digest_of(self.text)


def digest_of(text: str) -> str:
    """The SHA-256 hash of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """A document was applied, or an earlier one brought back, in the transaction that has it."""

    tenant: str
    version: Version
    previous: int
    """The number of the version that was in force before; 0 for none."""
    author: str
    is_revert: bool = False

    @property
    def subject(self) -> str:
        """The document for the audit log, in a few words."""
        place = f"{self.tenant} " if self.tenant else ""
        return f"{place}version {self.version.number} sha256:{self.version.digest}"

    def __str__(self) -> str:
        version = self.version
        verb = "put back in force" if self.is_revert else "applied"
        whose = f" of the tenant {self.tenant}" if self.tenant else ""
        comment = f": {version.comment}" if version.comment and not self.is_revert else ""
        return (
            f"policy{whose}: version {version.number} {verb} after version {self.previous}"
            f" (SHA-256 {version.digest}){comment}"
        )


def _place(tenant: str) -> str:
    return f"{PREFIX}{quote(tenant, safe='')}/"


def _version_name(tenant: str, number: int) -> str:
    return f"{_place(tenant)}version/{number:09d}"


# --- reading ---------------------------------------------------------------------------------------


def active_number(reader: Reader, tenant: str) -> int:
    """The number of the version in force; 0 if there has never been one.

    UnreadableVersion or Damaged if that cannot be read.
    """
    stored = reader.setting(f"{_place(tenant)}active")
    if stored is None:
        return 0
    return _pointer(stored)[0]


def _pointer(stored: bytes) -> tuple[int, str]:
    try:
        value = json.loads(stored)
        return int(value["number"]), str(value["digest"])
    except (ValueError, TypeError, KeyError):
        raise UnreadableVersion("the setting of the policy in force is malformed") from None


def active_version(reader: Reader, tenant: str) -> Version | None:
    """The version in force; None if there has never been one.

    UnreadableVersion or Damaged if it cannot be read.
    """
    stored = reader.setting(f"{_place(tenant)}active")
    if stored is None:
        return None
    number, digest = _pointer(stored)
    version = read_version(reader, tenant, number)
    if version.digest != digest:
        raise UnreadableVersion(f"version {number} of the policy is not the one that was applied")
    return version


def read_version(reader: Reader, tenant: str, number: int) -> Version:
    """A version. UnknownVersion if there is none; UnreadableVersion or Damaged if it was changed."""
    stored = reader.setting(_version_name(tenant, number)) if number > 0 else None
    if stored is None:
        raise UnknownVersion(f"the policy has no version {number}")
    return _unpack(stored)


def history(reader: Reader, tenant: str) -> list[Version]:
    """All versions, the oldest first. UnreadableVersion or Damaged if one was changed."""
    return [_unpack(each) for each in reader.settings(f"{_place(tenant)}version/").values()]


def _unpack(stored: bytes) -> Version:
    try:
        value = json.loads(stored)
        return Version(**value | {"time": datetime.fromisoformat(value["time"])})
    except (ValueError, TypeError, KeyError):
        raise UnreadableVersion("a version of the policy is malformed") from None


# --- changing --------------------------------------------------------------------------------------


def apply(
    transaction: Transaction,
    text: str,
    *,
    tenant: str = "",
    author: str,
    now: datetime,
    comment: str = "",
    origin: str = "",
) -> Change:
    """Store a document as a new version, and put it in force. PolicyError if it has faults."""
    read_policy(text, tenant, origin or "policy")
    if len(comment) > MAX_COMMENT:
        raise PolicyError(f"a comment has {MAX_COMMENT} characters at most")
    number = _last_number(transaction, tenant) + 1
    version = Version(
        number=number, time=now, author=author, comment=comment, origin=origin, text=text
    )
    stored = json.dumps(asdict(version) | {"time": now.isoformat()}).encode()
    transaction.set_setting(_version_name(tenant, number), stored)
    transaction.set_setting(f"{_place(tenant)}last", str(number).encode())
    change = _put_in_force(transaction, tenant, version, author, now, is_revert=False)
    _remove_oldest(transaction, tenant, number, change.previous)
    return change


def _remove_oldest(transaction: Transaction, tenant: str, newest: int, previous: int) -> None:
    """Or the administrators of a tenant could fill the disk, which no limit of the tenant prevents."""
    try:
        names = tuple(transaction.settings(f"{_place(tenant)}version/"))
    except Damaged:
        return  # another version was changed: to apply a policy again is the way out
    for name in names:
        number = int(name.rpartition("/")[2])
        if number <= newest - VERSIONS_KEPT and number != previous:
            transaction.set_setting(name, None)


def revert(
    transaction: Transaction, number: int, *, tenant: str = "", author: str, now: datetime
) -> Change:
    """Put an earlier version in force again.

    UnknownVersion if there is none; PolicyError if this release of the server cannot read it.
    """
    version = read_version(transaction, tenant, number)
    read_policy(version.text, tenant, f"version {number}")
    return _put_in_force(transaction, tenant, version, author, now, is_revert=True)


def remove(transaction: Transaction, tenant: str, now: datetime) -> None:
    """Remove the policy of a tenant that is removed: another one of the same name begins without."""
    found = transaction.settings(_place(tenant))
    for name in found:
        transaction.set_setting(name, None)
    if found:
        note_change(transaction, _place(tenant), f"{now.isoformat()}\0removed".encode())


def _last_number(reader: Reader, tenant: str) -> int:
    stored = reader.setting(f"{_place(tenant)}last")
    return 0 if stored is None else int(stored)


def _put_in_force(
    transaction: Transaction,
    tenant: str,
    version: Version,
    author: str,
    now: datetime,
    *,
    is_revert: bool,
) -> Change:
    try:
        previous = active_number(transaction, tenant)
    except (UnreadableVersion, Damaged):  # applying a policy again is the way out
        previous = 0
    pointer = json.dumps({"number": version.number, "digest": version.digest}).encode()
    transaction.set_setting(f"{_place(tenant)}active", pointer)
    change = f"{now.isoformat()}\0{author}\0".encode() + pointer
    note_change(transaction, _place(tenant), change)
    return Change(tenant, version, previous, author, is_revert)


# --- the file of the configuration -----------------------------------------------------------------


def applied_file(reader: Reader, tenant: str) -> str:
    """The digest of the file that was applied last; empty if none was."""
    return (reader.setting(f"{_place(tenant)}file") or b"").decode("ascii", "replace")


def note_file(transaction: Transaction, tenant: str, digest: str) -> None:
    """Note the digest of the file that is applied."""
    transaction.set_setting(f"{_place(tenant)}file", digest.encode())
