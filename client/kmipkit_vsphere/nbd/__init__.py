"""A disk of an unlocked machine as a network block device (NBD), through the tool nbdkit."""
