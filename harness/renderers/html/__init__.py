"""
The HTML page.
"""

from harness.renderers.html.render import render

__all__ = ["render"]
