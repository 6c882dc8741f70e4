"""Per node: bundles in, etcd v3 out."""
