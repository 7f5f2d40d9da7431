"""
Variants of a suite: the same questions with other tools beside them, or asked in other words.
"""
