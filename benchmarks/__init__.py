"""Benchmarks, each a program: `python -m benchmarks.NAME`. They print what they ran on, medians and one JSON line."""
