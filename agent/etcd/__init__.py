"""Sans-IO sessions of the etcd v3 API."""
