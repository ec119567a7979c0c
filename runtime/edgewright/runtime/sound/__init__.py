"""Waveforms to log-mel frames."""
