"""How vCenter gives a host the key providers from which it gets keys by itself.

Apart from the other calls, because these messages need cryptography and TLS, which the command line
does not load.
"""

from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.providers.native import NativeSpec
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from kmipkit_vsphere.rpc.call import Request


class SetKeyProvider(Request[list[str]]):
    """Add a native key provider to a host; the answer names the machines that this unlocked."""

    spec: NativeSpec


class RemoveKeyProvider(Request[None]):
    """Remove a native key provider from a host."""

    provider: Text


class ConfigureVsan(Request[None]):
    """Encrypt the host's disk group with a key that the host fetches; ``deep`` rewrites all data."""

    config: VsanConfig
    deep: bool = False
