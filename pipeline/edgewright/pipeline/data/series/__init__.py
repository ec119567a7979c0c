"""Recordings and windows."""
