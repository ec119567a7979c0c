"""Where samples come from: folders and built-in sets, checked and divided."""
