"""The service itself and its sessions."""

from datetime import datetime
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Ref, Since


class AboutInfo(DataObject):
    """What the service says of itself."""

    name: str
    full_name: str
    vendor: str
    version: str
    patch_level: Annotated[str | None, Since("7.0.2.0")] = None
    build: str
    locale_version: str | None = None
    locale_build: str | None = None
    os_type: str
    product_line_id: str
    api_type: str
    api_version: str
    instance_uuid: str | None = None
    license_product_name: str | None = None
    license_product_version: str | None = None


class ServiceContent(DataObject):
    """The managers of the service; one that is missing is not supported."""

    root_folder: Ref
    property_collector: Ref
    view_manager: Ref | None = None
    about: AboutInfo
    setting: Ref | None = None
    user_directory: Ref | None = None
    session_manager: Ref | None = None
    authorization_manager: Ref | None = None
    service_manager: Ref | None = None
    perf_manager: Ref | None = None
    scheduled_task_manager: Ref | None = None
    alarm_manager: Ref | None = None
    event_manager: Ref | None = None
    task_manager: Ref | None = None
    extension_manager: Ref | None = None
    customization_spec_manager: Ref | None = None
    guest_customization_manager: Annotated[Ref | None, Since("6.8.7")] = None
    custom_fields_manager: Ref | None = None
    account_manager: Ref | None = None
    diagnostic_manager: Ref | None = None
    license_manager: Ref | None = None
    search_index: Ref | None = None
    file_manager: Ref | None = None
    datastore_namespace_manager: Ref | None = None
    virtual_disk_manager: Ref | None = None
    virtualization_manager: Ref | None = None
    snmp_system: Ref | None = None
    vm_provisioning_checker: Ref | None = None
    vm_compatibility_checker: Ref | None = None
    ovf_manager: Ref | None = None
    ip_pool_manager: Ref | None = None
    dv_switch_manager: Ref | None = None
    host_profile_manager: Ref | None = None
    cluster_profile_manager: Ref | None = None
    compliance_manager: Ref | None = None
    localization_manager: Ref | None = None
    storage_resource_manager: Ref | None = None
    guest_operations_manager: Ref | None = None
    overhead_memory_manager: Ref | None = None
    certificate_manager: Ref | None = None
    io_filter_manager: Ref | None = None
    v_storage_object_manager: Ref | None = None
    host_spec_manager: Ref | None = None
    crypto_manager: Ref | None = None
    health_update_manager: Ref | None = None
    failover_cluster_configurator: Ref | None = None
    failover_cluster_manager: Ref | None = None
    tenant_manager: Annotated[Ref | None, Since("6.9.1")] = None
    site_info_manager: Annotated[Ref | None, Since("7.0.0.0")] = None
    storage_query_manager: Annotated[Ref | None, Since("6.7.2")] = None
    direct_path_profile_manager: Annotated[Ref | None, Since("9.0.0.0")] = None


class UserSession(DataObject):
    """A session."""

    key: str
    user_name: str
    full_name: str
    login_time: datetime
    last_active_time: datetime
    locale: str
    message_locale: str
    extension_session: bool
    ip_address: str
    user_agent: str
    call_count: Long
