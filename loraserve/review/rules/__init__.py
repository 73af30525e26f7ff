"""Rules of a review, a module per topic; `catalog` lists them."""
