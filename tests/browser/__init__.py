"""In a package of its own, the browser is closed when its tests are over."""
