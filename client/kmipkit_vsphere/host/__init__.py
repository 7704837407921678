"""The ESXi-host role: encryption mode, keys, and the machines on one datastore."""
