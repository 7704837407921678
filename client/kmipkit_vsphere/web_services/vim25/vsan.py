"""vSAN."""

from kmipkit_vsphere.web_services.vim25.declaration import DataObject


class VsanClusterConfigInfo(DataObject):
    """Whether a cluster has vSAN."""

    enabled: bool | None = None
