"""The configuration: ``oms.toml``, ``sessions.cfg``, dialects, data dictionaries, instruments and accounts.

``load`` is the way in. Bad configuration stops start-up with a ConfigError that names file, key and remedy
(I12).
"""
