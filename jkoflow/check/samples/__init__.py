"""Are these points samples of ρ*? A calibrated battery of tests, which never says that they are."""

from .judged import check_samples

__all__ = ["check_samples"]
