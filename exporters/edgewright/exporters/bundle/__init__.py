"""The bundle that is written: its files, its card, what other tools read."""
