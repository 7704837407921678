"""The object from which every client starts."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from kmipkit_vsphere.web_services.inventory import ROOT_FOLDER
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.vim25.declaration import Ref, elements
from kmipkit_vsphere.web_services.vim25.service import AboutInfo, ServiceContent

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

VENDOR = "kmipkit"
BUILD = "0"


class ServiceInstance(ManagedObject, moid="ServiceInstance"):
    """The service."""

    @method("RetrieveServiceContent", public=True)
    async def retrieve_service_content(self, call: "Call") -> ServiceContent:
        """The managers, and what the service says of itself; needs no session."""
        fields = {field.attribute for field in elements(ServiceContent)}
        managers = {
            kind.content_field: Ref(kind.__name__, kind.moid)
            for kind in call.endpoint.singletons()
            if kind.content_field in fields and kind.moid is not None
        }
        return ServiceContent(**managers, root_folder=ROOT_FOLDER, about=about(call))

    @method("CurrentTime")
    async def current_time(self, call: "Call") -> datetime:
        """The time of the server."""
        return call.vcenter.clock()

    @prop(public=True)
    async def content(self, call: "Call") -> ServiceContent:
        """As :meth:`retrieve_service_content`."""
        return await self.retrieve_service_content(call)

    @prop()
    def server_clock(self, call: "Call") -> datetime:
        """The time of the server."""
        return call.vcenter.clock()


def about_host(call: "Call") -> AboutInfo:
    """What a host says of itself."""
    return replace(about(call), product_line_id="embeddedEsx", api_type="HostAgent", os_type="esx")


def about(call: "Call") -> AboutInfo:
    """What the service says of itself; ``version`` is of the form that Ansible compares."""
    release = call.endpoint.release
    return AboutInfo(
        name="kmipkit laboratory",
        full_name=f"kmipkit laboratory for vSphere {release.version}",
        vendor=VENDOR,
        version=release.version,
        build=BUILD,
        locale_version="INTL",
        locale_build="000",
        os_type="linux-x64",
        product_line_id="vpx",
        api_type="VirtualCenter",
        api_version=str(release.api),
        instance_uuid=call.endpoint.instance_uuid,
        license_product_name="kmipkit laboratory",
        license_product_version=release.version,
    )
