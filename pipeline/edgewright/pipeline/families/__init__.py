"""Families of models as objects: what differs between backbones of images, recurrent nets and encoders of text."""

from edgewright.pipeline.families.base import Family
from edgewright.pipeline.families.finding import (
    build_for,
    family_of,
    family_of_record,
    feature_module,
    fit_settings,
    head_module,
    list_models,
    rebuild_model,
)

__all__ = [
    "Family",
    "build_for",
    "family_of",
    "family_of_record",
    "feature_module",
    "fit_settings",
    "head_module",
    "list_models",
    "rebuild_model",
]
