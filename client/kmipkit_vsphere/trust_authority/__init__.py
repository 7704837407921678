"""vSphere Trust Authority: keys for attested hosts only (vsphere.md §7).

Two services run on a Trust Authority host. The Attestation Service verifies a host's TPM and signs a
token about the host; the Key Provider Service gives keys to the holder of such a token. The workload
vCenter takes part in neither. Every channel is mutual TLS with JSON, like those of the other roles.
"""
