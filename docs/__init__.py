"""The documentation: pages by hand, reference pages made by `docs.generator`."""
