"""The training half of each task."""
