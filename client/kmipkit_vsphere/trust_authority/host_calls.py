"""What vCenter asks of a host about base images (vsphere.md §7.2)."""

from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.trust_authority.measurements import Image


class BootedImage(Request[Image]):
    """The metadata of the base image that a host with a TPM has booted."""


class PrepareUpgrade(Request[None]):
    """Let a host with a TPM open its configuration after it has booted this image, too.

    Without it, the TPM would not unseal the configuration in another state of the host.
    """

    image: Image
