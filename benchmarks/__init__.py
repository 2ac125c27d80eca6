"""Measurements, side by side in one run, as ratios. Run with `make bench` or `python -m benchmarks`; never part of the tests."""
