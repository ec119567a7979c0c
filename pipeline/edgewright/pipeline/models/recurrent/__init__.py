"""Recurrent models: stacks of RNN, LSTM or GRU layers with a head for each task of sequences."""
