"""Command line: thin verbs over the Python interface."""
