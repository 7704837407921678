"""Backups of a server: consistent, encrypted to recipients, one after the other in a directory."""
