"""
The HTML page.
"""

from harness.renderers.html.render import render, render_sheet

__all__ = ["render", "render_sheet"]
