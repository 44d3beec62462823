"""Published weights: what there is, under which terms, and how to get it unaltered. Nothing here loads or runs them."""
