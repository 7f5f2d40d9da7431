"""
What importers share: rows, tables and conversations, and the two languages of BFCL.
"""
