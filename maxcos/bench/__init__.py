"""Benchmarks of a user's own engine: `maxcos bench`."""
