"""What payloads must look like: definitions in three formats, checked, compared and applied. Pure."""
