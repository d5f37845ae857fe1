"""What the papers published, on this computer: networks, stimuli and listeners, fetched, converted and checked."""
