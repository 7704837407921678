"""Encrypted vMotion: a machine moves from one host to another (vsphere.md §2.6)."""
