"""What a bundle is on disk: its manifest, its files, and opening it."""
