"""vSphere Trust Authority: keys for attested hosts only (vsphere.md §7).

Two services run on a Trust Authority host: the Attestation Service looks at a host's TPM and signs
a token about it, the Key Provider Service gives keys to whoever holds such a token. The workload
vCenter is in neither path. Every channel is the mutual TLS with JSON of the other roles.
"""
