"""
What was imported, checked and written as a suite, or merged into one.
"""
