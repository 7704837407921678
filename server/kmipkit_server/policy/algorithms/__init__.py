"""Rules about algorithms, lengths, parameters and the age of keys, as pure functions."""
