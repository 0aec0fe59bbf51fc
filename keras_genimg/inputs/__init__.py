"""Images, conditions and seeds: what models are called with."""
