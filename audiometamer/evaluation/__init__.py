"""What a folder of metamers shows: who recognises whose, and the page to look and listen through."""
