"""
The pytest plugin: suites as tests, and fixtures for tests of one's own (docs/pytest.md).
"""
