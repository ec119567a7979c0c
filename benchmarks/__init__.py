"""Side-by-side measurements, one script per claim of the README."""
