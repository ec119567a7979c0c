"""Backbones for images: torchvision and timm."""
