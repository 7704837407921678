"""The custom attributes by which a key server's administrator knows a key (vsphere.md §3.3)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Product:
    """The product that requests keys, as the key server's administrator sees it."""

    version: str = "8.0.3 build-24022515"
    vendor: str = "VMware, Inc."
    name: str = "VMware vSphere"

    def attributes(self) -> dict[str, str]:
        """The custom attributes, in the order in which vCenter asks for and adds them."""
        return {
            "x-Product_Version": self.version,
            "x-Vendor": self.vendor,
            "x-Product": self.name,
        }


@dataclass(frozen=True, slots=True)
class Owner:
    """What a key is for: a machine or a host, with its UUID and its name in the inventory."""

    identifier: str
    component: str
    name: str

    def attributes(self) -> dict[str, str]:
        """The custom attributes, in the order in which vCenter asks for and adds them."""
        return {
            "x-Identifier": self.identifier,
            "x-Component": self.component,
            "x-Name": self.name,
        }


VIRTUAL_MACHINE: Final = "Virtual Machine"
ESXI_SERVER: Final = "ESXi Server"
VSAN_CLUSTER: Final = "vSAN Cluster"
