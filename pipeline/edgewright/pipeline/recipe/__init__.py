"""The recipe: the YAML that a user writes, checked whole before anything runs."""
