"""The tiny parent of a role: it holds the listening sockets while serving processes come and go."""
