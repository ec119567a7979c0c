"""Tables on disk: one reader of delimited text, JSON lines, Parquet and .npz."""
