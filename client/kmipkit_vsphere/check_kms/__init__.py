"""A key server as vCenter and hosts use it: each moment of that is a step with a verdict."""
