"""The etcd v3 API in protobuf; loaded with the first HTTP/2 connection."""
