"""Files: atomic writes, locks, tables, TOML, label files, safe names, hashes, packaged data, what is fetched from the web."""
