"""One script per performance budget of architecture.md section 10; each prints its peer's figure beside ours."""
