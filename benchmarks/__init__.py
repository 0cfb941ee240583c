"""Measurements of Quire, side by side with its peers. `python -m benchmarks --help`."""
