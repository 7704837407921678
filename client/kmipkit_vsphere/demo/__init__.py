"""The demonstration: a machine is encrypted with keys of a key server, seen from outside."""
