"""The calls of a host, as messages: what vCenter and guests send, and what the host answers.

Names are those of the vSphere API where it has them (vsphere.md §4.1).
"""
