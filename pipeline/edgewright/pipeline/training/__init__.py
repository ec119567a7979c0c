"""From a model and samples to trained weights: phases, loop, checkpoints, frozen parts, cached features."""
