"""The version of this package, which `User-Agent` names."""

__version__ = "0.1.0"
