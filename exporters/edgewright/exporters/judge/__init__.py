"""What a variant is worth: measured against torch on real samples."""
