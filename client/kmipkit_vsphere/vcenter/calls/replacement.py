"""Replacing a key provider, such as one whose key servers are retired, and what uses it."""

from typing import Final

from kmipkit_vsphere.model.message import Message, Text, field
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege


class ProviderUse(Message):
    """What uses any key of a provider; whether ``unknown_hosts`` do is not known."""

    provider: str
    used_by: list[str]
    unknown_hosts: list[str]


class QueryProviderUse(VCenterQuery[ProviderUse]):
    """Show everything that uses a key of a provider; it can be removed when there is nothing."""

    provider: Text


class ReplacementResult(Message):
    """What was moved now, what could not be, and what still uses the old provider."""

    old: str
    new: str
    replaced: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    still_used_by: list[str] = field(default_factory=list)
    unknown_hosts: list[str] = field(default_factory=list)


class ReplaceProvider(VCenterRequest[ReplacementResult]):
    """Give everything that uses a provider keys of another one; repeat it until nothing is left."""

    old: Text
    new: Text


ROWS: Final = (
    Row(
        QueryProviderUse,
        Privilege.READ_KEY_SERVERS_INFO,
        command="provider-use",
        arguments=(Argument("PROVIDER", "provider"),),
        example="provider-use KMS",
    ),
    Row(
        ReplaceProvider,
        Privilege.MANAGE_KEY_SERVERS,
        command="replace-provider",
        arguments=(Argument("OLD", "old"), Argument("NEW", "new")),
        example="replace-provider KMS NEXT",
        records=True,
    ),
)
