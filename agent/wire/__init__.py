"""The one port: HTTP/1.1 today."""
