"""From your data to a trained torch model, and the command line over all of edgewright."""
