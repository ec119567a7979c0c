"""One step in, one answer out, the state kept."""
