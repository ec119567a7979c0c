"""Encoders of text that transformers can load: opening a checkpoint, building a model for a task, cutting it in two."""
