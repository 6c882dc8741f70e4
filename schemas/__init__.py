"""The contracts all parts share: records, keys, the xDS descriptor pool, APISIX schemas. Imports nothing of ours."""
