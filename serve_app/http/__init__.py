"""What applications and people see: `api` has the routes, `ingress` puts them behind Serve, `ui` is the page."""
