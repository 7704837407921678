"""Benchmarks that print ratios against other programs: ``make bench``.

Machines differ and are busy; so everything is measured in one run, on one machine, with the same
certificates and the same load, and what counts is the ratio.
"""
