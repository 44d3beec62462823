"""Models of things, by where one meets them."""
