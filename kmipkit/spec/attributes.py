from typing import NamedTuple
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version, V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1, V3_0
class Rules(NamedTuple):
    set_by_client: bool
    modifiable_by_client: bool
    deletable_by_client: bool
_RULES = {'Unique Identifier': ((False, False, False), (False, False, False)), 'Name': ((True, True, True), (True, True, True)), 'Object Type': ((False, False, False), (False, False, False)), 'Cryptographic Algorithm': ((False, False, False), (False, False, False)), 'Cryptographic Length': ((False, False, False), (False, False, False)), 'Cryptographic Parameters': ((True, True, True), (True, True, True)), 'Cryptographic Domain Parameters': ((True, False, False), (True, False, False)), 'Certificate Type': ((False, False, False), (False, False, False)), 'Certificate Length': ((False, False, False), (False, False, False)), 'X.509 Certificate Identifier': ((False, False, False), (False, False, False)), 'X.509 Certificate Subject': ((False, False, False), (False, False, False)), 'X.509 Certificate Issuer': ((False, False, False), (False, False, False)), 'Certificate Identifier': ((False, False, False), (False, False, False)), 'Certificate Subject': ((False, False, False), (False, False, False)), 'Certificate Issuer': ((False, False, False), (False, False, False)), 'Digital Signature Algorithm': ((False, False, False), (False, False, False)), 'Digest': ((False, False, False), (False, False, False)), 'Operation Policy Name': ((True, False, False), (True, False, False)), 'Cryptographic Usage Mask': ((True, False, False), (True, False, False)), 'Lease Time': ((False, False, False), (False, False, False)), 'Usage Limits': ((True, True, True), (True, True, True)), 'State': ((False, False, False), (False, False, False)), 'Initial Date': ((False, False, False), (False, False, False)), 'Activation Date': ((True, True, False), (True, True, False)), 'Process Start Date': ((True, True, False), (True, True, False)), 'Protect Stop Date': ((True, True, False), (True, True, False)), 'Deactivation Date': ((True, True, False), (True, True, False)), 'Destroy Date': ((False, False, False), (False, False, False)), 'Compromise Occurrence Date': ((False, False, False), (False, False, False)), 'Compromise Date': ((False, False, False), (False, False, False)), 'Revocation Reason': ((False, False, False), (False, False, False)), 'Archive Date': ((False, False, False), (False, False, False)), 'Object Group': ((True, True, True), (True, True, True)), 'Fresh': ((True, False, False), (True, False, False)), 'Link': ((True, True, True), (True, True, True)), 'Application Specific Information': ((True, True, True), (True, True, True)), 'Contact Information': ((True, True, True), (True, True, True)), 'Last Change Date': ((False, False, False), (False, False, False)), 'Custom Attribute': ((True, True, True), (True, True, True)), 'Alternative Name': ((True, True, True), (True, True, True)), 'Key Value Present': ((False, False, False), (False, False, False)), 'Key Value Location': ((True, True, True), (True, True, True)), 'Original Creation Date': ((True, False, False), (True, False, False)), 'Random Number Generator': ((True, False, False), (True, False, False)), 'PKCS#12 Friendly Name': ((True, True, True), (True, True, True)), 'Description': ((True, True, True), (True, True, True)), 'Comment': ((True, True, True), (True, True, True)), 'Sensitive': ((True, True, False), (True, True, False)), 'Always Sensitive': ((False, False, False), (False, False, False)), 'Extractable': ((True, True, False), (True, True, False)), 'Never Extractable': ((False, False, False), (False, False, False)), 'Certificate Attributes': ((False, False, False), (False, False, False)), 'Key Format Type': ((False, False, False), (False, False, False)), 'NIST Key Type': ((True, False, False), (True, False, False)), 'Opaque Data Type': ((False, False, False), (False, False, False)), 'Protection Level': ((True, True, True), (True, True, True)), 'Protection Period': ((True, True, True), (True, True, True)), 'Protection Storage Mask': ((False, False, False), (False, False, False)), 'Quantum Safe': ((True, True, True), (True, True, True)), 'Rotate Automatic': ((True, False, False), (True, False, False)), 'Rotate Date': ((False, False, False), (False, False, False)), 'Rotate Generation': ((False, False, False), (False, False, False)), 'Rotate Interval': ((True, False, False), (True, False, False)), 'Rotate Latest': ((False, False, False), (False, False, False)), 'Rotate Name': ((True, True, True), (True, True, True)), 'Rotate Offset': ((True, False, False), (True, False, False)), 'Short Unique Identifier': ((False, False, False), (False, False, False))}
class AttributeSpec(NamedTuple):
    tag: Tag
    name: str
    since: Version
    until: Version | None
    multi_instance: bool
    def rules(self, version: Version) -> Rules:
        return Rules(*_RULES[self.name][version >= V2_0])
    def known_in(self, version: Version) -> bool:
        return self.since <= version and (self.until is None or version <= self.until)
