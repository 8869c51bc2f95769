"""In a package of its own, the servers are ended when their tests are over."""
