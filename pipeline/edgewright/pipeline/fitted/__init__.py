"""What the device half is told that was fitted on the training part, or carried over from another run."""
