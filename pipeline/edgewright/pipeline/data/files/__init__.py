"""Files that hold samples: folders and tables."""
