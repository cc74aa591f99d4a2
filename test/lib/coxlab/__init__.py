"""A real mesh on one machine: see lab.Lab. Needs root. Used by test/labs, hack/lab and hack/demo."""
from .lab import Lab, Pod, Response  # noqa: F401
