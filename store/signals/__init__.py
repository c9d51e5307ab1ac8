"""Wake-up calls between processes."""
