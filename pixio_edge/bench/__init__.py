"""Benchmark records."""
