"""The stories by name."""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit_vsphere.demo.loss import KeyLoss, RebuildVCenter
from kmipkit_vsphere.demo.native import Native
from kmipkit_vsphere.demo.stage import Stage
from kmipkit_vsphere.demo.standard import Standard
from kmipkit_vsphere.demo.trusted import Trusted
from kmipkit_vsphere.demo.vsan import Vsan

STORIES: Mapping[str, type[Stage]] = MappingProxyType(
    {
        "standard": Standard,
        "trusted": Trusted,
        "native": Native,
        "vsan": Vsan,
        "key-loss": KeyLoss,
        "rebuild-vcenter": RebuildVCenter,
    }
)
