"""HTTP filters in generated cases: one file a kind, joined here."""
