"""Ferryman: carries AWS batch jobs from wanted to done.

The package is a command and an image, not a library: nothing here is a public import.
"""

__version__ = "0.1.0"
