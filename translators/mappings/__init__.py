"""One module per xDS feature, grouped by family; the registry names them (style.md section 6)."""