ATTRIBUTES = (
    AttributeSpec(Tag(0x420094), 'Unique Identifier', V1_0, None, False),
    AttributeSpec(Tag(0x420053), 'Name', V1_0, None, True),
    AttributeSpec(Tag(0x420057), 'Object Type', V1_0, None, False),
    AttributeSpec(Tag(0x420028), 'Cryptographic Algorithm', V1_0, None, False),
    AttributeSpec(Tag(0x42002a), 'Cryptographic Length', V1_0, None, False),
    AttributeSpec(Tag(0x42002b), 'Cryptographic Parameters', V1_0, None, True),
    AttributeSpec(Tag(0x420029), 'Cryptographic Domain Parameters', V1_0, None, False),
    AttributeSpec(Tag(0x42001d), 'Certificate Type', V1_0, None, False),
    AttributeSpec(Tag(0x4200ad), 'Certificate Length', V1_1, None, False),
    AttributeSpec(Tag(0x4200b5), 'X.509 Certificate Identifier', V1_1, None, False),
    AttributeSpec(Tag(0x4200b7), 'X.509 Certificate Subject', V1_1, None, False),
    AttributeSpec(Tag(0x4200b6), 'X.509 Certificate Issuer', V1_1, None, False),
    AttributeSpec(Tag(0x420014), 'Certificate Identifier', V1_0, V1_4, False),
    AttributeSpec(Tag(0x42001a), 'Certificate Subject', V1_0, V1_4, False),
    AttributeSpec(Tag(0x420015), 'Certificate Issuer', V1_0, V1_4, False),
    AttributeSpec(Tag(0x4200ae), 'Digital Signature Algorithm', V1_1, None, True),
    AttributeSpec(Tag(0x420034), 'Digest', V1_0, None, True),
    AttributeSpec(Tag(0x42005d), 'Operation Policy Name', V1_0, V1_4, False),
    AttributeSpec(Tag(0x42002c), 'Cryptographic Usage Mask', V1_0, None, False),
    AttributeSpec(Tag(0x420049), 'Lease Time', V1_0, None, False),
    AttributeSpec(Tag(0x420095), 'Usage Limits', V1_0, None, False),
    AttributeSpec(Tag(0x42008d), 'State', V1_0, None, False),
    AttributeSpec(Tag(0x420039), 'Initial Date', V1_0, None, False),
    AttributeSpec(Tag(0x420001), 'Activation Date', V1_0, None, False),
    AttributeSpec(Tag(0x420067), 'Process Start Date', V1_0, None, False),
    AttributeSpec(Tag(0x420068), 'Protect Stop Date', V1_0, None, False),
    AttributeSpec(Tag(0x42002f), 'Deactivation Date', V1_0, None, False),
    AttributeSpec(Tag(0x420033), 'Destroy Date', V1_0, None, False),
    AttributeSpec(Tag(0x420021), 'Compromise Occurrence Date', V1_0, None, False),
    AttributeSpec(Tag(0x420020), 'Compromise Date', V1_0, None, False),
    AttributeSpec(Tag(0x420081), 'Revocation Reason', V1_0, None, False),
    AttributeSpec(Tag(0x420005), 'Archive Date', V1_0, None, False),
    AttributeSpec(Tag(0x420056), 'Object Group', V1_0, None, True),
    AttributeSpec(Tag(0x4200a8), 'Fresh', V1_1, None, False),
    AttributeSpec(Tag(0x42004a), 'Link', V1_0, None, True),
    AttributeSpec(Tag(0x420004), 'Application Specific Information', V1_0, None, True),
    AttributeSpec(Tag(0x420022), 'Contact Information', V1_0, None, False),
    AttributeSpec(Tag(0x420048), 'Last Change Date', V1_0, None, False),
    AttributeSpec(Tag(0x42002d), 'Custom Attribute', V1_0, V1_4, True),
    AttributeSpec(Tag(0x4200bf), 'Alternative Name', V1_2, None, True),
    AttributeSpec(Tag(0x4200bb), 'Key Value Present', V1_2, None, False),
    AttributeSpec(Tag(0x4200b8), 'Key Value Location', V1_2, None, True),
    AttributeSpec(Tag(0x4200bc), 'Original Creation Date', V1_2, None, False),
    AttributeSpec(Tag(0x4200de), 'Random Number Generator', V1_3, None, False),
    AttributeSpec(Tag(0x4200fb), 'PKCS#12 Friendly Name', V1_4, None, False),
    AttributeSpec(Tag(0x4200fc), 'Description', V1_4, None, False),
    AttributeSpec(Tag(0x4200fd), 'Comment', V1_4, None, False),
    AttributeSpec(Tag(0x420120), 'Sensitive', V1_4, None, False),
    AttributeSpec(Tag(0x420121), 'Always Sensitive', V1_4, None, False),
    AttributeSpec(Tag(0x420122), 'Extractable', V1_4, None, False),
    AttributeSpec(Tag(0x420123), 'Never Extractable', V1_4, None, False),
    AttributeSpec(Tag(0x420042), 'Key Format Type', V1_0, None, False),
    AttributeSpec(Tag(0x42013a), 'NIST Key Type', V2_0, None, True),
    AttributeSpec(Tag(0x420059), 'Opaque Data Type', V1_0, None, False),
    AttributeSpec(Tag(0x420145), 'Protection Level', V2_0, None, False),
    AttributeSpec(Tag(0x420146), 'Protection Period', V2_0, None, False),
    AttributeSpec(Tag(0x42015e), 'Protection Storage Mask', V2_0, None, False),
    AttributeSpec(Tag(0x420147), 'Quantum Safe', V2_0, None, False),
    AttributeSpec(Tag(0x42016b), 'Rotate Automatic', V2_1, None, False),
    AttributeSpec(Tag(0x42016d), 'Rotate Date', V2_1, None, False),
    AttributeSpec(Tag(0x42016e), 'Rotate Generation', V2_1, None, False),
    AttributeSpec(Tag(0x42016a), 'Rotate Interval', V2_1, None, False),
    AttributeSpec(Tag(0x420172), 'Rotate Latest', V2_1, None, False),
    AttributeSpec(Tag(0x42016f), 'Rotate Name', V2_1, None, False),
    AttributeSpec(Tag(0x42016c), 'Rotate Offset', V2_1, None, False),
    AttributeSpec(Tag(0x420136), 'Short Unique Identifier', V2_0, None, False),
)
ATTRIBUTES += tuple(AttributeSpec(t, 'Certificate %s %s' % (t.name.split('_')[1].title(), {'EMAIL':'Email','SERIAL_NUMBER':'Serial Number','TITLE':'Title','DN_QUALIFIER':'DN Qualifier'}.get(t.name.split('_',2)[2],t.name.split('_',2)[2])), V1_4, None, False) for t in Tag if Tag.CERTIFICATE_SUBJECT_CN <= t <= Tag.CERTIFICATE_ISSUER_DN_QUALIFIER)
_RULES.update({r.name: ((False,)*3,)*2 for r in ATTRIBUTES if r.name not in _RULES})
BY_TAG = {r.tag: r for r in ATTRIBUTES}
BY_NAME = {r.name: r for r in ATTRIBUTES}
