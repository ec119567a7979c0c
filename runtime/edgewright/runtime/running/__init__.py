"""Samples through a graph: batches, and samples that are several rows of it."""
