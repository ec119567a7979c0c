"""Graphs in other precisions."""
