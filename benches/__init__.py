"""Measurements. Figures are ratios against a reference that is measured in the same run."""
