"""What is heard or seen: read, resample, cut, set the level, write; images; presentation copies."""
