"""ONNX graphs on this machine: sessions, providers, the cache of optimised graphs, checks of tensors."""
