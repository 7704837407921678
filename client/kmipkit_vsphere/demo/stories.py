"""The stories by name."""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit_vsphere.demo.alarms import Alarms
from kmipkit_vsphere.demo.native import Native
from kmipkit_vsphere.demo.persistence import KeyPersistence
from kmipkit_vsphere.demo.policies import PoliciesAndTPM
from kmipkit_vsphere.demo.provider_replacement import ReplaceProvider
from kmipkit_vsphere.demo.replacement import ReplaceKeyServer
from kmipkit_vsphere.demo.runbooks import KeyLoss, RebuildVCenter
from kmipkit_vsphere.demo.snapshots import Snapshots
from kmipkit_vsphere.demo.standard import Standard
from kmipkit_vsphere.demo.story import Story
from kmipkit_vsphere.demo.trusted import Trusted
from kmipkit_vsphere.demo.upgrade import UpgradeHost
from kmipkit_vsphere.demo.vsan import Vsan

STORIES: Mapping[str, type[Story]] = MappingProxyType(
    {
        "standard": Standard,
        "trusted": Trusted,
        "native": Native,
        "vsan": Vsan,
        "key-loss": KeyLoss,
        "rebuild-vcenter": RebuildVCenter,
        "replace-key-server": ReplaceKeyServer,
        "policies": PoliciesAndTPM,
        "snapshots": Snapshots,
        "alarms": Alarms,
        "replace-provider": ReplaceProvider,
        "upgrade-host": UpgradeHost,
        "key-persistence": KeyPersistence,
    }
)
