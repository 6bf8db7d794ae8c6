"""Models from a spec, their heads, weights and anatomy."""

from regard.models.build import build_model
from regard.models.families import FAMILIES
from regard.models.inputs import InputSpec, input_spec

__all__ = ["FAMILIES", "InputSpec", "build_model", "input_spec"]
