"""Texts, tagged words, questions."""
