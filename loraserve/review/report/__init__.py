"""Reports of a review, from its document alone; standard library only, because a workflow runs them bare."""
