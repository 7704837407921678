"""The document in which pyVmomi reads the versions of the API that a server has."""

from functools import cache

from lxml import etree

from kmipkit_vsphere.web_services.versions import PRIOR_VERSIONS, Release
from kmipkit_vsphere.web_services.vim25.declaration import VIM25


@cache
def document(release: Release) -> bytes:
    """The newest version, then all older ones."""
    root = etree.Element("namespaces", version="1.0")
    namespace = etree.SubElement(root, "namespace")
    etree.SubElement(namespace, "name").text = VIM25
    etree.SubElement(namespace, "version").text = str(release.api)
    prior = etree.SubElement(namespace, "priorVersions")
    for version in PRIOR_VERSIONS:
        if version < release.api:
            etree.SubElement(prior, "version").text = str(version)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
