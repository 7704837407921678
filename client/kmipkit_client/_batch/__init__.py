"""Batches that are filled by calls of methods; all but :mod:`.results` is generated."""
