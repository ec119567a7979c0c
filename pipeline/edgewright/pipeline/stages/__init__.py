"""The stages: fit, export, verify, compare, bench, inspect, doctor."""
