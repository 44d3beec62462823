"""Latency of artifacts on this host: verified before timed, each in a process of its own."""
