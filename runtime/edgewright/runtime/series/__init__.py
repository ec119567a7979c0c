"""Series of readings to tensors, whole and step by step."""
