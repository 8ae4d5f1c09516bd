"""Plots as SVG, readable in print and by the colour-blind: functions from numbers to a file's text."""

from evaluator.plots.bars import per_class_svg, slices_svg
from evaluator.plots.confusion import confusion_svg
from evaluator.plots.curves import curves_svg, reliability_svg
from evaluator.plots.residuals import residuals_svg

__all__ = ["confusion_svg", "curves_svg", "per_class_svg", "reliability_svg", "residuals_svg", "slices_svg"]
