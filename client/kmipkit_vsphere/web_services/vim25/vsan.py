"""vSAN."""

from kmipkit_vsphere.web_services.vim25.declaration import DataObject


class VsanClusterConfigInfoHostDefaultInfo(DataObject):
    """How new hosts take part in vSAN."""

    auto_claim_storage: bool | None = None


class VsanClusterConfigInfo(DataObject):
    """Whether a cluster has vSAN."""

    enabled: bool | None = None
    default_config: VsanClusterConfigInfoHostDefaultInfo | None = None
