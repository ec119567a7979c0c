"""Which models there are, how each is built, and what the other stages must know about it."""
