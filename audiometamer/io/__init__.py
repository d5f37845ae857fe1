"""What is on a disk: atomic writes, locks, tables, TOML, label files, safe names, hashes, packaged data."""
